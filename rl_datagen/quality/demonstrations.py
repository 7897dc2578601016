"""What datasets of demonstrations hold: counts, attempts, quality and spread, task by task."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rl_datagen.core.errors import DatasetError
from rl_datagen.core.storage import write_text
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.manifest import MANIFEST_NAME, Shard, read_manifest
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.quality.content import SourceQuality
from rl_datagen.quality.plots import hand_paths
from rl_datagen.tasks import get_task

_NUM_PHASES = 50  # points of normalised time


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
            f"'{folder}' is no dataset and holds none. Make one with `rl-datagen demos import` or "
            "`rl-datagen demos amplify`, or give the folder of one."
        )
    return found


def demonstrations_info(
    datasets: Sequence[Path], paths: Path | None = None
) -> Iterator[TaskDemonstrations]:
    """Yields what datasets hold, task by task and source by source.

    Args:
        datasets: Their folders.
        paths: Receives ``<suite>-<index>.svg`` per task: the hand's paths of every source.

    Raises:
        DatasetError: A dataset is damaged.
    """
    shards = [(d, shard) for d in datasets for shard in read_manifest(d).shards]
    for task in sorted({get_task(shard.task) for _, shard in shards}):
        sources: list[SourceQuality] = []
        for dataset in datasets:
            own = [shard for d, shard in shards if d == dataset and shard.task == task.id]
            if not own:
                continue
            episodes = list(read_trajectories(dataset, task=task.id))
            found: list[Source] = [episode.source for episode in episodes]
            for source in dict.fromkeys(found):
                group = [episode for episode in episodes if episode.source == source]
                quality = SourceQuality.of(source, group)
                sources.append(quality)
                # A shard's attempts are of one source.
                alone = own if len(group) == len(episodes) else []
                yield _describe(group, quality, _attempts(alone))
        if paths and (picture := hand_paths(sources)):
            write_text(paths / f"{task.suite}-{task.index}.svg", picture)


def _attempts(shards: list[Shard]) -> int | None:
    counts = [shard.num_attempts for shard in shards if shard.num_attempts is not None]
    return sum(counts) if counts and len(counts) == len(shards) else None


def _describe(
    episodes: list[Trajectory], quality: SourceQuality, attempts: int | None
) -> TaskDemonstrations:
    starts = Counter(episode.init_state.tobytes() for episode in episodes)
    shipped = {e.init_state_index for e in episodes if e.init_state_index is not None}
    successes = sum(episode.success for episode in episodes)
    jerk = quality.estimate("mean_squared_jerk")
    return TaskDemonstrations(
        task=episodes[0].task,
        source=quality.source,
        episodes=len(episodes),
        successes=successes,
        attempts=attempts,
        success_rate=successes / attempts if attempts else None,
        length_mean=float(np.mean([len(episode) for episode in episodes])),
        noops=sum(episode.num_noops for episode in quality.episodes),
        jerk_mean=jerk.mean if jerk else None,
        shipped_init_states=len(shipped),
        drawn_init_states=len(starts) - len(shipped),
        init_state_uses_max=max(starts.values()),
        path_spread=path_spread([e.ee_pos for e in episodes]) if len(episodes) > 1 else None,
    )


def path_spread(paths: Sequence[Float64[np.ndarray, "_ 3"]]) -> float:
    """Returns how far apart paths are at the same share of their length, m.

    Args:
        paths: Hand positions, m; at least two.

    Returns:
        The standard deviation of the position over the paths, root mean square over the share.
    """
    shares = np.linspace(0, 1, _NUM_PHASES)
    same = [
        [np.interp(shares, np.linspace(0, 1, len(path)), axis) for axis in path.T] for path in paths
    ]
    return float(np.sqrt(np.var(same, axis=0).sum(axis=0).mean()))
