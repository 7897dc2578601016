"""The learning curve: success with intervals, length, and where a setting was changed."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from rl_datagen.core.intervals import wilson_interval
from rl_datagen.report.drawing import ACCENT, INK, QUIET, STYLE, Plot, new_figure

_SETTINGS = ("gamma", "patience", "num_iterations")
"""What may change when a run resumes, and is in each row; see ``pipeline.run``."""
_SERIES = (
    ("sampled, with exploration noise", QUIET, "o", 1.8, 7.0),
    ("evaluated, without noise", ACCENT, "D", 0.0, 2.0),
)
"""Name, colour, marker, width of the line, and of the intervals: one is seen inside the other."""
_PANELS = {
    "success rate": (
        ("success_rate", "episodes_in_batch"),
        ("evaluation_success_rate", "evaluation_num_episodes"),
    ),
    "env steps per episode": (
        ("episode_len_mean", ""),
        ("evaluation_success_len_mean", ""),
    ),
}
"""Of each panel the key of what is sampled and of what is evaluated, and of how many episodes."""


def learning_curve(
    curve: Sequence[Mapping[str, Any]], confidence: float = 0.95, name: str = "learning"
) -> Plot | None:
    """Draws success rate and episode length over iterations; None without points.

    A success rate has its Wilson interval where the row says of how many episodes it is. A dotted
    line stands where a setting was changed while the run was interrupted.

    Args:
        curve: One mapping per iteration with ``success_rate`` or ``episode_len_mean``, their
            evaluated counterparts (``algo.fine_tune``), and ``iteration`` (by default the position,
            from 1). None stands for unknown.
        confidence: Level of the intervals.
        name: Of the plot.
    """
    points = {
        label: [list(_points(curve, value, count)) for value, count in keys]
        for label, keys in _PANELS.items()
    }
    points = {label: series for label, series in points.items() if any(series)}
    if not points:
        return None
    with mpl.rc_context(STYLE):
        figure, rows = new_figure(1.0 + 1.45 * len(points), len(points), sharex=True)
        for axes, (label, panel) in zip(rows, points.items(), strict=True):
            for series, style in zip(panel, _SERIES, strict=True):
                _draw(axes, series, style, confidence)
            axes.set_ylabel(label)
            axes.margins(x=0.04, y=0.15)
            if label == "success rate":
                axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
                axes.set_ylim(max(0.0, axes.dataLim.y0 - 0.05), 1.03)
        _mark_changes(rows, curve)
        rows[-1].set_xlabel("DPPO iteration")
        rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.align_ylabels()
        figure.legend(*rows[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return Plot(name, "Learning curve", figure)


_Point = tuple[float, float, int]
"""An iteration, a value, and of how many episodes it is; 0: not known."""


def _points(curve: Sequence[Mapping[str, Any]], value: str, count: str) -> Iterator[_Point]:
    for place, row in enumerate(curve):
        if row.get(value) is not None:
            yield row.get("iteration", place + 1), row[value], row.get(count) or 0


def _draw(
    axes: Axes,
    series: Sequence[_Point],
    style: tuple[str, str, str, float, float],
    confidence: float,
) -> None:
    if not series:
        return
    label, color, marker, linewidth, barwidth = style
    x, y, _ = np.array(series, np.float64).T
    axes.plot(x, y, marker, color=color, markersize=5, label=label)
    axes.plot(x, y, color=color, linewidth=linewidth)
    for at, rate, count in series:
        if count:
            ends = wilson_interval(round(rate * count), count, confidence)
            axes.plot([at, at], ends, color=color, linewidth=barwidth, alpha=0.4)


def _mark_changes(panels: Sequence[Axes], curve: Sequence[Mapping[str, Any]]) -> None:
    for before, after in pairwise(curve):
        changed = [
            f"{key} {before[key]} → {after[key]}"
            for key in _SETTINGS
            if key in before and key in after and before[key] != after[key]
        ]
        if not changed:
            continue
        at = (before["iteration"] + after["iteration"]) / 2
        for axes in panels:
            axes.axvline(at, color=INK, linestyle=":", linewidth=1)
        text, place = ", ".join(changed), (at, 1.0)
        panels[0].annotate(
            text,
            place,
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
