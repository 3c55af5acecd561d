"""How a training went, and the schedule that drove it."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Protocol, runtime_checkable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from excise.errors import ShapeError
from excise.figures.arrays import finite
from excise.figures.theme import SMALL, Picture, Theme, log_ticks, new_figure, number_ticks, style
from excise.numerals import number

__all__ = ["schedule_curves", "training_curves"]

_LEFT, _WIDTH = 0.1, 0.63

# Decades below its peak that a logarithmic axis shows: a warm-up from almost nothing would hide the rest.
_RATE_DECADES, _TERM_DECADES = 3, 9


@runtime_checkable
class Stretch(Protocol):
    """A named stretch of steps, from `first` to `last`, both included."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...

    @property
    def first(self) -> int:
        """Its first step."""
        ...

    @property
    def last(self) -> int:
        """Its last step."""
        ...


def training_curves(metrics: Mapping[str, np.ndarray], *, name: str, title: str) -> Picture:
    """The loss, the objective and each term's value over training, on a logarithmic scale.

    Args:
        metrics: "step", "objective" and where known "loss", then "term/<name>", each `[logged]`; a term is
            NaN where it was skipped. Other keys are not drawn.
        name: the stem of the picture's files.
        title: a short heading.

    Raises:
        ShapeError: no step or no objective was logged, or a series has another length than the steps.
    """
    if not {"step", "objective"} <= set(metrics) or len(metrics["step"]) == 0:
        raise ShapeError(f"training_curves takes logged steps with their objective; {sorted(metrics)} came.")
    steps, objective = metrics["step"], metrics["objective"]
    terms = {key.removeprefix("term/"): metrics[key] for key in sorted(metrics) if key.startswith("term/")}
    series = {key: metrics[key] for key in ("objective", "loss") if key in metrics} | terms
    _same_length({"step": steps, **series}, "training_curves")
    smooth = _running_median(objective)
    verb = "falls" if smooth[-1] < smooth[0] else "rises"
    alt = (
        f"The objective {verb} from {number(objective[0])} at step {int(steps[0])} to {number(smooth[-1])} "
        f"by step {int(steps[-1])}, beside {len(terms)} term{'s' * (len(terms) != 1)}."
    )
    caption = (
        "Values of single batches: faint. Bold: their running median over nine logged steps. Terms are "
        "unweighted; the loss is the objective plus the weighted terms. A term has no value in batches that "
        "lack its label, nor where its weight is 0."
    )

    def draw(theme: Theme) -> Figure:
        figure = new_figure(theme, 3.0)
        axes = figure.add_axes((_LEFT, 0.17, _WIDTH, 0.8))
        log_ticks(axes)
        seen = []
        for label, values in series.items():
            known = np.isfinite(values) & (values > 0)
            if not known.any():
                continue
            x, y, color = steps[known], values[known], _color(theme, label, list(terms))
            axes.plot(x, y, color=color, linewidth=0.6, alpha=0.25)
            axes.plot(x, _running_median(y), color=color, linewidth=1.4, label=label)
            seen.append(y)
        axes.set_xlim(steps[0], steps[-1] if len(steps) > 1 else steps[0] + 1)
        if seen:
            shown = np.concatenate(seen)
            low = max(float(shown.min()), float(shown.max()) * 10.0**-_TERM_DECADES)
            axes.set_ylim(low * 0.7, float(shown.max()) * 1.4)
        axes.set_xlabel("optimiser step", labelpad=2)
        axes.grid(axis="y", color=theme.hairline, linewidth=0.5, alpha=0.5)
        style(axes, theme)
        _legend(axes, theme)
        return figure

    return Picture(name, title, alt, caption, draw)


def schedule_curves(
    table: Mapping[str, np.ndarray],
    *,
    phases: Sequence[Stretch] = (),
    name: str,
    title: str,
    rate: str = "lr",
) -> Picture:
    """The learning rate above on a logarithmic scale, the weights of the terms below, over all steps.

    Args:
        table: for each property its value at each step, `[num_steps]`.
        phases: named stretches, each with `name`, `first` and `last` step; several are marked as bands.
        name: the stem of the picture's files.
        title: a short heading.
        rate: the property that is drawn above the others.

    Raises:
        ShapeError: there is no property, no step, or properties have different lengths.
        SettingError: a value is not finite.
    """
    if not table:
        raise ShapeError("schedule_curves takes at least one property; none came.")
    length = _same_length(table, "schedule_curves")
    for key, values in table.items():
        finite(values, f"values of {key!r}")
    weights = {key: table[key] for key in sorted(table) if key != rate}
    alt = " ".join(
        [
            *([_rate_in_words(table[rate])] if rate in table else []),
            *([_weights_in_words(weights)] if weights else []),
        ]
    )
    caption = (
        "Learning rate (above, logarithmic; what lies more than three decades below its peak is cut off) and "
        "weights of the terms (below) at each optimiser step. A dashed line lies on one that is the same."
    )
    if len(phases) > 1:
        starts = ", ".join(f"{phase.name} from {phase.first}" for phase in phases)
        caption += f" Bands are phases, by their first step: {starts}."

    def draw(theme: Theme) -> Figure:
        groups = [group for group in ({rate: table[rate]} if rate in table else {}, weights) if group]
        figure = new_figure(theme, 1.9 * len(groups) + 0.1)
        for index, group in enumerate(groups):
            lowest = index == len(groups) - 1
            axes = figure.add_axes(
                (_LEFT, 0.12 + 0.45 * (len(groups) - 1 - index), _WIDTH, 0.38) if len(groups) > 1
                else (_LEFT, 0.22, _WIDTH, 0.67 if len(phases) > 1 else 0.73)
            )  # fmt: skip
            _plot_group(axes, theme, group, rate, list(weights))
            axes.set_xlim(0, max(length - 1, 1))
            if len(phases) > 1:
                _mark(axes, theme, phases, length, named=index == 0)
            style(axes, theme)
            axes.tick_params(labelbottom=lowest)
            axes.set_xlabel("optimiser step" if lowest else "", labelpad=2)
            _legend(axes, theme)
        return figure

    return Picture(name, title, alt, caption, draw)


