import importlib
import subprocess
import sys

import pytest

import excise
from excise.extras import EXTRAS

# Each would make `import excise` slow for those who only want to train or to cut.
HEAVY = ("matplotlib", "jinja2", "pandas", "sklearn", "xarray", "scipy", "rich", "tyro")


def loaded_after(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


@pytest.mark.parametrize("name", ["excise", "excise.color"])
def test_every_public_name_can_be_reached_and_the_stub_says_so(name: str):
    module = importlib.import_module(name)
    for public in module.__all__:
        assert getattr(module, public) is not None
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize(
    "room",
    ["anchoring", "evaluation", "export", "figures", "record", "schedule", "surgery", "training", "errors"],
)
def test_every_name_a_room_exports_exists(room: str):
    module = importlib.import_module(f"excise.{room}")
    for public in module.__all__:
        assert getattr(module, public) is not None


def test_every_error_is_exported_and_drawn_in_the_tree():
    errors = importlib.import_module("excise.errors")
    classes = {
        name for name, value in vars(errors).items() if getattr(value, "__module__", "") == errors.__name__
    }
    classes -= {"nearest", "shorten"}
    assert classes == set(errors.__all__)
    for name in classes:
        assert name in (errors.__doc__ or "")


def test_import_of_excise_loads_nothing_heavy_not_even_torch():
    loaded = loaded_after("import excise")
    assert not loaded & {*HEAVY, "torch"}


def test_the_names_of_the_core_load_nothing_heavy_but_torch():
    loaded = loaded_after("from excise import Anchoring, Dopesheet, ablate, capture, fit, prune")
    assert "torch" in loaded
    assert not loaded & set(HEAVY)


def test_all_public_names_load_nothing_that_an_extra_installs():
    loaded = loaded_after("from excise import *; import excise.executors, excise.trackers")
    assert "torch" in loaded
    extras = (package.replace("-", "_") for extra in EXTRAS.values() for package in extra.packages)
    assert not loaded & {*extras, "mlflow"}


def test_help_loads_no_torch():
    loaded = loaded_after(
        "from contextlib import suppress; import excise.cli; sys.argv = ['excise', '--help']; "
        "sys.stdout, kept = sys.stderr, sys.stdout\nwith suppress(SystemExit): excise.cli.main()\nsys.stdout = kept"
    )
    assert "tyro" in loaded
    assert not loaded & {"torch", "matplotlib", "xarray"}


def test_a_worker_of_a_sweep_begins_to_train_before_anything_that_only_measures_is_loaded():
    loaded = loaded_after(
        "import excise.executors.worker, excise.experiments.elsewhere; "
        "from excise.experiments.catalogue import isolated; isolated().data.build()"
    )
    assert "torch" in loaded
    assert not loaded & {"matplotlib", "PIL", "sklearn"}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="ablat_"):
        getattr(excise, "ablat_")  # noqa: B009 - the attribute is not there
