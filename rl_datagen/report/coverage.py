"""How much of the space between start and goal episodes cover: patterns beside a single one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from rl_datagen.core.curves import path_distance
from rl_datagen.core.intervals import Estimate, bootstrap_mean
from rl_datagen.data.patterns import MIN_PATH_DISTANCE, pattern_of
from rl_datagen.data.trajectory import Source
from rl_datagen.report.sources import SOURCE_LABELS, SourceQuality, TaskQuality

OVER_ALL_TASKS = "overall"
_OWN_WAY: tuple[Source, ...] = ("gaussian_rl", "gaussian_rl_sampled", "diffusion_rl")


@dataclass(frozen=True)
class Coverage:
    """How different the episodes of one or several sources are.

    Attributes:
        scope: A task's id, or ``"overall"``: the mean over tasks, which count the same.
        label: Names the sources.
        num_episodes: Successful episodes.
        num_approaches: Patterns whose mean paths are ``MIN_PATH_DISTANCE`` or more apart.
        distance: Between the paths of two episodes of a task at the same share of their length,
            root mean square over pairs, m; None where no task has two.
    """

    scope: str
    label: str
    num_episodes: int
    num_approaches: float
    distance: Estimate | None


def coverages(sources: Sequence[SourceQuality], confidence: float = 0.95) -> list[Coverage]:
    """Returns the coverage of each source, and of an expert's own way and its other patterns.

    Args:
        sources: Over the same tasks.
        confidence: Level of the intervals.

    Returns:
        Overall, then for each task; nothing if no episode takes another way than its expert's own.
    """
    if not any(source.source == "pattern" for source in sources):
        return []
    groups = [[source] for source in sources]
    together = [source for source in sources if source.source in (*_OWN_WAY, "pattern")]
    if len(together) > 1:
        groups.append(together)
    tasks = list(sources[0].tasks)
    scopes = {OVER_ALL_TASKS: tasks, **{task: [task] for task in tasks}}
    return [
        _coverage(scope, group, chosen, confidence)
        for scope, chosen in scopes.items()
        for group in groups
    ]


def _coverage(
    scope: str, group: Sequence[SourceQuality], tasks: Sequence[str], confidence: float
) -> Coverage:
    held = [[source.tasks[task] for source in group] for task in tasks]
    variances = [_contributions(_waypoints(each)).tolist() for each in held]
    estimate = bootstrap_mean(variances, confidence)
    return Coverage(
        scope=scope,
        label=" and ".join(SOURCE_LABELS[source.source] for source in group),
        num_episodes=sum(len(quality.episodes) for each in held for quality in each),
        num_approaches=float(np.mean([num_approaches(each) for each in held])),
        distance=estimate.root() if estimate else None,
    )


def _waypoints(group: Sequence[TaskQuality]) -> Float64[np.ndarray, "N W 3"]:
    return np.stack([path for quality in group for path in quality.waypoints])


def _contributions(paths: Float64[np.ndarray, "N W 3"]) -> Float64[np.ndarray, " M"]:
    """Returns what each path but the first says about the mean squared distance of two paths.

    Each is unbiased, and their mean is exact (Helmert's contrasts, as in ``Spread.add``), once
    patterns do not follow one another. The mean squared distance is twice the variance.
    """
    mixed = np.random.default_rng(0).permutation(paths)
    before = np.cumsum(mixed, axis=0)[:-1]
    counts = np.arange(1, len(mixed))[:, None, None]
    growth = counts / (counts + 1) * np.square(mixed[1:] - before / counts)
    return 2 * growth.sum(axis=2).mean(axis=1)


def num_approaches(group: Sequence[TaskQuality]) -> int:
    """Returns how many patterns of a task differ: in mean path, each from all others counted."""
    found: list[Float64[np.ndarray, "W 3"]] = []
    for mean in _mean_paths(group):
        if all(path_distance(mean, other) >= MIN_PATH_DISTANCE for other in found):
            found.append(mean)
    return len(found)


def _mean_paths(group: Sequence[TaskQuality]) -> Iterator[Float64[np.ndarray, "W 3"]]:
    """Yields the mean path of each pattern, the expert's own way first."""
    names = [episode.episode_id for quality in group for episode in quality.episodes]
    numbers, paths = np.array([pattern_of(name).number for name in names]), _waypoints(group)
    for number in np.unique(numbers):
        yield paths[numbers == number].mean(axis=0)
