"""Two measured values against each other: a dot a sample in its own colour, or a dot a run of a sweep."""

import math
from itertools import count
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path

from excise.errors import SettingError, ShapeError
from excise.figures.arrays import finite
from excise.figures.boxes import fit_scale, spans_decades
from excise.figures.theme import DPI, SMALL, Picture, Theme, new_figure, style
from excise.numerals import number

__all__ = ["error_scatter", "front"]

_MOST = 20_000

# At the size of a dot an octagon is a circle, and is drawn in half the time.
_DOT = Path.unit_regular_polygon(8)


def error_scatter(
    similarity: np.ndarray,
    error: np.ndarray,
    rgb: np.ndarray,
    *,
    r_squared: float,
    name: str,
    title: str,
    xlabel: str = "similarity",
    ylabel: str = "error",
) -> Picture:
    """Each sample as a dot in its own colour, its error against its similarity, and the line that fits best.

    Of more than 20,000 samples every nth is drawn, n the next prime from 7 up: it steps across the rows of a
    grid, where another number may miss whole columns. The line is fitted to all samples, by least squares.

    Args:
        similarity: `[sample]`, already raised to the power that the label names.
        error: `[sample]`.
        rgb: the colour of each sample, `[sample, 3]` in [0, 1].
        r_squared: the squared correlation of the two, stated above the dots; NaN where it is not defined.
        name: the stem of the picture's files.
        title: a short heading.
        xlabel: what the similarity is, with its power ("similarity to red, squared").
        ylabel: what the error is.

    Raises:
        ShapeError: there is no sample, or the arrays do not match.
        SettingError: a value is not finite.
    """
    samples = len(similarity)
    if similarity.ndim != 1 or samples == 0 or error.shape != (samples,) or rgb.shape != (samples, 3):
        raise ShapeError(
            f"error_scatter takes similarities and errors [sample] and colours [sample, 3]; "
            f"{similarity.shape}, {error.shape} and {rgb.shape} came."
        )
    finite(similarity, "similarities")
    finite(error, "errors")
    finite(rgb, "colours of samples")
    stride = _stride(samples)
    fitted = _line(similarity, error)
    stated = f"R² = {number(r_squared, 3)}" if math.isfinite(r_squared) else "R² is not defined"
    low, high = (error[similarity == end].mean() for end in (similarity.min(), similarity.max()))
    alt = (
        f"{stated} over {samples} samples for {ylabel} against {xlabel}: on average {number(float(high))} where "
        f"that is greatest ({number(float(similarity.max()))}), {number(float(low))} where it is least "
        f"({number(float(similarity.min()))})."
    )
    caption = (
        f"Each dot is a sample in its own colour. The line is the least-squares fit to all {samples} samples."
        + (f" Every {stride}th sample is drawn." if stride > 1 else "")
    )
    # In the order of a grid the last colours would lie over all others.
    order = np.random.default_rng(0).permutation(np.arange(0, samples, stride))

    def draw(theme: Theme) -> Figure:
        figure = new_figure(theme, 4.0)
        axes = _single_panel(figure, xlabel, ylabel)
        axes.set_facecolor(theme.panel)
        axes.scatter(
            similarity[order], error[order], s=float(np.clip(40_000 / len(order), 4, 20)),
            c=np.clip(rgb[order], 0, 1), marker=_DOT, linewidths=0, rasterized=True, clip_on=False,
        )  # fmt: skip
        fit_scale(axes, "x", similarity)
        _make_room(axes, fit_scale(axes, "y", np.append(error, 0.0)))
        if fitted is not None:
            # Two lines, so that it can be told from dots of its own colour.
            ends = np.array([similarity.min(), similarity.max()])
            axes.plot(ends, fitted[0] * ends + fitted[1], color=theme.page, linewidth=3.2, alpha=0.8)
            axes.plot(ends, fitted[0] * ends + fitted[1], color=theme.ink, linewidth=1.4, label="fitted line")
        axes.set_title(stated, loc="left", pad=4, color=theme.ink, fontsize=SMALL)
        style(axes, theme)
        return figure

    return Picture(name, title, alt, caption, draw)


