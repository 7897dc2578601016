"""Sources side by side over the tasks that all of them have (paper, Sec. V)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from hashlib import blake2b
from operator import add
from pathlib import Path

import numpy as np

from rl_datagen.core.errors import DatasetError
from rl_datagen.core.intervals import Estimate, SuccessRate
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.report.demonstrations import find_datasets
from rl_datagen.report.sources import (
    ACTION_DIMENSIONS,
    MEASURES,
    SOURCE_LABELS,
    SourceQuality,
    measure_sources,
)
from rl_datagen.report.stored import Stored, stored_episodes
from rl_datagen.tasks import get_task, select_tasks

OVERALL = "overall"

Holdings = dict[str, dict[Source, Stored]]
"""What there is, by task and source."""


@dataclass(frozen=True)
class Row:
    """One source over some tasks.

    Attributes:
        scope: ``"overall"``, a suite or a task id.
        source: What acted.
        num_tasks: Tasks.
        num_episodes: Successful episodes: those that are measured.
        num_noops: No-ops in all of them together.
        estimates: Of each of ``MEASURES``.
        action_std: Of each action dimension, as ``SourceQuality.action_deviations``; None where no
            task has two episodes.
        success: Of the attempts; None where the manifests do not say how many there were.
    """

    scope: str
    source: Source
    num_tasks: int
    num_episodes: int
    num_noops: int
    estimates: Mapping[str, Estimate | None]
    action_std: Mapping[str, float | None]
    success: SuccessRate | None = None

    @property
    def label(self) -> str:
        """The source's name on a page."""
        return SOURCE_LABELS[self.source]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Sources over the same tasks.

    Attributes:
        datasets: What was read.
        tasks: Those in which every source has a successful episode, in the order of the 130.
        left_out: The other tasks of the datasets, and which sources have a successful episode.
        sources: Their successful episodes of ``tasks``.
        stored: What the datasets hold of ``tasks``.
        confidence: Level of every interval.
    """

    datasets: tuple[Path, ...]
    tasks: tuple[str, ...]
    left_out: Mapping[str, tuple[Source, ...]]
    sources: tuple[SourceQuality, ...]
    stored: Holdings
    confidence: float = 0.95

    @property
    def suites(self) -> dict[str, list[str]]:
        """The tasks of each suite."""
        suites: dict[str, list[str]] = {}
        for task in self.tasks:
            suites.setdefault(get_task(task).suite, []).append(task)
        return suites

    def rows(self) -> list[Row]:
        """Returns a row per source: overall, for each suite and for each task."""
        scopes = {OVERALL: self.tasks, **self.suites, **{task: (task,) for task in self.tasks}}
        return [
            quality_row(
                source.over(tasks), self.confidence, scope, self._success(source.source, tasks)
            )
            for scope, tasks in scopes.items()
            for source in self.sources
        ]

    def _success(self, source: Source, tasks: Sequence[str]) -> SuccessRate | None:
        stored = reduce(add, (self.stored[task][source] for task in tasks))
        if not stored.num_attempts:
            return None
        return SuccessRate(SOURCE_LABELS[source], stored.num_successes, stored.num_attempts)


def quality_row(
    source: SourceQuality,
    confidence: float,
    scope: str = OVERALL,
    success: SuccessRate | None = None,
) -> Row:
    """Returns a source's row of a table."""
    deviations = zip(ACTION_DIMENSIONS, source.action_deviations().tolist(), strict=True)
    return Row(
        scope=scope,
        source=source.source,
        num_tasks=len(source.tasks),
        num_episodes=len(source.episodes),
        num_noops=sum(episode.num_noops for episode in source.episodes),
        estimates={measure: source.estimate(measure, confidence) for measure in MEASURES},
        action_std={name: std if np.isfinite(std) else None for name, std in deviations},
        success=success,
    )


