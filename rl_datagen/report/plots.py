"""What the pages show, drawn."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from rl_datagen.core.curves import NUM_PHASES
from rl_datagen.core.intervals import Estimate, SuccessRate
from rl_datagen.report.drawing import (
    ACCENT,
    COLORS,
    INK,
    QUIET,
    STYLE,
    Plot,
    new_figure,
)
from rl_datagen.report.sources import ACTION_DIMENSIONS, MEASURES, SourceQuality

_FEW_PATHS = 2  # of a person: drawn over everybody else's


def success_plot(rates: Sequence[SuccessRate], confidence: float = 0.95) -> Plot:
    """Draws success rates with Wilson intervals, one row per evaluation."""
    with mpl.rc_context(STYLE):
        figure, (axes,) = new_figure(0.75 + 0.55 * len(rates), 1)
        for row, rate in enumerate(rates):
            low, high = rate.interval(confidence)
            color = ACCENT if row == len(rates) - 1 else QUIET
            axes.plot([low, high], [row, row], color=color, linewidth=7, alpha=0.3)
            axes.plot(rate.rate, row, "o", color=color, markersize=9)
            text = f"{rate.num_successes} of {rate.num_episodes}"
            axes.text(1.04, row, text, va="center", fontsize=9, clip_on=False)
        axes.set(
            xlim=(0, 1.02),
            ylim=(len(rates) - 0.5, -0.5),
            yticks=range(len(rates)),
            yticklabels=[rate.name for rate in rates],
            xlabel=f"success rate, {confidence:.0%} Wilson interval",
        )
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(visible=False, axis="y")
        return Plot("success", "Success rates with Wilson intervals", figure)


def distribution_plot(
    sources: Sequence[SourceQuality],
    measure: str,
    *,
    log: bool = False,
    confidence: float = 0.95,
) -> Plot | None:
    """Draws a dot per episode and the mean of each source; None without values.

    Args:
        sources: One row each.
        measure: One of ``MEASURES`` that is a field of ``EpisodeQuality``.
        log: Logarithmic axis.
        confidence: Level of the mean's interval.
    """
    rows = [
        (source, [e for e in source.episodes if np.isfinite(getattr(e, measure))])
        for source in sources
    ]
    rows = [(source, episodes) for source, episodes in rows if episodes]
    if not rows:
        return None
    title, unit = MEASURES[measure]
    with mpl.rc_context(STYLE):
        figure, (axes,) = new_figure(0.8 + 0.6 * len(rows), 1)
        for row, (source, episodes) in enumerate(rows):
            values = np.array([getattr(episode, measure) for episode in episodes])
            _strip(axes, row, values, COLORS[source.source], source.estimate(measure, confidence))
        axes.set(
            ylim=(len(rows) - 0.5, -0.5),
            yticks=range(len(rows)),
            yticklabels=[f"{source.label}\nn = {len(values)}" for source, values in rows],
            xlabel=f"{title.lower()}, {unit}",
        )
        shown = [episode for _, episodes in rows for episode in episodes]
        if log:
            axes.set_xscale("log")
            _show_two_ticks(axes, np.array([getattr(episode, measure) for episode in shown]))
        axes.grid(visible=False, axis="y")
    names = ("task", "source", "episode_id", measure)
    columns = {name: [getattr(episode, name) for episode in shown] for name in names}
    return Plot(measure, f"{title} per source", figure, columns)


def consistency_plot(sources: Sequence[SourceQuality], name: str = "consistency") -> Plot | None:
    """Draws the mean and the standard deviation of the y action over normalised time (Fig. 7).

    Args:
        sources: Their episodes of one task. A panel each.
        name: Of the plot.

    Returns:
        None without any episode. The CSV holds every action dimension.
    """
    if not sources:
        return None
    phases, y = np.linspace(0, 1, NUM_PHASES), ACTION_DIMENSIONS.index("y")
    num_columns = min(len(sources), 2)
    num_rows = -(-len(sources) // num_columns)
    columns: dict[str, list[object]] = {key: [] for key in ("source", "num_episodes", "phase")}
    with mpl.rc_context(STYLE):
        figure, panels = new_figure(
            0.5 + 1.7 * num_rows, num_rows, num_columns, sharex=True, sharey=True
        )
        for axes, source in zip(panels, sources, strict=False):
            (task,) = source.tasks.values()
            mean, std = task.actions.mean, np.sqrt(task.actions.variance())
            axes.plot(phases, mean[:, y], color=COLORS[source.source])
            band = (mean[:, y] - std[:, y], mean[:, y] + std[:, y])
            if task.actions.count > 1:
                axes.fill_between(
                    phases, *band, color=COLORS[source.source], alpha=0.3, linewidth=0
                )
            axes.set_title(f"{source.label}, n = {task.actions.count}", fontsize=10)
            axes.set_ylim(-1.15, 1.15)
            columns["source"] += [source.source] * NUM_PHASES
            columns["num_episodes"] += [task.actions.count] * NUM_PHASES
            columns["phase"] += phases.tolist()
            for i, dimension in enumerate(ACTION_DIMENSIONS):
                columns.setdefault(f"{dimension}_mean", []).extend(mean[:, i].tolist())
                columns.setdefault(f"{dimension}_std", []).extend(std[:, i].tolist())
        for axes in panels[len(sources) :]:
            axes.set_visible(False)
        panels[0].xaxis.set_major_formatter(PercentFormatter(1))
        figure.supxlabel("share of the episode", fontsize=10)
        figure.supylabel("y action", fontsize=10)
    return Plot(name, "Mean and standard deviation of the y action", figure, columns)


def hand_paths(sources: Sequence[SourceQuality], name: str = "paths") -> Plot | None:
    """Draws the hand's paths as agentview's camera sees the table; None without any.

    A column per source, from above and from the front, each with the human path on top if there
    are no more than two.
    """
    drawn = [source for source in sources if source.hand_paths]
    if not drawn:
        return None
    on_top = [s for s in drawn if s.source == "human" and len(s.hand_paths) <= _FEW_PATHS]
    shown = [source for source in drawn if source not in on_top] or on_top
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(5.2, 2, len(shown), sharex=True, sharey="row")
        above, front = axes[: len(shown)], axes[len(shown) :]
        for column, source in enumerate(shown):
            above[column].set_title(source.label, fontsize=10)
            front[column].set_xlabel("y, m")
            for each in dict.fromkeys([source, *on_top]):
                _draw_paths(above[column], front[column], each)
            for panel in (above[column], front[column]):
                panel.locator_params(nbins=5 if len(shown) < 3 else 3)
        above[0].set_ylabel("from above: x, m")
        above[0].invert_yaxis()  # x points from the robot to the camera: downwards
        front[0].set_ylabel("from the front: z, m")
        if len(drawn) > len(shown):
            for source in drawn:
                above[0].plot([], [], color=COLORS[source.source], label=source.label)
            figure.legend(loc="outside lower center", ncols=len(drawn))
    return Plot(name, "Paths of the hand", figure, _path_columns(drawn))


def _draw_paths(above: Axes, front: Axes, source: SourceQuality) -> None:
    few = len(source.hand_paths) <= _FEW_PATHS
    style: dict[str, Any] = {"linewidth": 2.0, "zorder": 3} if few else {"linewidth": 0.8}
    for x, y, z in (path.T for path in source.hand_paths):
        for axes, up in ((above, x), (front, z)):
            axes.plot(y, up, color=COLORS[source.source], alpha=1 if few else 0.45, **style)


def _path_columns(sources: Sequence[SourceQuality]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {key: [] for key in ("source", "path", "phase", *"xyz")}
    for source in sources:
        for number, path in enumerate(source.hand_paths):
            columns["source"] += [source.source] * len(path)
            columns["path"] += [number] * len(path)
            columns["phase"] += np.linspace(0, 1, len(path)).tolist()
            for axis, values in zip("xyz", path.T, strict=True):
                columns[axis] += values.tolist()
    return columns


def _strip(axes: Axes, row: int, values: np.ndarray, color: str, estimate: Estimate | None) -> None:
    """Dots of one source, scattered a little across its row, and its mean with an interval."""
    if len(values) == 1:
        axes.plot(values, [row], "D", color=color, markersize=8)
        return
    few = len(values) < 30
    scatter = np.random.default_rng(0).uniform(-0.25, 0.25, len(values))
    axes.plot(
        values,
        row + scatter,
        "o",
        color=color,
        markersize=5 if few else 3.5,
        alpha=0.8 if few else max(0.08, 0.5 * min(1, 200 / len(values))),
        markeredgewidth=0,
        linewidth=0,
        rasterized=len(values) > 500,  # thousands of circles would make a page of megabytes
    )
    if estimate:
        axes.plot([estimate.low, estimate.high], [row, row], color=INK, linewidth=2)
        axes.plot([estimate.mean], [row], "o", color=INK, markersize=5)


def _show_two_ticks(axes: Axes, values: np.ndarray) -> None:
    """Widens a logarithmic axis until it shows two powers of ten: one alone gives no scale."""
    positive = values[values > 0]
    if len(positive):
        low = 10.0 ** np.floor(np.log10(positive.min()))
        high = 10.0 ** np.ceil(np.log10(positive.max()))
        axes.set_xlim(low, high if high > low else low * 10)