def front(
    x: np.ndarray,
    y: np.ndarray,
    on_front: np.ndarray,
    *,
    seeds: np.ndarray,
    chosen: int | None = None,
    xlabel: str,
    ylabel: str,
    name: str,
    title: str,
) -> Picture:
    """The runs of a sweep by two of their metrics; those on the Pareto front stand out, the chosen one most.

    The front may have been found over more metrics than these two, so that it need not look like an edge here.
    A scale is logarithmic where a linear one would press most of its values flat.

    Args:
        x: one metric, `[run]`; a run whose x or y is not finite is left out, and the caption counts it.
        y: the other, `[run]`.
        on_front: which runs are on the front, `[run]` of bool.
        seeds: the seed of each run, `[run]`.
        chosen: the index of the chosen run.
        xlabel: what x is.
        ylabel: what y is.
        name: the stem of the picture's files.
        title: a short heading.

    Raises:
        ShapeError: the arrays do not match.
        SettingError: no run is finite, or the chosen run is none of those that are.
    """
    shapes = {"x": x.shape, "y": y.shape, "on_front": on_front.shape, "seeds": seeds.shape}
    if len(set(shapes.values())) > 1 or x.ndim != 1 or on_front.dtype != bool:
        raise ShapeError(f"front takes [run] for each, on_front of bool; {shapes}, {on_front.dtype} came.")
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        raise SettingError(f"front needs a run whose two metrics are finite; none of {len(x)} came.")
    if chosen is not None and not (0 <= chosen < len(x) and known[chosen]):
        raise SettingError(f"the chosen run is the index of a finite one of {len(x)}; {chosen} came.")
    best, missing = int((on_front & known).sum()), int((~known).sum())
    alt = f"{best} of {int(known.sum())} runs {'is' if best == 1 else 'are'} on the Pareto front."
    if chosen is not None:
        alt += (
            f" The chosen one, seed {seeds[chosen]}, has {xlabel} {number(x[chosen], 3)} and {ylabel} "
            f"{number(y[chosen], 3)}."
        )
    caption = "Each dot is one run; full dots are on the Pareto front of all metrics of the selection." + (
        f" Runs without finite values, not drawn: {missing}." if missing else ""
    )

    def draw(theme: Theme) -> Figure:
        figure = new_figure(theme, 4.0)
        axes = _single_panel(figure, xlabel, ylabel)
        for label, group, face, edge in (
            ("other runs", known & ~on_front, "none", theme.muted),
            ("on the front", known & on_front, theme.accents[1], theme.accents[1]),
        ):
            axes.scatter(
                x[group], y[group], s=26, label=label, facecolors=face, edgecolors=edge, linewidths=0.9
            )
        fit_scale(axes, "x", x[known], log=spans_decades(x[known]))
        _make_room(axes, fit_scale(axes, "y", y[known], log=spans_decades(y[known])))
        if chosen is not None:
            axes.scatter(
                x[chosen], y[chosen], s=150, marker="*", color=theme.accents[2], edgecolors=theme.ink,
                linewidths=0.8, zorder=4, label="chosen", clip_on=False,
            )  # fmt: skip
            _label(axes, theme, f"seed {seeds[chosen]}", (x[known], y[known]), (x[chosen], y[chosen]))
        axes.grid(color=theme.hairline, linewidth=0.5, alpha=0.5)
        style(axes, theme)
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, labelcolor=theme.ink,
            fontsize=SMALL, handletextpad=0.2, columnspacing=1.4, borderpad=0.3, borderaxespad=0,
        )  # fmt: skip
        return figure

    return Picture(name, title, alt, caption, draw)


def _stride(samples: int) -> int:
    if samples <= _MOST:
        return 1
    from_here = count(max(7, -(-samples // _MOST)))
    return next(n for n in from_here if all(n % factor for factor in range(2, math.isqrt(n) + 1)))


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float] | None:
    """Slope and intercept of the least-squares line; none where all x are the same."""
    if np.ptp(x) == 0:
        return None
    offset = x - x.mean()
    slope = float(offset @ (y - y.mean()) / (offset @ offset))
    return slope, float(y.mean() - slope * x.mean())


def _single_panel(figure: Figure, xlabel: str, ylabel: str) -> Axes:
    across = fill(xlabel, 75)
    bottom = 0.13 + 0.042 * across.count("\n")
    axes = figure.add_axes((0, bottom, 1, 0.92 - bottom))
    axes.set_xlabel(across, labelpad=2)
    axes.set_ylabel(fill(ylabel, 36), labelpad=3)
    return axes


def _make_room(axes: Axes, characters: int) -> None:
    """Places the sides of a panel: ticks of so many characters and the label of the y axis fit beside it."""
    left = 0.05 + 0.023 * axes.get_ylabel().count("\n") + 0.0115 * max(characters, 4)
    box = axes.get_position()
    axes.set_position((left, box.y0, 0.965 - left, box.height))


def _label(
    axes: Axes, theme: Theme, text: str, points: tuple[np.ndarray, np.ndarray], place: tuple[float, float]
) -> None:
    """Writes near a place, where the text stays inside and covers the fewest points; a line leads to it."""
    per_point = DPI / 72
    dots, at = (axes.transData.transform(each) / per_point for each in (np.column_stack(points), place))
    low, high = np.reshape(axes.get_window_extent().get_points() / per_point, (2, 2))
    half = np.array([0.62 * SMALL * len(text), 1.4 * SMALL]) / 2
    turns = np.deg2rad(np.arange(0, 360, 30))
    offsets = [(half + reach) * (np.cos(turn), np.sin(turn)) for reach in (9, 22, 40, 65) for turn in turns]

    def cost(offset: np.ndarray) -> tuple[bool, int]:
        middle = at + offset
        outside = bool((middle - half < low).any() or (middle + half > high).any())
        return outside, int((np.abs(dots - middle) < half + 4).all(axis=1).sum())

    axes.annotate(
        text, place, xytext=tuple(min(offsets, key=cost)), textcoords="offset points", ha="center",
        va="center", color=theme.ink, fontsize=SMALL, zorder=5,
        arrowprops={"arrowstyle": "-", "color": theme.muted, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 6},
    )  # fmt: skip
