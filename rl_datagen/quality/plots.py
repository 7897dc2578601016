"""Figures as SVG text that takes the page's text colour, so that it is at home in light and dark.

Each figure is about 370 units wide: its 10-unit letters stay readable on a telephone.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from rl_datagen.quality.content import SourceQuality, SuccessRate
from rl_datagen.quality.statistics import bootstrap_mean

COLORS = {
    "human": "#e8772e",
    "amplified": "#8a94a6",
    "gaussian_rl": "#2ea36a",
    "diffusion_rl": "#3b82f6",
}
ACCENT = COLORS["diffusion_rl"]
QUIET = COLORS["amplified"]

_INK = "#010203"  # stands for the page's text colour until the SVG is written
_WIDTH = 5.2  # inches at 72 units
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
}


def success_plot(rates: Sequence[SuccessRate], confidence: float = 0.95) -> str:
    """Returns an SVG of success rates with Wilson intervals, one row per evaluation."""
    with mpl.rc_context(_STYLE):
        figure, (axes,) = _figure(0.75 + 0.55 * len(rates), 1)
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
        return _svg(figure, "success", "Success rates with Wilson intervals")


def learning_curve(curve: Sequence[Mapping[str, Any]]) -> str | None:
    """Returns an SVG of success rate and episode length over iterations; None without points.

    Args:
        curve: One mapping per iteration with ``success_rate`` or ``episode_len_mean``, and
            ``iteration`` (by default the position, from 1). None stands for unknown.
    """
    panels = [
        ("success_rate", "success rate", ACCENT),
        ("episode_len_mean", "env steps per episode", COLORS["gaussian_rl"]),
    ]
    panels = [panel for panel in panels if any(p.get(panel[0]) is not None for p in curve)]
    if not panels:
        return None
    with mpl.rc_context(_STYLE):
        figure, rows = _figure(0.6 + 1.45 * len(panels), len(panels), sharex=True)
        for axes, (key, label, color) in zip(rows, panels, strict=True):
            values = [(p.get("iteration", i + 1), p.get(key)) for i, p in enumerate(curve)]
            x, y = np.array([(i, v) for i, v in values if v is not None], np.float64).T
            axes.plot(x, y, color=color, marker="o", markersize=5)
            axes.set_ylabel(label)
            axes.margins(x=0.04, y=0.15)
            if key == "success_rate":
                axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
                axes.set_ylim(min(0.95, max(0.0, float(y.min()) - 0.1)), 1.03)
        rows[-1].set_xlabel("DPPO iteration")
        rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.align_ylabels()
        return _svg(figure, "learning", "Learning curve")


def distribution_plot(
    sources: Sequence[SourceQuality], measure: str, label: str, *, log: bool = False
) -> str | None:
    """Returns an SVG with a dot per episode and the mean of each source; None without values.

    Args:
        sources: One row each.
        measure: A field of ``EpisodeQuality``.
        label: Of the axis, with its unit.
        log: Logarithmic axis.
    """
    rows = [(source, np.array(source.values(measure))) for source in sources]
    rows = [(source, values[np.isfinite(values)]) for source, values in rows]
    rows = [(source, values) for source, values in rows if len(values)]
    if not rows:
        return None
    with mpl.rc_context(_STYLE):
        figure, (axes,) = _figure(0.8 + 0.6 * len(rows), 1)
        for row, (source, values) in enumerate(rows):
            _strip(axes, row, values, COLORS[source.source])
        axes.set(
            ylim=(len(rows) - 0.5, -0.5),
            yticks=range(len(rows)),
            yticklabels=[f"{source.label}\nn = {len(values)}" for source, values in rows],
            xlabel=label,
        )
        if log:
            axes.set_xscale("log")
            _show_two_ticks(axes, np.concatenate([values for _, values in rows]))
        axes.grid(visible=False, axis="y")
        return _svg(figure, measure, f"{label} per source")


def hand_paths(sources: Sequence[SourceQuality]) -> str | None:
    """Returns an SVG of the hand's paths as agentview's camera sees the table; None without any.

    A column per source, from above and from the front, each with the human path on top.
    """
    drawn = [source for source in sources if source.hand_paths]
    if not drawn:
        return None
    human = [source for source in drawn if source.source == "human"]
    columns = [source for source in drawn if source.source != "human"] or human
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 5.2), layout="constrained", facecolor="none")
        grid = figure.subplots(2, len(columns), sharex=True, sharey="row", squeeze=False)
        for (above, front), source in zip(grid.T, columns, strict=True):
            above.set_title(source.label, fontsize=10)
            front.set_xlabel("y, m")
            for shown in dict.fromkeys([source, *human]):
                _draw_paths(above, front, shown)
        grid[0, 0].set_ylabel("from above: x, m")
        grid[0, 0].invert_yaxis()  # x points from the robot to the camera: downwards
        grid[1, 0].set_ylabel("from the front: z, m")
        for source in drawn:
            grid[0, 0].plot([], [], color=COLORS[source.source], label=source.label)
        figure.legend(loc="outside lower center", ncols=len(drawn))
        return _svg(figure, "paths", "Paths of the hand")


def _draw_paths(above: Axes, front: Axes, source: SourceQuality) -> None:
    few = len(source.hand_paths) <= 2
    style: dict[str, Any] = {"linewidth": 2.0, "zorder": 3} if few else {"linewidth": 0.8}
    for x, y, z in (path.T for path in source.hand_paths):
        for axes, up in ((above, x), (front, z)):
            axes.plot(y, up, color=COLORS[source.source], alpha=1 if few else 0.45, **style)
            axes.locator_params(nbins=5)


def _figure(
    height: float, rows: int, columns: int = 1, *, sharex: bool = False
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained", facecolor="none")
    grid = figure.subplots(rows, columns, sharex=sharex, squeeze=False)
    return figure, list(grid.flat)


def _strip(axes: Axes, row: int, values: np.ndarray, color: str) -> None:
    """Dots of one source, scattered a little across its row, and its mean with an interval."""
    if len(values) == 1:
        axes.plot(values, [row], "D", color=color, markersize=8)
        return
    scatter = np.random.default_rng(0).uniform(-0.2, 0.2, len(values))
    axes.plot(values, row + scatter, "o", color=color, markersize=3.5, alpha=0.5, linewidth=0)
    estimate = bootstrap_mean(values.tolist())
    if estimate:
        axes.plot([estimate.low, estimate.high], [row, row], color=_INK, linewidth=2)
        axes.plot([estimate.mean], [row], "o", color=_INK, markersize=5)


def _show_two_ticks(axes: Axes, values: np.ndarray) -> None:
    """Widens a logarithmic axis until it shows two powers of ten: one alone gives no scale."""
    positive = values[values > 0]
    if len(positive):
        low = 10.0 ** np.floor(np.log10(positive.min()))
        high = 10.0 ** np.ceil(np.log10(positive.max()))
        axes.set_xlim(low, high if high > low else low * 10)


def _svg(figure: Figure, name: str, label: str) -> str:
    """Writes a figure as an SVG element that scales with the page and needs nothing else."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):  # same content, same bytes; distinct ids
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', "", text, count=1)
    text = re.sub(r"font: ([\d.]+px)[^;]*", r"font-size: \1", text)
    text = text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return text.replace(_INK, "currentColor")
