"""The shapes of interventions: how strongly each acts by angle, and where it moves what it acts on."""

from collections.abc import Callable, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from excise.errors import SettingError, ShapeError
from excise.figures.arrays import finite
from excise.figures.theme import SMALL, WIDTH, Picture, Theme, new_figure, number_ticks, style
from excise.numerals import number

__all__ = ["ring_maps", "strength_lines", "strength_lobes"]

Named = tuple[str, np.ndarray, np.ndarray]

# Four panels a line; the inches that a line of small text takes; more tracks would run into one another.
_PER_LINE, _LINE, _TRACKS = 4, SMALL * 1.25 / 72, 72

# Accents and dashes are cycles of coprime lengths: 28 lines differ, and neighbours differ in both.
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))


def strength_lobes(curves: Sequence[Named], *, name: str, title: str) -> Picture:
    """One small polar panel a curve: its strength in every direction, the concept's direction to the right.

    Alignment is the cosine of the angle to the concept's direction, so that each curve is drawn on both sides.

    Args:
        curves: (name, alignment `[n]` in [-1, 1], strength `[n]`, at least 0).
        name: the stem of the picture's files.
        title: a short heading.

    Raises:
        ShapeError: there is no curve, or alignment and strength have other shapes than `[n]`.
        SettingError: a value is not finite, an alignment is outside [-1, 1], or a strength is negative.
    """
    lobes = _in_order(curves, "strength_lobes")
    for label, _, strength in lobes:
        if strength.min() < 0:
            raise SettingError(
                f"a lobe reaches outward by its strength, at least 0; {label!r} has {strength.min():.4g}."
            )
    peaks = [float(strength.max()) for _, _, strength in lobes]
    angles = [np.rad2deg(np.arccos(alignment[strength > 0])) for _, alignment, strength in lobes]
    rim = max(1.0, *peaks)
    alt = (
        f"The greatest strength is {_extremes(lobes, peaks)}; the widest angle with any strength is "
        f"{_extremes(lobes, [float(angle.max(initial=0)) for angle in angles], ' degrees')}."
    )
    caption = (
        "Strength by angle to the concept's direction, which points right (0°): the further out a lobe "
        f"reaches, the stronger it acts there. The outer circle is a strength of {number(rim)}, the inner "
        "one half of it."
    )

    def panel(axes: Axes, theme: Theme, index: int) -> None:
        _, alignment, strength = lobes[index]
        angle = np.arccos(alignment)
        # Out along one side of the lobe, back along the other; both ends meet at the centre.
        around = np.concatenate([angle[:1], angle, -angle[::-1], -angle[:1]])
        outward = np.concatenate([[0], strength, strength[::-1], [0]])
        axes.fill(around, outward, color=theme.accents[1], alpha=0.3, linewidth=0)
        axes.plot(around, outward, color=theme.accents[1], linewidth=1.5, clip_on=False)
        axes.set_ylim(0, rim)
        axes.set_yticks([rim / 2, rim], ["", ""])
        axes.set_xticks(np.deg2rad(np.arange(0, 360, 30)), ["0°", "", "", "90°", *[""] * 8])
        axes.grid(color=theme.hairline, linewidth=0.4)
        style(axes, theme, frame=("polar",))
        axes.tick_params(pad=-1)

    return Picture(name, title, alt, caption, _panels(lobes, panel, polar=True))


