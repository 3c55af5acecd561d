"""How measured values are written for people: in tables, captions and alternative texts alike."""

__all__ = ["number"]


def number(value: float | None, digits: int = 2, *, padded: bool = False) -> str:
    """A measured value in `digits` significant digits, with a short exponent ("1.6e-5"); "n/a" for None.

    Padded keeps trailing zeros ("0.300"), as a column of a table wants them; 0 is "0" all the same.
    """
    if value is None:
        return "n/a"
    if 10**digits <= abs(value) < 1e6:
        return f"{value:.0f}"
    if 0 < abs(value) < 1e-3:
        shown = f"{value:.{digits - 1}e}"
    else:
        shown = f"{value:#.{digits}g}" if padded and value else f"{value:.{digits}g}"
    mantissa, _, exponent = shown.partition("e")
    if "." in mantissa and not padded:
        mantissa = mantissa.rstrip("0")
    return f"{mantissa.removesuffix('.')}e{int(exponent)}" if exponent else mantissa.removesuffix(".")
