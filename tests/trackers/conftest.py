"""A run that trackers are told of: how it begins, five logged steps, how it ended."""

import pytest

from excise.trackers import Ended, Figure, Table, Tracked

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c63f8cfc0f01f00050001ff56c72f0d0000000049454e44ae426082"
)
"""A picture of one pixel."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    tmp_path = tmp_path_factory.mktemp("tracked")
    path = tmp_path / "runs" / "2.6" / "first"
    path.mkdir(parents=True)
    return Tracked(
        name="2.6 first",
        recipe="2.6",
        path=path,
        shared=tmp_path / "runs",
        seeds=(3,),
        config={"title": "Delete warmth", "grids": {"loss": [12, 3]}, "selection": None},
        environment={"python": "3.11"},
        dopesheet="STEP,lr\n0,0.1\n4,0.2\n",
        schedule=Table("schedule", ("step", "lr"), ((0, 0.1), (1, 0.125), (2, 0.15), (3, 0.175), (4, 0.2))),
    )


@pytest.fixture(scope="module")
def rows() -> list[dict[str, float]]:
    return [{"step": step, "loss": 1 / (1 + step), "term/unit": 0.25 * step} for step in range(5)]


@pytest.fixture(scope="module")
def end(run: Tracked) -> Ended:
    (run.path / "figures").mkdir()
    light, dark = (run.path / "figures" / name for name in ("training.png", "training.dark.png"))
    light.write_bytes(PNG)
    dark.write_bytes(PNG)
    return Ended(
        numbers={"ablated.max_mse": 0.25},
        tables=(
            Table("errors", ("error", "baseline", "ablated"), (("max_mse", 0.5, 0.25), ("red", None, 0.125))),
        ),
        figures=(Figure("training", "The loss falls to a fifth.", light, dark),),
    )