def ring_maps(rings: Sequence[Named], *, name: str, title: str) -> Picture:
    """One panel an intervention: unit latents around a ring, and where each of them is moved.

    Args:
        rings: (name, angle `[n]` of each unit latent to the concept's direction in radians, where it lies
            afterwards `[n, 2]`: along the direction, and at right angles to it). Of more than 72 latents
            every second, third and so on is drawn.
        name: the stem of the picture's files.
        title: a short heading.

    Raises:
        ShapeError: there is no ring, or its arrays are not `[n]` and `[n, 2]`.
        SettingError: a value is not finite.
    """
    if not rings:
        raise ShapeError("ring_maps takes at least one ring of latents; none came.")
    for label, angle, after in rings:
        if angle.ndim != 1 or len(angle) == 0 or after.shape != (len(angle), 2):
            raise ShapeError(
                f"ring_maps takes angles [n] and positions [n, 2] for {label!r}; "
                f"{angle.shape} and {after.shape} came."
            )
        finite(angle, f"angles of {label!r}")
        finite(after, f"positions of {label!r}")
    tracks = [np.stack([np.column_stack([np.cos(angle), np.sin(angle)]), after]) for _, angle, after in rings]
    moved = [float(np.linalg.norm(after - before, axis=-1).max()) for before, after in tracks]
    lengths = np.concatenate([np.linalg.norm(after, axis=-1) for _, after in tracks])
    shortest, longest = (number(float(length)) for length in (lengths.min(), lengths.max()))
    range_of = f"from {shortest} to {longest}" if shortest != longest else f"all {longest}"
    alt = (
        f"The furthest that a latent of length 1 is moved is {_extremes(rings, moved)}; "
        f"lengths afterwards are {range_of}."
    )
    caption = (
        "A ring of unit latents, the concept's direction to the right. Each dot lies where its latent is "
        "moved to; a line leads back to where it was, on the circle. Where there is no line, nothing moved."
    )
    reach = 1.06 * max(1.0, *(float(np.abs(after).max()) for _, after in tracks))

    def panel(axes: Axes, theme: Theme, index: int) -> None:
        drawn = tracks[index][:, :: -(-tracks[index].shape[1] // _TRACKS)]
        axes.add_patch(Circle((0, 0), 1, facecolor="none", edgecolor=theme.hairline, linewidth=0.8))
        axes.add_collection(
            LineCollection(list(drawn.swapaxes(0, 1)), colors=theme.muted, linewidths=0.6), autolim=False
        )
        axes.scatter(*drawn[1].T, s=9, color=theme.accents[1], linewidths=0, zorder=3, clip_on=False)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
        axes.set_xlabel("direction →", labelpad=1)
        style(axes, theme, frame=())

    return Picture(name, title, alt, caption, _panels(rings, panel, polar=False))


def strength_lines(
    curves: Sequence[Named], *, name: str, title: str, ylabel: str = "strength", identity: bool = False
) -> Picture:
    """All curves in one panel: strength, or for mappers the new alignment, against alignment.

    Args:
        curves: (name, alignment `[n]` in [-1, 1], what to draw against it `[n]`).
        name: the stem of the picture's files.
        title: a short heading.
        ylabel: what the curves are.
        identity: also draw the line on which alignment stays what it is.

    Raises:
        ShapeError: there is no curve, or the two arrays of a curve have other shapes than `[n]`.
        SettingError: a value is not finite, or an alignment is outside [-1, 1].
    """
    lines = _in_order(curves, "strength_lines")
    ends = _extremes(lines, [float(values[-1]) for _, _, values in lines])
    caption = (
        f"The {ylabel} against the alignment with the concept's direction, the cosine of the angle to it."
        f"{' On the faint diagonal alignment stays as it is.' if identity else ''}"
    )
    entries = [fill(label, 22) for label, *_ in lines]
    rows = sum(entry.count("\n") + 1 for entry in entries)
    height = max(3.0, 0.3 + (_LINE + 0.01) * rows + 0.07 * len(lines))

    def draw(theme: Theme) -> Figure:
        figure = new_figure(theme, height)
        words = fill(ylabel, int(11 * (height - 0.6)))
        left = 0.1 + 0.023 * words.count("\n")
        axes = figure.add_axes((left, 0.5 / height, 0.7 - left, 1 - 0.6 / height))
        low = min(float(alignment[0]) for _, alignment, _ in lines)
        high = max(float(alignment[-1]) for _, alignment, _ in lines)
        diagonal = np.array([low, high] if identity else [])
        axes.plot(diagonal, diagonal, color=theme.hairline, linewidth=1.2)
        for index, (_, alignment, values) in enumerate(lines):
            axes.plot(
                alignment, values, color=theme.accents[index % len(theme.accents)], linewidth=1.6,
                linestyle=_DASHES[index % len(_DASHES)], label=entries[index],
            )  # fmt: skip
        shown = np.concatenate([*(values for *_, values in lines), diagonal, [0.0]])
        room = 0.03 * float(np.ptp(shown)) or 0.5
        axes.set_ylim(float(shown.min()) - room, float(shown.max()) + room)
        axes.set_xlim(low - 0.01, high + 0.01)
        number_ticks(axes)
        axes.xaxis.set_major_formatter(lambda value, _: number(value, 3))
        axes.set_xlabel("alignment", labelpad=2)
        axes.set_ylabel(words, labelpad=3)
        axes.grid(color=theme.hairline, linewidth=0.5, alpha=0.5)
        style(axes, theme)
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.03, 1), frameon=False, labelcolor=theme.ink,
            fontsize=SMALL, handlelength=2.6, handletextpad=0.5, labelspacing=0.45, borderpad=0,
            borderaxespad=0,
        )  # fmt: skip
        return figure

    return Picture(name, title, f"At the greatest alignment the {ylabel} is {ends}.", caption, draw)


