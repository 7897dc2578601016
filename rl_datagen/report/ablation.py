"""What each choice is worth: curves, a table and the paper's statements (Fig. 5, Sec. IV-C)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from jaxtyping import Float64
from matplotlib.ticker import PercentFormatter

from rl_datagen.core.intervals import Estimate, bootstrap_mean
from rl_datagen.core.provenance import provenance
from rl_datagen.core.storage import write_json, write_text
from rl_datagen.report.drawing import INK, STYLE, Plot, new_figure
from rl_datagen.report.page import number

Expected = Literal["worse", "not better"]

PANELS: Mapping[str, Mapping[str, tuple[str, str, Expected | None]]] = {
    "architecture": {
        "mlp_denoiser": ("MLP", "an MLP collapses", "worse"),
        "vit": ("ViT", "a ViT with an MLP collapses", "worse"),
    },
    "sampler": {
        "ddpm": ("DDPM, 20 steps", "DDIM's 5 steps do as well or better", "not better"),
        "ddpm_100": ("DDPM, 100 steps", "DDIM's 5 steps do as well or better", "not better"),
        "denoising_steps_1": ("DDIM, 1 step", "", None),
        "denoising_steps_10": ("DDIM, 10 steps", "", None),
    },
    "learning rate": {
        "constant_lr": ("fixed, the peak", "a high fixed rate collapses", "worse"),
        "constant_lr_low": ("fixed, a tenth", "a low fixed rate learns too slowly", "worse"),
    },
    "experience": {
        "few_simulators": ("few simulators", "few simulators collapse", "worse"),
        "very_few_simulators": ("very few simulators", "few simulators collapse", "worse"),
    },
    "policy": {"gaussian": ("Gaussian", "", None)},
}
"""Arms by the panel they are drawn in: label, what the paper says, and what that expects of the
arm's success against the default's."""

_GRID = 60
_COLORS = ("#3b82f6", "#e8772e", "#2ea36a", "#a855f7", "#8a94a6")


@dataclass(frozen=True)
class Curve:
    """The learning curve of one cell.

    Attributes:
        arm: Short name.
        task: Task id.
        seed: Counted from 0.
        rows: As in ``learning_curve.json``; the first, of iteration 0, is the warm start's.
    """

    arm: str
    task: str
    seed: int
    rows: Sequence[Mapping[str, Any]]

    @property
    def evaluated(self) -> Sequence[Mapping[str, Any]]:
        """The rows after which the policy was evaluated."""
        return [row for row in self.rows if row.get("evaluation_success_rate") is not None]

    def last(self, column: str) -> float:
        """Returns a column of the last evaluation; NaN where it has none."""
        value = self.evaluated[-1][f"evaluation_{column}"]
        return float("nan") if value is None else float(value)

    @property
    def sampling_ms(self) -> float:
        """Wall time of sampling, ms per env step; NaN without an iteration."""
        rows = [row for row in self.rows if row["iteration"]]
        steps = sum(row["num_env_steps"] for row in rows)
        return 1000 * sum(row["seconds_sample"] for row in rows) / steps if steps else float("nan")


@dataclass(frozen=True)
class ArmResult:
    """An arm over its cells; the default's cells of the same tasks and seeds are its reference.

    Attributes:
        arm: Short name.
        num_tasks: Tasks.
        num_cells: Tasks times seeds.
        warm_start: Success before the first iteration.
        success: After the last one.
        change: The default's subtracted, cell by cell.
        length: Env steps of successful episodes.
        jerk: Their mean squared jerk, (m/s^3)^2.
        env_steps: Of learning, mean over cells.
        sampling: Wall time of sampling an env step, over the default's.
        paper: What the paper says; empty where it says nothing.
        holds: Whether that is seen here.
    """

    arm: str
    num_tasks: int
    num_cells: int
    warm_start: Estimate | None
    success: Estimate | None
    change: Estimate | None
    length: Estimate | None
    jerk: Estimate | None
    env_steps: float
    sampling: float | None
    paper: str
    holds: str


def summarise_arms(curves: Sequence[Curve], default: str) -> list[ArmResult]:
    """Returns a row per arm, in the order of their first cells.

    Args:
        curves: Of finished cells.
        default: The arm that others are compared with.
    """
    reference = {(c.task, c.seed): c for c in curves if c.arm == default}
    arms = dict.fromkeys(curve.arm for curve in curves)
    return [_summarise(arm, [c for c in curves if c.arm == arm], reference) for arm in arms]


def _summarise(
    arm: str, curves: Sequence[Curve], reference: Mapping[tuple[str, int], Curve]
) -> ArmResult:
    pairs = [(c, reference[c.task, c.seed]) for c in curves if (c.task, c.seed) in reference]
    changes = {
        task: [a.last("success_rate") - b.last("success_rate") for a, b in pairs if a.task == task]
        for task in dict.fromkeys(a.task for a, _ in pairs)
    }
    is_default = all(a is b for a, b in pairs)
    change = None if is_default else bootstrap_mean(list(changes.values()))
    ratios = [a.sampling_ms / b.sampling_ms for a, b in pairs]
    _, paper, expected = _entry(arm)
    return ArmResult(
        arm=arm,
        num_tasks=len({curve.task for curve in curves}),
        num_cells=len(curves),
        warm_start=_over_tasks(curves, [c.rows[0]["evaluation_success_rate"] for c in curves]),
        success=_over_tasks(curves, [c.last("success_rate") for c in curves]),
        change=change,
        length=_over_tasks(curves, [c.last("success_len_mean") for c in curves]),
        jerk=_over_tasks(curves, [c.last("jerk") for c in curves]),
        env_steps=float(np.mean([c.rows[-1]["num_env_steps_lifetime"] for c in curves])),
        sampling=None if is_default or not ratios else float(np.median(ratios)),
        paper=paper,
        holds=_holds(expected, change),
    )


def _over_tasks(curves: Sequence[Curve], values: Sequence[float]) -> Estimate | None:
    tasks: dict[str, list[float]] = {}
    for curve, value in zip(curves, values, strict=True):
        tasks.setdefault(curve.task, []).append(value)
    return bootstrap_mean(list(tasks.values()))


def _holds(expected: Expected | None, change: Estimate | None) -> str:
    """Returns whether the whole interval of the change agrees with what is expected."""
    if expected is None or change is None:
        return ""
    if expected == "not better":
        return "no" if change.low > 0 else "yes"
    if change.high < 0:
        return "yes"
    return "no" if change.low > 0 else "no difference shown"


def _entry(arm: str) -> tuple[str, str, Expected | None]:
    return next((arms[arm] for arms in PANELS.values() if arm in arms), (arm, "", None))


def write_ablation(folder: Path, curves: Sequence[Curve], default: str) -> None:
    """Writes ``ablation.json``, ``ablation.md`` and ``ablation.{png,svg,csv}``.

    Args:
        folder: Receives them.
        curves: Of finished cells.
        default: The arm that others are compared with.
    """
    results = summarise_arms(curves, default)
    table = [asdict(result) for result in results]
    write_json(folder / "ablation.json", {"arms": table, "provenance": provenance()})
    write_text(folder / "ablation.md", _markdown(results))
    if default in (arms := {curve.arm for curve in curves}) and len(arms) > 1:
        ablation_plot(curves, default).save(folder)


def _markdown(results: Sequence[ArmResult]) -> str:
    header = (
        *("arm", "cells", "warm start", "success", "against the default", "length", "jerk"),
        *("env steps", "sampling an env step", "the paper", "seen here"),
    )
    lines = [header, ["---"] * len(header), *map(_cells, results)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    note = (
        "Means over tasks of means over seeds, with 95 % bootstrap intervals that draw tasks, then "
        "seeds; success in %, after the last iteration, from newly drawn init states, the same for "
        "all arms; lengths and jerks of successful episodes; sampling: wall time over the "
        "default's."
    )
    return f"{body}\n\n{note}\n"


def _cells(result: ArmResult) -> list[str]:
    return [
        _entry(result.arm)[0],
        str(result.num_cells),
        _percent(result.warm_start),
        _percent(result.success),
        _percent(result.change, sign=True),
        _number(result.length),
        _number(result.jerk),
        f"{result.env_steps:,.0f}",
        "" if result.sampling is None else f"{result.sampling:.2f}x",
        result.paper,
        result.holds,
    ]


def _percent(estimate: Estimate | None, *, sign: bool = False) -> str:
    if estimate is None:
        return ""
    form = "{:+.0f}" if sign else "{:.0f}"
    mean, low, high = (form.format(100 * v) for v in (estimate.mean, estimate.low, estimate.high))
    return f"{mean} ({low} to {high})"


def _number(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return f"{number(estimate.mean)} ({number(estimate.low)} to {number(estimate.high)})"


def ablation_plot(curves: Sequence[Curve], default: str) -> Plot:
    """Draws success against env steps: a panel per choice, the default in each.

    Lines are means over cells, bands their standard error.
    """
    panels = list(_panels({curve.arm for curve in curves} - {default}))
    columns: dict[str, list[object]] = {
        key: [] for key in ("panel", "arm", "env_steps", "success", "standard_error", "num_cells")
    }
    num_columns = min(2, len(panels))
    rows = -(-len(panels) // num_columns)
    with mpl.rc_context(STYLE):
        figure, axes = new_figure(0.5 + 2.1 * rows, rows, num_columns, sharey=True)
        for panel, (title, arms) in zip(axes, panels, strict=False):
            for color, arm in zip((INK, *_COLORS), [default, *arms], strict=False):
                steps, mean, error, count = _mean_curve([c for c in curves if c.arm == arm])
                label = default if arm == default else _entry(arm)[0]
                panel.plot(steps, mean, color=color, label=label)
                panel.fill_between(
                    steps, mean - error, mean + error, color=color, alpha=0.15, linewidth=0
                )
                columns["panel"] += [title] * _GRID
                columns["arm"] += [arm] * _GRID
                columns["num_cells"] += [count] * _GRID
                for key, values in zip(list(columns)[2:5], (steps, mean, error), strict=True):
                    columns[key] += values.tolist()
            panel.set_title(title, fontsize=10)
            panel.set_ylim(-0.03, 1.03)
            panel.yaxis.set_major_formatter(PercentFormatter(1))
            panel.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:.0f}k")
            panel.legend(fontsize=7, loc="lower right")
        for panel in axes[len(panels) :]:
            panel.set_visible(False)
        figure.supxlabel("env steps of learning", fontsize=10)
        figure.supylabel("success", fontsize=10)
    return Plot("ablation", "Success against env steps, by choice", figure, columns)


def _panels(arms: set[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields the panels that have an arm; what is in none has one of its own."""
    for title, known in PANELS.items():
        if shown := [arm for arm in known if arm in arms]:
            yield title, shown
            arms = arms - set(shown)
    if arms:
        yield "others", sorted(arms)


def _mean_curve(
    curves: Sequence[Curve],
) -> tuple[Float64[np.ndarray, " N"], Float64[np.ndarray, " N"], Float64[np.ndarray, " N"], int]:
    """Returns env steps, mean success and its standard error, as far as every cell went."""
    points = [
        np.array(
            [(r["num_env_steps_lifetime"], r["evaluation_success_rate"]) for r in curve.evaluated],
            np.float64,
        )
        for curve in curves
    ]
    steps = np.linspace(0, min(each[-1, 0] for each in points), _GRID)
    values = np.stack([np.interp(steps, each[:, 0], each[:, 1]) for each in points])
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0 * steps
    return steps, values.mean(axis=0), error, len(values)
