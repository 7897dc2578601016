"""What datasets of demonstrations hold: counts, attempts, quality and spread, task by task."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from rl_datagen.core.errors import DatasetError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.manifest import MANIFEST_NAME, read_manifest
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.report.consistency import Spread
from rl_datagen.report.plots import hand_paths
from rl_datagen.report.sources import SOURCE_LABELS, SourceQuality, measure_sources
from rl_datagen.report.stored import Stored, stored_episodes
from rl_datagen.tasks import get_task


@dataclass(frozen=True)
class TaskDemonstrations:
    """One source's demonstrations of one task.

    Attributes:
        task: Task id.
        source: What acted.
        episodes: Stored.
        successes: Those that reach the goal.
        attempts: Episodes run for them; None: not recorded.
        success_rate: Successes per attempt; None: not recorded.
        length_mean: Env steps.
        noops: No-ops in all episodes together.
        jerk_mean: Mean squared jerk of the hand, (m/s^3)^2.
        shipped_init_states: Different shipped init states that episodes start from.
        drawn_init_states: Newly drawn ones.
        init_state_uses_max: Most episodes from one init state.
        path_spread: Standard deviation of the hand's position over the episodes, at the same share
            of their length, root mean square over that share, m; None for one episode.
    """

    task: str
    source: Source
    episodes: int
    successes: int
    attempts: int | None
    success_rate: float | None
    length_mean: float
    noops: int
    jerk_mean: float | None
    shipped_init_states: int
    drawn_init_states: int
    init_state_uses_max: int
    path_spread: float | None


def find_datasets(folder: Path) -> list[Path]:
    """Returns the folder, if it is a dataset, or else the datasets in it.

    Raises:
        DatasetError: There is none.
    """
    found = [path.parent for path in sorted(folder.glob(f"*/{MANIFEST_NAME}"))]
    if (folder / MANIFEST_NAME).exists():
        found = [folder]
    if not found:
        raise DatasetError(
            f"'{folder}' is not a dataset and holds none. Make one with `rl-datagen demos import` "
            "or `rl-datagen demos amplify`, or give the folder of one."
        )
    return found


def demonstrations_info(
    datasets: Sequence[Path], paths: Path | None = None, progress: Progress = SILENT
) -> Iterator[TaskDemonstrations]:
    """Yields what datasets hold, task by task and source by source.

    Args:
        datasets: Their folders.
        paths: Receives a picture of the hand's paths per task, ``<suite>-<index>`` as PNG, SVG
            and CSV: every source.
        progress: Told of each task.

    Raises:
        DatasetError: A dataset is damaged.
    """
    shards = [(d, shard) for d in datasets for shard in read_manifest(d).shards]
    tasks = sorted({get_task(shard.task) for _, shard in shards})
    progress.start("measure", len(tasks), "tasks")
    for task in tasks:
        drawn: list[SourceQuality] = []
        for dataset in datasets:
            starts: dict[Source, _Starts] = {source: _Starts() for source in SOURCE_LABELS}
            sources = measure_sources(_noting(read_trajectories(dataset, task=task.id), starts))
            stored = stored_episodes(dataset, task.id)
            for source in sources:
                yield _describe(source, starts[source.source], stored[source.source])
            drawn += sources
        if paths and (picture := hand_paths(drawn, f"{task.suite}-{task.index}")):
            picture.save(paths)
        progress.advance(1, task.id)


class _Starts:
    """The init states that episodes start from."""

    def __init__(self) -> None:
        self.shipped: set[int] = set()
        self.uses: Counter[bytes] = Counter()

    def add(self, episode: Trajectory) -> None:
        self.uses[blake2b(episode.init_state.tobytes(), digest_size=16).digest()] += 1
        if episode.init_state_index is not None:
            self.shipped.add(episode.init_state_index)


def _noting(
    episodes: Iterable[Trajectory], starts: Mapping[Source, _Starts]
) -> Iterator[Trajectory]:
    for episode in episodes:
        starts[episode.source].add(episode)
        yield episode


def _describe(quality: SourceQuality, starts: _Starts, stored: Stored) -> TaskDemonstrations:
    ((task, own),) = quality.tasks.items()
    jerk = quality.estimate("mean_squared_jerk")
    return TaskDemonstrations(
        task=task,
        source=quality.source,
        episodes=stored.num_episodes,
        successes=stored.num_successes,
        attempts=stored.num_attempts,
        success_rate=stored.num_successes / stored.num_attempts if stored.num_attempts else None,
        length_mean=float(np.mean([episode.length for episode in own.episodes])),
        noops=sum(episode.num_noops for episode in own.episodes),
        jerk_mean=jerk.mean if jerk else None,
        shipped_init_states=len(starts.shipped),
        drawn_init_states=len(starts.uses) - len(starts.shipped),
        init_state_uses_max=max(starts.uses.values()),
        path_spread=path_spread(own.paths) if own.paths.count > 1 else None,
    )


def path_spread(paths: Spread) -> float:
    """Returns how far apart hand paths are at the same share of their length, m.

    The standard deviation of the position over the paths, root mean square over that share.
    """
    return float(np.sqrt(paths.variance(ddof=0).sum(axis=1).mean()))
