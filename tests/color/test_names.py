import numpy as np
import pytest
from coloraide import Color
from numpy.testing import assert_allclose

from excise.color import GRAYS, HUES, NAMES, hsv_of, named_colors
from excise.errors import UnknownNameError

# From the definition in degrees: hues at multiples of 30 of full saturation and value, grays at quarters.
EXPECTED = {
    "red": (1, 0, 0),
    "orange": (1, 0.5, 0),
    "yellow": (1, 1, 0),
    "lime": (0.5, 1, 0),
    "green": (0, 1, 0),
    "teal": (0, 1, 0.5),
    "cyan": (0, 1, 1),
    "azure": (0, 0.5, 1),
    "blue": (0, 0, 1),
    "purple": (0.5, 0, 1),
    "magenta": (1, 0, 1),
    "pink": (1, 0, 0.5),
    "black": (0, 0, 0),
    "dark gray": (0.25, 0.25, 0.25),
    "gray": (0.5, 0.5, 0.5),
    "light gray": (0.75, 0.75, 0.75),
    "white": (1, 1, 1),
}


def test_the_seventeen_named_colours_have_their_rgb_values():
    colors = named_colors()
    assert colors.dims == ("color", "channel")
    assert colors.shape == (17, 3)
    assert colors["channel"].to_numpy().tolist() == ["r", "g", "b"]
    assert colors["color"].to_numpy().tolist() == list(EXPECTED)
    for name, rgb in EXPECTED.items():
        assert_allclose(colors.sel(color=name), rgb, atol=1e-12, err_msg=name)


def test_names_are_the_hues_and_then_the_grays_each_once():
    assert (*HUES, *GRAYS) == NAMES
    assert (len(HUES), len(GRAYS), len(set(NAMES))) == (12, 5, 17)


@pytest.mark.parametrize("name", EXPECTED)
def test_hsv_of_a_name_is_the_hsv_of_its_rgb(name: str):
    hue, saturation, value = Color("srgb", list(EXPECTED[name])).convert("hsv").coords(nans=False)
    assert_allclose(hsv_of(name), (hue / 360, saturation, value), atol=1e-12)


def test_neighbouring_hues_are_thirty_degrees_apart():
    hues = np.array([hsv_of(name)[0] for name in HUES])
    assert_allclose(hues * 360, np.arange(12) * 30, atol=1e-9)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"no name 'light grey' among the named colours") as caught:
        hsv_of("light grey")
    assert "light gray" in caught.value.nearest
    assert caught.value.known == NAMES
