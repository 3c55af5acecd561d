"""What a sweep gave, metric by metric: each run as a dot, over a box that sums them up."""

import math
from collections.abc import Mapping
from textwrap import fill
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from excise.errors import SettingError, ShapeError, UnknownNameError
from excise.figures.theme import SMALL, WIDTH, Picture, Theme, new_figure, style
from excise.numerals import number

__all__ = ["fit_scale", "metric_boxes", "spans_decades"]

_PER_LINE = 4

# Inches: a panel, what lies below it, a line of small text, and the legend at the foot.
_TALL, _GAP, _LINE, _LEGEND = 2.0, 0.16, SMALL * 1.25 / 72, 0.26

# The golden ratio spreads any number of dots evenly, neighbours far apart, without a draw.
_GOLDEN = (5**0.5 - 1) / 2


def metric_boxes(
    metrics: Mapping[str, np.ndarray],
    *,
    name: str,
    title: str,
    seeds: np.ndarray | None = None,
    chosen: int | None = None,
    published: Mapping[str, tuple[float, float]] | None = None,
) -> Picture:
    """One panel a metric, each with its own scale: a dot a run over a box plot.

    A scale is logarithmic where a linear one would press most of its values flat.

    Args:
        metrics: by name the value in each run, `[run]`; values that are not finite are left out, and the caption
            counts them.
        name: the stem of the picture's files.
        title: a short heading.
        seeds: the seed of each run, `[run]`; without them runs are called by their index.
        chosen: the index of a run that stands out as a star.
        published: for some of the metrics (mean, standard deviation) as others report them, drawn as a band.

    Raises:
        ShapeError: there is no metric or no run, or metrics and seeds are not all `[run]`.
        SettingError: the chosen run is out of range, or a standard deviation is negative.
        UnknownNameError: a published metric is none of those that came.
    """
    published = published or {}
    _check(metrics, seeds, chosen, published)
    runs = len(next(iter(metrics.values())))
    known = {key: values[np.isfinite(values)] for key, values in metrics.items()}
    missing = sum(runs - len(values) for values in known.values())
    star = f"seed {chosen if seeds is None else seeds[chosen]}" if chosen is not None else ""
    alt = f"Medians over {runs} run{'s' * (runs != 1)}: " + "; ".join(
        _in_words(key, values, published.get(key), metrics[key][chosen] if chosen is not None else None)
        for key, values in known.items()
    )
    caption = (
        "Each dot is one run. A box holds the middle half of them, its bar is the median, and its whiskers "
        "reach to the furthest run within one and a half times the height of the box."
        + (f" The star is the chosen run, {star}." if star else "")
        + (" The band is the published mean and one standard deviation to either side." if published else "")
        + (f" Values that are not finite, left out: {missing}." if missing else "")
    )
    columns = min(max(len(metrics), 2), _PER_LINE)
    lines = [list(metrics)[start : start + columns] for start in range(0, len(metrics), columns)]
    side = WIDTH / columns
    names = {key: fill(key, int(side * 10)) for key in metrics}
    heads = [0.12 + _LINE * max(names[key].count("\n") + 1 for key in line) for line in lines]
    foot = _LEGEND if star or published else 0.0
    height = sum(heads) + len(lines) * (_TALL + _GAP) + foot

    def draw(theme: Theme) -> Figure:
        figure = new_figure(theme, height)
        top = height
        for line, head in zip(lines, heads, strict=True):
            top -= head + _TALL + _GAP
            for column, key in enumerate(line):
                axes = figure.add_axes((0, (top + _GAP) / height, 1, _TALL / height))
                special = float(metrics[key][chosen]) if chosen is not None else np.nan
                characters = _draw_box(axes, theme, known[key], special, published.get(key))
                left, right = column * side + max(0.55, 0.12 + 0.08 * characters), (column + 1) * side - 0.1
                axes.set_position(
                    (left / WIDTH, (top + _GAP) / height, (right - left) / WIDTH, _TALL / height)
                )
                figure.text(
                    ((column + 0.5) * side + 0.1) / WIDTH, (top + _GAP + _TALL + 0.06) / height, names[key],
                    ha="center", va="bottom", color=theme.ink, fontsize=SMALL,
                )  # fmt: skip
        if foot:
            _legend(figure, theme, star, bool(published))
        return figure

    return Picture(name, title, f"{alt}.", caption, draw)


def fit_scale(axes: Axes, which: Literal["x", "y"], values: np.ndarray, *, log: bool = False) -> int:
    """Limits with some room around `values`, and few ticks with as many digits as tell them apart.

    Values closer than a millionth of their size count as equal.

    Args:
        axes: whose scale to set.
        which: the axis.
        values: finite, at least one; all above 0 for a logarithmic scale.
        log: whether the scale is logarithmic.

    Returns:
        The characters of the longest tick label, so that room can be made for it.
    """
    low, high = float(values.min()), float(values.max())
    axis, limits = (axes.xaxis, axes.set_xlim) if which == "x" else (axes.yaxis, axes.set_ylim)
    if log:
        axes.set(**{f"{which}scale": "log"})
        room = (high / low) ** 0.06
        limits(low / room, high * room)
        axis.set_major_locator(LogLocator(numticks=6))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda value, _: number(value))
    else:
        size = max(abs(low), abs(high))
        room = 0.06 * (high - low) if high - low > 1e-6 * size else 0.05 * size or 0.5
        limits(low - room, high + room)
        size = max(size, room)
        digits = math.ceil(math.log10(size / (high - low + 2 * room))) + 3
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(
            lambda value, _: number(value if abs(value) > 1e-9 * size else 0.0, max(digits, 3))
        )
    return max((len(label.get_text()) for label in axis.get_ticklabels()), default=0)


