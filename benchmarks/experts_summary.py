"""What the rows of docs/results/experts.json come to: claims over tasks, and a figure.

What it shows: the expert's episodes beside the human's and its warm start's, paired by task, as
changes of the geometric mean with 95 % intervals (bootstrap over tasks); success, length and jerk
of each task as a figure.

How to run it (seconds)::

    python benchmarks/experts_summary.py

Results to expect: a line per claim, docs/results/experts.png, and ``RESULT`` with the changes in %.
"""

import json
import math
from pathlib import Path

from rl_datagen.core.intervals import bootstrap_mean
from rl_datagen.report.drawing import ACCENT, COLORS, QUIET
from rl_datagen.tasks import TASKS, get_task

from matplotlib.axes import Axes
from matplotlib.figure import Figure

DOCS = Path(__file__).parent.parent / "docs/results"
CLAIMS = {
    "length": ("human", "warm"),
    "jerk": ("human", "warm"),
    "action_std": ("warm",),
}
LABELS = {"human": "human", "warm": "warm start", "expert": "expert"}


def main() -> None:
    rows = json.loads((DOCS / "experts.json").read_text())
    print("RESULT", json.dumps(claims(rows)))
    draw(rows)


def claims(rows: list[dict]) -> dict[str, list[float]]:
    """Says how much less each measure of the experts' is; returns change and interval in %."""
    found = {}
    for measure, references in CLAIMS.items():
        for reference in references:
            pairs = [(row[f"{measure}_expert"], row[f"{measure}_{reference}"]) for row in rows]
            log = bootstrap_mean([[math.log(a / b)] for a, b in pairs])
            assert log is not None
            change = [round(100 * math.expm1(value), 1) for value in (log.mean, log.low, log.high)]
            lower = sum(a < b for a, b in pairs)
            found[f"{measure} against {reference}"] = change
            print(
                f"{measure} against {LABELS[reference]}: {change[0]:+} % ({change[1]:+} to "
                f"{change[2]:+}), lower on {lower} of {len(rows)} tasks"
            )
    return found


def draw(rows: list[dict]) -> None:
    """Success, length and jerk, a column a task, suites beside one another."""
    rows = sorted(rows, key=lambda row: TASKS.index(get_task(row["task"])))
    figure = Figure(figsize=(11, 7.2), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    percent = [[100 * row[name] for row in rows] for name in ("warm_start", "expert")]
    steps(panels[0], percent, "success on newly drawn\ninit states, %")
    panels[0].axhline(95, color=COLORS["human"], linewidth=0.8)
    for panel, measure in zip(panels[1:], ("length", "jerk"), strict=True):
        ratios = [
            [row[f"{measure}_{source}"] / row[f"{measure}_human"] for row in rows]
            for source in ("warm", "expert")
        ]
        steps(panel, ratios, f"{measure} as a multiple\nof the human's")
        panel.axhline(1, color=COLORS["human"], linewidth=0.8)
    panels[2].set_yscale("log", base=2)
    panels[2].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    panels[0].legend(frameon=False, loc="lower left", fontsize=9)
    mark_suites(panels, rows)
    figure.savefig(DOCS / "experts.png", dpi=110)


def steps(panel: Axes, values: list[list[float]], label: str) -> None:
    """Draws a line from each warm start to its expert."""
    warm, expert = values
    places = range(len(warm))
    panel.vlines(places, warm, expert, color=QUIET, linewidth=1)
    panel.plot(places, warm, "o", color=QUIET, markersize=4, label=LABELS["warm"])
    panel.plot(places, expert, "o", color=ACCENT, markersize=5, label=LABELS["expert"])
    panel.set_ylabel(label)
    panel.grid(axis="y", alpha=0.2)
    panel.spines[["top", "right"]].set_visible(False)


def mark_suites(panels: list[Axes], rows: list[dict]) -> None:
    """Names the suites below, with a line between each two."""
    suites = [row["task"].partition("/")[0] for row in rows]
    names = list(dict.fromkeys(suites))
    begins = [suites.index(name) for name in names]
    for panel in panels:
        for begin in begins[1:]:
            panel.axvline(begin - 0.5, color=QUIET, linewidth=0.6)
    ends = [*begins[1:], len(suites)]
    middles = [(begin + end - 1) / 2 for begin, end in zip(begins, ends, strict=True)]
    panels[-1].set_xticks(middles, [name.removeprefix("libero_") for name in names])
    panels[-1].set_xlabel("suite of LIBERO")
    panels[-1].tick_params(axis="x", length=0)
    panels[-1].set_xlim(-0.7, len(rows) - 0.3)


if __name__ == "__main__":
    main()