def _rate_in_words(values: np.ndarray) -> str:
    peak = int(values.argmax())
    return (
        f"The learning rate peaks at {number(values[peak])} (step {peak}) and ends at {number(values[-1])}."
    )


def _weights_in_words(weights: dict[str, np.ndarray]) -> str:
    peaks = ", ".join(f"{key} {number(values.max())}" for key, values in weights.items())
    last = max((int(np.flatnonzero(values)[-1]) for values in weights.values() if values.any()), default=-1)
    ends = last < len(next(iter(weights.values()))) - 1
    off = (f"; all weights are 0 after step {last}" if last >= 0 else "; all weights are 0") if ends else ""
    return f"The weights peak at {peaks}{off}."


def _plot_group(
    axes: Axes, theme: Theme, group: Mapping[str, np.ndarray], rate: str, terms: list[str]
) -> None:
    drawn: list[np.ndarray] = []
    for label, values in group.items():
        hidden = any(np.array_equal(values, other) for other in drawn)
        drawn.append(values)
        axes.plot(
            values,
            color=_color(theme, label, terms),
            linewidth=1.5,
            linestyle=(0, (3, 3)) if hidden else "-",
            label="learning rate" if label == rate else label,
        )
    top = max(float(values.max()) for values in group.values())
    if rate in group and top > 0:
        log_ticks(axes)
        lowest = float(group[rate][group[rate] > 0].min())
        axes.set_ylim(max(lowest / 1.5, top * 10.0**-_RATE_DECADES), top * 1.5)
    else:
        lowest = min(float(values.min()) for values in group.values())
        axes.set_ylim(min(lowest * 1.08, 0), top * 1.08 if top > 0 else 1)
        number_ticks(axes)


def _mark(axes: Axes, theme: Theme, phases: Sequence[Stretch], length: int, *, named: bool) -> None:
    """Phases as bands, every second one shaded; a name above where its phase is long enough to hold it."""
    for index, phase in enumerate(phases):
        if index % 2:
            axes.axvspan(phase.first, phase.last + 1, color=theme.hairline, alpha=0.18, linewidth=0)
        if phase.first > 0:
            axes.axvline(phase.first, color=theme.hairline, linewidth=0.8)
        share = (phase.last + 1 - phase.first) / length
        if named and share * 56 > len(phase.name):
            axes.annotate(
                phase.name, (phase.first, 1), xycoords=("data", "axes fraction"), xytext=(3, 2),
                textcoords="offset points", va="bottom", color=theme.muted, fontsize=SMALL,
            )  # fmt: skip


def _legend(axes: Axes, theme: Theme) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
            handles,
            [fill(label, 20) for label in labels],
            loc="upper left", bbox_to_anchor=(1.03, 1.02), frameon=False, labelcolor=theme.ink,
            fontsize=SMALL, handlelength=1.6, handletextpad=0.5, labelspacing=0.45, borderpad=0,
            borderaxespad=0,
        )  # fmt: skip


def _color(theme: Theme, label: str, terms: list[str]) -> str:
    """The ink for what is no term, muted for the loss; a term has the same colour in both pictures."""
    if label in terms:
        return theme.accents[1 + terms.index(label) % (len(theme.accents) - 1)]
    return theme.muted if label == "loss" else theme.accents[0]


def _same_length(series: Mapping[str, np.ndarray], what: str) -> int:
    shapes = {key: np.shape(values) for key, values in series.items()}
    first = next(iter(shapes.values()))
    if len(first) != 1 or first[0] == 0 or len(set(shapes.values())) > 1:
        raise ShapeError(f"{what} takes series of one common length, at least 1; {shapes} came.")
    return first[0]


def _running_median(values: np.ndarray, window: int = 9) -> np.ndarray:
    half = min(window, len(values)) // 2
    padded = np.pad(values, half, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)
