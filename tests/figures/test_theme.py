"""Both themes are legible, and saving a picture is exact, repeatable and leaves nothing behind."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from excise.errors import RunError
from excise.figures import DARK, LIGHT, THEMES, Picture, Theme, training_curves
from excise.figures.theme import number_ticks

FONTS_AND_LINES = {
    "font.family": "serif",
    "axes.grid": True,
    "lines.marker": "o",
    "savefig.bbox": "tight",
    "xtick.top": True,
    "text.color": "red",
}


def contrast(one: str, other: str):
    """The contrast ratio of WCAG 2.1, from 1 to 21."""

    def luminance(color: str):
        rgb = np.array(to_rgb(color))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def picture(end: float = 1e-4, name: str = "training"):
    steps = np.arange(0, 300, 10)
    values = np.geomspace(0.2, end, len(steps))
    return training_curves({"step": steps, "objective": values}, name=name, title="Training")


def test_contrast_is_that_of_the_standard():
    assert contrast("white", "black") == pytest.approx(21)
    assert contrast("#777777", "white") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_text_meets_wcag_aa_on_the_page_and_ink_also_on_a_panel(theme: Theme):
    assert contrast(theme.ink, theme.page) >= 4.5
    assert contrast(theme.muted, theme.page) >= 4.5
    assert contrast(theme.ink, theme.panel) >= 4.5


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_lines_of_series_and_crosses_of_failures_can_be_seen(theme: Theme):
    assert all(contrast(accent, theme.page) >= 3 for accent in theme.accents)
    assert contrast(theme.warning, theme.panel) >= 3


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_white_and_black_can_both_be_told_from_a_panel(theme: Theme):
    assert contrast("white", theme.panel) >= 1.4
    assert contrast("black", theme.panel) >= 1.4
    assert min(contrast(color, theme.page) for color in ("white", "black")) < 1.4


def test_a_picture_is_saved_for_a_light_and_a_dark_page(tmp_path: Path):
    light, dark = picture().save(tmp_path)
    assert (light, dark) == (tmp_path / "training.png", tmp_path / "training.dark.png")
    for path, theme in ((light, LIGHT), (dark, DARK)):
        corner = np.asarray(Image.open(path).convert("RGB"))[0, 0] / 255
        assert corner == pytest.approx(to_rgb(theme.page), abs=1 / 255)
    assert sorted(tmp_path.iterdir()) == sorted([light, dark])


def test_saving_replaces_only_its_own_two_files(tmp_path: Path):
    (tmp_path / "other.png").write_bytes(b"kept")
    light, _ = picture(end=1e-4).save(tmp_path)
    before = light.read_bytes()
    picture(end=1e-2).save(tmp_path)
    assert light.read_bytes() != before
    assert (tmp_path / "other.png").read_bytes() == b"kept"
    assert len(list(tmp_path.iterdir())) == 3


def test_the_same_data_gives_the_same_bytes_without_traces_of_time_or_software(tmp_path: Path):
    (tmp_path / "again").mkdir()
    first = [path.read_bytes() for path in picture().save(tmp_path)]
    assert [path.read_bytes() for path in picture().save(tmp_path / "again")] == first
    assert first[0] != first[1]
    with Image.open(tmp_path / "training.png") as image:
        assert not {"Software", "Creation Time"} & set(image.info)


def test_global_settings_change_neither_a_saved_picture_nor_are_changed_by_it(tmp_path: Path):
    (tmp_path / "styled").mkdir()
    plain = [path.read_bytes() for path in picture().save(tmp_path)]
    with matplotlib.rc_context(FONTS_AND_LINES):  # pyright: ignore[reportArgumentType] - keys by name
        before = dict(matplotlib.rcParams)
        styled = [path.read_bytes() for path in picture().save(tmp_path / "styled")]
        assert dict(matplotlib.rcParams) == before
        picture().draw(LIGHT).savefig(tmp_path / "control.png", metadata={"Software": None})
    assert styled == plain
    assert (tmp_path / "control.png").read_bytes() != plain[0]


def test_pictures_saved_in_threads_are_those_saved_alone(tmp_path: Path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    pictures = [picture(end=10.0**-power, name=f"p{power}") for power in range(2, 6)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: each.save(together), pictures))
    for each in pictures:
        for path in each.save(alone):
            assert (together / path.name).read_bytes() == path.read_bytes()


def test_two_threads_cannot_take_each_others_settings_for_the_users(tmp_path: Path):
    first_drawing, second_drawing, first_done = threading.Event(), threading.Event(), threading.Event()

    def draw_first(theme: Theme):
        first_drawing.set()
        second_drawing.wait(0.3)
        return picture().draw(theme)

    def draw_second(theme: Theme):
        second_drawing.set()
        first_done.wait(5)
        return picture().draw(theme)

    with matplotlib.rc_context({"font.family": "serif"}), ThreadPoolExecutor(2) as pool:
        first = pool.submit(Picture("first", "t", "a", "c", draw_first).save, tmp_path)
        assert first_drawing.wait(5)
        second = pool.submit(Picture("second", "t", "a", "c", draw_second).save, tmp_path)
        first.result()
        first_done.set()
        second.result()
        assert matplotlib.rcParams["font.family"] == ["serif"]


def test_a_missing_folder_is_a_run_error_and_not_a_stray_file(tmp_path: Path):
    with pytest.raises(RunError, match="cannot write"):
        picture().save(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_drawing_leaves_no_half_picture(tmp_path: Path):
    def draw(theme: Theme):
        raise RuntimeError("drawing failed")

    before = dict(matplotlib.rcParams)
    with pytest.raises(RuntimeError, match="drawing failed"):
        Picture("broken", "t", "a", "c", draw).save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(("top", "ticks"), [(0.3, {"0.1", "0.3"}), (1.6e-3, {"5e-4", "1.5e-3"})])
def test_small_ticks_are_written_short(top: float, ticks: set[str]):
    figure = picture().draw(LIGHT)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_ylim(0, top)
    number_ticks(axes)
    figure.canvas.draw()
    assert ticks <= {label.get_text() for label in axes.get_yticklabels()}


def test_neither_importing_nor_saving_touches_pyplot_a_domain_or_torch(tmp_path: Path):
    code = (
        "import sys, pathlib, numpy as np\n"
        "from excise.figures import training_curves\n"
        "training_curves({'step': np.arange(3), 'objective': np.ones(3)}, name='p', title='t')"
        ".save(pathlib.Path(sys.argv[1]))\n"
        "barred = ('matplotlib.pyplot', 'torch', 'excise.color')\n"
        "print([name for name in barred if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert (tmp_path / "p.png").exists()