def compare(
    folders: Sequence[Path],
    selector: str | None = None,
    progress: Progress = SILENT,
) -> Comparison:
    """Measures the successful episodes of every source, over the tasks that all sources have.

    Reads one episode at a time and keeps its measures. An episode that two datasets hold counts
    once.

    Args:
        folders: Datasets, or folders of datasets.
        selector: Only these tasks, such as ``"libero_goal"``.
        progress: Told of each task that is measured.

    Raises:
        ConfigError: The selector names no task.
        DatasetError: A folder holds no dataset, a dataset is damaged, nothing is selected, no task
            has a successful episode of every source, or two different episodes have the same id.
    """
    datasets = list({d.resolve(): d for f in folders for d in find_datasets(f)}.values())
    holdings = _holdings(datasets, selector)
    having: dict[str, tuple[Source, ...]] = {
        task: tuple(s for s in SOURCE_LABELS if held.get(s, Stored()).num_successes)
        for task, held in holdings.items()
    }
    every = {source for sources in having.values() for source in sources}
    shared = tuple(task for task, sources in having.items() if every and set(sources) == every)
    if not shared:
        raise DatasetError(_nothing_shared(having))
    progress.start("measure", len(shared), "tasks")
    repeated: set[tuple[str, Source]] = set()
    sources = measure_sources(
        _episodes(datasets, shared, repeated, lambda name: progress.advance(1, name))
    )
    for task, source in repeated:  # their attempts are in two manifests
        held = holdings[task][source]
        holdings[task][source] = Stored(held.num_episodes, held.num_successes, None)
    return Comparison(
        datasets=tuple(datasets),
        tasks=shared,
        left_out={task: sources for task, sources in having.items() if task not in shared},
        sources=sources,
        stored={task: holdings[task] for task in shared},
    )


def _holdings(datasets: Sequence[Path], selector: str | None) -> Holdings:
    """Returns what the datasets hold of the selected tasks."""
    held = [{shard.task for shard in read_manifest(dataset).shards} for dataset in datasets]
    present = {task: get_task(task) for tasks in held for task in tasks}
    selected = set(present) if selector is None else {t.id for t in select_tasks(selector)}
    chosen = sorted(task for name, task in present.items() if name in selected)
    if not chosen:
        raise DatasetError(
            f"Nothing to measure: {', '.join(map(str, datasets))} hold "
            f"{', '.join(map(str, sorted(present.values()))) or 'no episode'}"
            + (f", none of them in '{selector}'." if selector else ".")
            + " Give datasets with episodes of the tasks you select."
        )
    holdings: Holdings = {}
    for task in chosen:
        holdings[task.id] = {}
        for dataset in (d for d, tasks in zip(datasets, held, strict=True) if task.id in tasks):
            for source, stored in stored_episodes(dataset, task.id).items():
                before = holdings[task.id].get(source, Stored())
                holdings[task.id][source] = before + stored
    return holdings


def _episodes(
    datasets: Sequence[Path],
    tasks: Sequence[str],
    repeated: set[tuple[str, Source]],
    on_task: Callable[[str], object],
) -> Iterator[Trajectory]:
    """Yields each successful episode once; notes in ``repeated`` what two datasets hold."""
    for task in tasks:
        seen: dict[str, tuple[bytes, Path]] = {}
        for dataset in datasets:
            for episode in read_trajectories(dataset, task=task):
                if not episode.success:
                    continue
                digest = blake2b(episode.action.tobytes() + episode.ee_pos.tobytes()).digest()
                known, first = seen.setdefault(episode.episode_id, (digest, dataset))
                if known != digest:
                    raise DatasetError(
                        f"{first} and {dataset} hold different episodes of the same name, "
                        f"'{episode.episode_id}'. Compare one of the two datasets at a time."
                    )
                if first == dataset:
                    yield episode
                else:
                    repeated.add((task, episode.source))
        on_task(task)


def _nothing_shared(having: Mapping[str, tuple[Source, ...]]) -> str:
    lines = [f"{task} has {', '.join(sources) or 'none'}" for task, sources in having.items()]
    more = f" and {len(lines) - 5} more tasks" if len(lines) > 5 else ""
    return (
        "No task has a successful episode of every source, and sources are compared over the same "
        f"tasks: {'; '.join(lines[:5])}{more}. Give datasets that share a task, or compare fewer "
        "sources."
    )
