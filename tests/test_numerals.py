import pytest

from excise.numerals import number

WRITTEN = {
    0.2734: "0.27",
    0.0031: "0.0031",
    1.55e-5: "1.6e-5",
    0.00054: "5.4e-4",
    5e-4: "5e-4",
    0.0999e-2: "1e-3",
    0.2: "0.2",
    20.0: "20",
    0.0: "0",
    345.0: "345",
    3e7: "3e7",
    None: "n/a",
}
PADDED = {0.3: "0.300", 1e-6: "1.00e-6", 12.0: "12.0", 123.0: "123", 1234.0: "1234", 0.0: "0", None: "n/a"}


@pytest.mark.parametrize("value", WRITTEN)
def test_measured_values_have_two_digits_and_no_padded_exponent(value: float | None):
    assert number(value) == WRITTEN[value]


@pytest.mark.parametrize("value", PADDED)
def test_padded_values_keep_their_zeros(value: float | None):
    assert number(value, 3, padded=True) == PADDED[value]
