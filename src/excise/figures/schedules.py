"""How a training went, and the schedule that drove it."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from excise.errors import ShapeError
from excise.figures.theme import FONT_SIZE, Picture, Theme, new_figure, style
from excise.schedule import Phase

__all__ = ["schedule_curves", "training_curves"]


def training_curves(metrics: Mapping[str, np.ndarray], *, name: str, title: str) -> Picture:
    """The objective and each term's value over training, on a logarithmic scale.

    Args:
        metrics: "step", "objective", and "term/<name>", each `[logged]`, NaN where a term was skipped.
        name: the stem of the picture's files.
        title: a short heading.

    Raises:
        ShapeError: no step or no objective was logged.
    """
    if not {"step", "objective"} <= set(metrics) or len(metrics["step"]) == 0:
        raise ShapeError(f"training_curves takes logged steps with their objective; {sorted(metrics)} came.")
    steps, objective = metrics["step"], metrics["objective"]
    terms = {key.removeprefix("term/"): metrics[key] for key in sorted(metrics) if key.startswith("term/")}
    alt = (
        f"The objective falls from {objective[0]:.2g} to {objective[-1]:.2g} in {int(steps[-1]) + 1} steps, under "
        f"{len(terms)} term{'s' * (len(terms) != 1)}."
    )
    caption = (
        "Values of single batches, unweighted: faint. Bold: their running median. A term is not measured in batches "
        "that lack its label, nor where its weight is 0."
    )

    def draw(theme: Theme) -> Figure:
        figure = new_figure(theme, 3.2)
        axes = figure.add_axes((0.075, 0.15, 0.74, 0.8))
        axes.set_yscale("log")
        for color, (label, values) in zip(
            _cycle(theme), {"objective": objective, **terms}.items(), strict=False
        ):
            known = np.isfinite(values) & (values > 0)
            if not known.any():
                continue
            x, y = steps[known], values[known]
            axes.plot(x, y, color=color, linewidth=0.6, alpha=0.25)
            axes.plot(x, _running_median(y), color=color, linewidth=1.5, label=label)
        axes.set_xlim(0, steps[-1])
        axes.set_xlabel("optimiser step", labelpad=2)
        axes.grid(axis="y", color=theme.hairline, linewidth=0.5, alpha=0.5)
        style(axes, theme)
        _legend(figure, axes.get_legend_handles_labels(), theme)
        return figure

    return Picture(name, title, alt, caption, draw)


def schedule_curves(
    table: Mapping[str, np.ndarray], *, phases: Sequence[Phase] = (), name: str, title: str, rate: str = "lr"
) -> Picture:
    """The learning rate above, the weights of the terms below, over all steps.

    Args:
        table: for each property its value at each step.
        phases: named stretches; their beginnings are marked.
        name: the stem of the picture's files.
        title: a short heading.
        rate: the property that is drawn above the others.

    Raises:
        ShapeError: there is no property.
    """
    if not table:
        raise ShapeError("schedule_curves takes at least one property.")
    length = len(next(iter(table.values())))
    weights = {key: table[key] for key in sorted(table) if key != rate}
    peaks = ", ".join(f"{key} {values.max():.2g}" for key, values in weights.items())
    last = [int(np.flatnonzero(values)[-1]) for values in weights.values() if values.any()]
    off = f"; all weights are 0 after step {max(last)}" if last and max(last) < length - 1 else ""
    first = (
        f"The learning rate peaks at {table[rate].max():.2g} and ends at {table[rate][-1]:.2g}. "
        if rate in table
        else ""
    )
    alt = f"{first}The weights peak at {peaks}{off}." if weights else first.strip()
    caption = (
        "Learning rate (above) and weights of the terms (below) at each optimiser step. "
        "A dashed line lies on one that is the same."
    )

    def draw(theme: Theme) -> Figure:
        figure = new_figure(theme, 3.4)
        shared = None
        groups = [group for group in ({rate: table[rate]} if rate in table else {}, weights) if group]
        for index, group in enumerate(groups):
            tall = len(groups) == 1
            bottom = 0.14 if index == len(groups) - 1 else 0.6
            axes = figure.add_axes((0.075, bottom, 0.74, 0.82 if tall else 0.37), sharex=shared)
            drawn: list[np.ndarray] = []
            colors = _cycle(theme)[rate not in group :]
            for color, (label, values) in zip(colors, group.items(), strict=False):
                hidden = any(np.array_equal(values, other) for other in drawn)
                drawn.append(values)
                axes.plot(
                    values,
                    color=color,
                    linewidth=1.6,
                    linestyle=(0, (4, 4)) if hidden else "-",
                    label="learning rate" if label == rate else label,
                )
            axes.set_xlim(0, length - 1)
            axes.set_ylim(0, max(float(values.max()) for values in group.values()) * 1.08 or 1)
            for phase in phases if len(phases) > 1 else ():
                if phase.first > 0:
                    axes.axvline(phase.first, color=theme.hairline, linewidth=0.8)
                axes.annotate(
                    phase.name, (phase.first, 1), xycoords=("data", "axes fraction"), xytext=(3, -2),
                    textcoords="offset points", va="top", color=theme.muted, fontsize=FONT_SIZE - 2,
                )  # fmt: skip
            style(axes, theme)
            if index < len(groups) - 1:
                axes.tick_params(labelbottom=False)
            else:
                axes.set_xlabel("optimiser step", labelpad=2)
            _legend(figure, axes.get_legend_handles_labels(), theme, top=bottom + (0.82 if tall else 0.37))
            shared = axes
        return figure

    return Picture(name, title, alt, caption, draw)


def _legend(figure: Figure, entries: tuple[list, list], theme: Theme, top: float = 0.95) -> None:
    figure.legend(
        *entries, loc="upper left", bbox_to_anchor=(0.82, top), frameon=False, labelcolor=theme.ink,
        fontsize=FONT_SIZE - 1, handlelength=1.4, borderpad=0, borderaxespad=0,
    )  # fmt: skip


def _cycle(theme: Theme) -> list[str]:
    """Colours for series: the first for objective or rate, the rest for terms by name, alike in both pictures."""
    return [theme.accents[0], *theme.accents[1:] * 4]


def _running_median(values: np.ndarray, window: int = 9) -> np.ndarray:
    half = min(window, len(values)) // 2
    padded = np.pad(values, half, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