def _in_order(curves: Sequence[Named], what: str) -> list[Named]:
    """The curves as they came, each in the order of its alignments."""
    if not curves:
        raise ShapeError(f"{what} takes at least one named curve; none came.")
    ordered = []
    for label, alignment, values in curves:
        if alignment.ndim != 1 or len(alignment) == 0 or values.shape != alignment.shape:
            raise ShapeError(
                f"{what} takes two arrays [n] for {label!r}; {alignment.shape} and {values.shape} came."
            )
        finite(alignment, f"alignments of {label!r}")
        finite(values, f"values of {label!r}")
        # A cosine that was computed may miss the end of its range by rounding.
        if np.abs(alignment).max() > 1 + 1e-6:
            raise SettingError(
                f"{what} takes alignments in [-1, 1]; those of {label!r} go from {alignment.min():.4g} "
                f"to {alignment.max():.4g}."
            )
        order = np.argsort(alignment, kind="stable")
        ordered.append((label, np.clip(alignment[order], -1, 1), values[order]))
    return ordered


def _extremes(named: Sequence[Named], values: list[float], unit: str = "") -> str:
    """The least and the greatest value with their names; one value where there is no difference."""
    least, most = int(np.argmin(values)), int(np.argmax(values))
    low, high = (f"{number(values[index])}{unit} for {named[index][0]}" for index in (least, most))
    if number(values[least]) == number(values[most]):
        return high if len(values) == 1 else f"{number(values[most])}{unit} for all {len(values)}"
    return f"from {low} to {high}"


def _panels(
    named: Sequence[Named], panel: Callable[[Axes, Theme, int], None], *, polar: bool
) -> Callable[[Theme], Figure]:
    """Draws square panels in lines of up to four, each below its name."""
    columns = min(max(len(named), 2), _PER_LINE)
    side = WIDTH / columns
    across, foot = side - 2 * (0.25 if polar else 0.1), 0.12 if polar else 0.26
    names = [fill(label, int(side * 11)) for label, *_ in named]
    rows = [range(start, min(start + columns, len(names))) for start in range(0, len(names), columns)]
    heads = [0.12 + 0.16 * polar + _LINE * max(names[index].count("\n") + 1 for index in row) for row in rows]
    height = sum(heads) + len(rows) * (across + foot)

    def draw(theme: Theme) -> Figure:
        figure = new_figure(theme, height)
        top = height
        for row, head in zip(rows, heads, strict=True):
            top -= head + across + foot
            for index in row:
                middle, bottom = (index % columns + 0.5) * side, top + foot
                box = ((middle - across / 2) / WIDTH, bottom / height, across / WIDTH, across / height)
                panel(figure.add_axes(box, polar=polar), theme, index)
                figure.text(
                    middle / WIDTH, (bottom + across + 0.05 + 0.16 * polar) / height, names[index],
                    ha="center", va="bottom", color=theme.ink, fontsize=SMALL,
                )  # fmt: skip
        return figure

    return draw