def spans_decades(values: np.ndarray) -> bool:
    """Whether finite values want a logarithmic scale: a linear one would press most of them flat.

    They do where all are above 0, span more than a factor of 30, and half lie in the lowest fifth.
    """
    if len(values) == 0 or values.min() <= 0:
        return False
    return bool(values.max() > max(30 * values.min(), 5 * np.median(values)))


def _check(
    metrics: Mapping[str, np.ndarray],
    seeds: np.ndarray | None,
    chosen: int | None,
    published: Mapping[str, tuple[float, float]],
) -> None:
    shapes = {key: values.shape for key, values in metrics.items()}
    shapes |= {"seeds": seeds.shape} if seeds is not None else {}
    if not metrics or len(set(shapes.values())) > 1 or any(len(s) != 1 or 0 in s for s in shapes.values()):
        raise ShapeError(f"metric_boxes takes metrics and seeds [run], with at least one run; {shapes} came.")
    runs = next(iter(shapes.values()))[0]
    if chosen is not None and not 0 <= chosen < runs:
        raise SettingError(f"the chosen run is an index from 0 to {runs - 1}; {chosen} came.")
    for key, (mean, deviation) in published.items():
        if key not in metrics:
            raise UnknownNameError(key, metrics, "among the metrics")
        if not (np.isfinite(mean) and 0 <= deviation < np.inf):
            raise SettingError(
                f"a published value is a finite mean and a standard deviation of at least 0; {key!r} has "
                f"{mean} and {deviation}."
            )


def _in_words(
    key: str, values: np.ndarray, published: tuple[float, float] | None, special: float | None
) -> str:
    words = f"{key} {number(float(np.median(values)), 3)}" if len(values) else f"{key} has no finite value"
    notes = [f"published mean {number(published[0], 3)} ± {number(published[1])}"] if published else []
    if special is not None and np.isfinite(special):
        notes.append(f"chosen run {number(special, 3)}")
    return f"{words} ({', '.join(notes)})" if notes else words


def _draw_box(
    axes: Axes, theme: Theme, values: np.ndarray, special: float, published: tuple[float, float] | None
) -> int:
    """Draws one metric, and says how many characters its longest tick label has."""
    log = spans_decades(values)
    shown = values
    if published:
        mean, deviation = published
        axes.axhspan(mean - deviation, mean + deviation, color=theme.accents[3], alpha=0.3, linewidth=0)
        axes.axhline(mean, color=theme.accents[3], linewidth=1.4, dashes=(4, 2))
        ends = np.array([mean - deviation, mean, mean + deviation])
        # A logarithmic scale has no place for what is not above 0; the band then leaves it at the bottom.
        shown = np.concatenate([values, ends[ends > 0] if log else ends])
    if len(values) > 1:
        axes.boxplot(
            values, positions=[0], widths=0.9, showfliers=False, manage_ticks=False,
            boxprops={"color": theme.muted}, whiskerprops={"color": theme.muted},
            capprops={"color": theme.muted}, medianprops={"color": theme.ink, "linewidth": 1.8},
        )  # fmt: skip
    spread = 0.7 * ((np.arange(len(values)) * _GOLDEN + 0.5) % 1 - 0.5)
    axes.scatter(
        spread, values, s=float(np.clip(600 / max(len(values), 1), 9, 24)), color=theme.accents[1],
        alpha=0.75, linewidths=0, zorder=3,
    )  # fmt: skip
    if np.isfinite(special):
        axes.scatter(
            0, special, s=150, marker="*", color=theme.accents[2], edgecolors=theme.ink, linewidths=0.8,
            zorder=4,
        )  # fmt: skip
    axes.set_xlim(-0.65, 0.65)
    axes.set_xticks([])
    if len(shown):
        characters = fit_scale(axes, "y", shown, log=log)
    else:
        characters = 0
        axes.set_yticks([])
        axes.annotate(
            "no finite value", (0.5, 0.5), xycoords="axes fraction", ha="center", color=theme.muted,
            fontsize=SMALL,
        )  # fmt: skip
    style(axes, theme, frame=("left",))
    return characters


def _legend(figure: Figure, theme: Theme, star: str, band: bool) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], marker="o", markersize=4, linestyle="none", color=theme.accents[1], label="a run")
    ]
    if star:
        handles.append(
            Line2D([], [], marker="*", markersize=11, linestyle="none", color=theme.accents[2],
                   markeredgecolor=theme.ink, markeredgewidth=0.8, label=f"chosen: {star}")
        )  # fmt: skip
    if band:
        handles.append(Patch(color=theme.accents[3], alpha=0.3, label="published mean ± standard deviation"))
    figure.legend(
        handles=handles, loc="lower center", ncols=3, frameon=False, labelcolor=theme.ink, fontsize=SMALL,
        handletextpad=0.4, columnspacing=1.6, borderpad=0.2, borderaxespad=0.1,
    )  # fmt: skip
