"""The comparison of sources as files: one self-contained page, figures, and tables for programs.

::

    <folder>/index.html  quality.json  quality.csv
             figures/length.{png,svg,csv}  mean_squared_jerk.*
                     consistency-libero_goal-3.*  paths-libero_goal-3.*
"""

import csv
import io
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from rl_datagen.core.errors import UserError
from rl_datagen.core.provenance import provenance
from rl_datagen.core.storage import write_json, write_text
from rl_datagen.data.dataset import read_episodes
from rl_datagen.data.manifest import read_manifest
from rl_datagen.report.comparison import OVERALL, Comparison, Row
from rl_datagen.report.coverage import coverages
from rl_datagen.report.drawing import Plot
from rl_datagen.report.outliers import Outlier, outliers
from rl_datagen.report.page import data_uri, page_environment
from rl_datagen.report.plots import consistency_plot, distribution_plot, hand_paths
from rl_datagen.report.sources import MEASURES, SOURCE_LABELS
from rl_datagen.report.verdicts import Verdict, verdicts
from rl_datagen.tasks import get_task

TABLE_NAME = "quality.json"

_MAX_TASKS_SHOWN = 6  # whose figures are on the page; those of the others are in the folder
_MAX_OUTLIERS_SHOWN = 12  # on the page; quality.json has all


def check_folder(folder: Path) -> None:
    """Refuses a folder that holds something else.

    Raises:
        UserError: It is a file, or holds files but no earlier report.
    """
    if folder.is_file():
        raise UserError(f"--out={folder} is a file. Give a folder for the report.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / TABLE_NAME).exists():
        raise UserError(
            f"--out={folder} holds files but no report of `rl-datagen quality`. Give an empty or a "
            "new folder; an earlier report is replaced."
        )


def write_comparison(folder: Path, comparison: Comparison) -> dict[str, Any]:
    """Writes the page, figures and tables of a comparison; replaces an earlier one.

    Args:
        folder: Receives them.
        comparison: What to show.

    Returns:
        What ``quality.json`` holds: rows, verdicts, coverage, outliers, and what they rest on.

    Raises:
        UserError: The folder holds something else.
    """
    check_folder(folder)
    rows, judged = comparison.rows(), verdicts(comparison)
    unusual = _locate(comparison, outliers(comparison.sources))
    table = _table(comparison, rows, judged, unusual)
    # First: it marks the folder as a report, which a second call may replace.
    write_json(folder / TABLE_NAME, table)
    write_text(folder / "quality.csv", _csv(rows))
    shutil.rmtree(folder / "figures", ignore_errors=True)
    shown: dict[str, Markup] = {}
    on_page = set(comparison.tasks[:_MAX_TASKS_SHOWN])
    for plot, task in _plots(comparison):
        plot.save(folder / "figures")
        if task is None or task in on_page:
            shown[plot.name] = Markup(plot.svg())
    page = page_environment().get_template("comparison.html.j2")
    text = page.render(
        c=comparison,
        table=table,
        verdicts=judged,
        measures=MEASURES,
        scopes={
            scope: [row for row in rows if row.scope == scope]
            for scope in (OVERALL, *comparison.suites, *comparison.tasks)
        },
        instructions={task: get_task(task).instruction for task in comparison.tasks},
        left_out=_by_sources(comparison),
        figures=shown,
        max_tasks_shown=_MAX_TASKS_SHOWN,
        outliers=[_shown(each, path) for each, path in unusual[:_MAX_OUTLIERS_SHOWN]],
    )
    write_text(folder / "index.html", text)
    return table


def _table(
    comparison: Comparison,
    rows: list[Row],
    judged: list[Verdict],
    unusual: Sequence[tuple[Outlier, Path]],
) -> dict[str, Any]:
    return {
        "datasets": [
            {"path": str(path), "content_hash": read_manifest(path).content_hash}
            for path in comparison.datasets
        ],
        "tasks": list(comparison.tasks),
        "left_out": {task: list(sources) for task, sources in comparison.left_out.items()},
        "confidence": comparison.confidence,
        "verdicts": [asdict(verdict) for verdict in judged],
        "rows": [_flat_success(row) for row in rows],
        "coverage": [asdict(each) for each in coverages(comparison.sources, comparison.confidence)],
        "outliers": [{**asdict(each), "dataset": str(path)} for each, path in unusual],
        "provenance": provenance(),
    }


def _plots(comparison: Comparison) -> Iterator[tuple[Plot, str | None]]:
    """Yields each figure and the task it is of; None: of all of them."""
    for measure, log in (("length", False), ("mean_squared_jerk", True)):
        plot = distribution_plot(
            comparison.sources, measure, log=log, confidence=comparison.confidence
        )
        if plot:
            yield plot, None
    for task in comparison.tasks:
        sources = [source.over([task]) for source in comparison.sources]
        for draw, name in ((consistency_plot, "consistency"), (hand_paths, "paths")):
            if plot := draw(sources, f"{name}-{task.replace('/', '-')}"):
                yield plot, task


def _locate(comparison: Comparison, found: Sequence[Outlier]) -> list[tuple[Outlier, Path]]:
    """Returns each outlier with the first dataset that holds it."""
    names = {outlier.episode_id for outlier in found}
    tasks = {outlier.task for outlier in found}
    where: dict[str, Path] = {}
    for dataset in comparison.datasets:
        for task in tasks:
            for name in names & {*read_episodes(dataset, task=task)["episode_id"].to_pylist()}:
                where.setdefault(name, dataset)
    return [(outlier, where[outlier.episode_id]) for outlier in found]


def _shown(outlier: Outlier, dataset: Path) -> dict[str, Any]:
    """Returns what the page shows of an outlier: its video, or the command that makes it."""
    video = dataset / "videos" / f"{outlier.episode_id}.mp4"
    return {
        "outlier": outlier,
        "source": SOURCE_LABELS[outlier.source],
        "dataset": dataset,
        "video": data_uri(video) if video.is_file() else None,
        "command": shlex.join(
            ["rl-datagen", "dataset", "video", str(dataset), "--episode", outlier.episode_id]
        ),
    }


def _by_sources(comparison: Comparison) -> dict[str, list[str]]:
    """Returns the tasks left out, by the labels of the sources that have them."""
    found: dict[str, list[str]] = {}
    for task, sources in comparison.left_out.items():
        labels = ", ".join(SOURCE_LABELS[source] for source in sources)
        found.setdefault(labels or "No source", []).append(task)
    return found


def _flat_success(row: Row) -> dict[str, Any]:
    values = asdict(row)
    if row.success:
        low, high = row.success.interval()
        values["success"] = {
            "num_successes": row.success.num_successes,
            "num_attempts": row.success.num_episodes,
            "rate": row.success.rate,
            "low": low,
            "high": high,
        }
    return values


def _csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ends = ("mean", "low", "high")
    deviations = rows[0].action_std
    writer.writerow(
        [
            *("scope", "source", "num_tasks", "num_episodes", "num_noops_total"),
            *(f"{measure}_{end}" for measure in MEASURES for end in ends),
            *(f"action_std_{dimension}" for dimension in deviations),
            *("num_successes", "num_attempts", "success_low", "success_high"),
        ]
    )
    for row in rows:
        success = row.success
        writer.writerow(
            [
                *(row.scope, row.source, row.num_tasks, row.num_episodes, row.num_noops),
                *(getattr(e, end, None) for e in row.estimates.values() for end in ends),
                *row.action_std.values(),
                *((success.num_successes, success.num_episodes) if success else (None, None)),
                *(success.interval() if success else (None, None)),
            ]
        )
    return text.getvalue()
