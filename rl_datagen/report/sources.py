"""The episodes of each source, measured one by one."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from rl_datagen.core.curves import resample
from rl_datagen.core.intervals import Estimate, bootstrap_mean
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.report.consistency import Spread
from rl_datagen.report.metrics import EpisodeQuality, measure

SOURCE_LABELS: dict[Source, str] = {
    "human": "Human",
    "amplified": "Amplified",
    "gaussian_rl": "Gaussian RL",
    "gaussian_rl_sampled": "Gaussian RL, sampled",
    "diffusion_rl": "Diffusion RL",
    "recovery": "Recoveries",
    "pattern": "Other patterns",
}
"""In the order of every table and figure."""

MEASURES = {
    "length": ("Length", "env steps"),
    "num_noops": ("No-ops", "per episode"),
    "path_length": ("Hand path", "m"),
    "mean_squared_jerk": ("Mean squared jerk", "(m/s³)²"),
    "spectral_arc_length": ("SPARC", "nearer 0: smoother"),
    "action_std": ("Action deviation", "in −1 to 1"),
    "paced_jerk": ("Jerk at equal length", "(m/s³)²"),
    "paced_std": ("Motion deviation at equal length", "in −1 to 1"),
}
"""Title and unit of what an estimate exists of."""

ACTION_DIMENSIONS = ("x", "y", "z", "rx", "ry", "rz", "gripper")

_VARIANCES = {"action_std": "action_variance", "paced_std": "paced_variance"}
_MAX_PATHS = 25  # more lines than this hide each other
_WAYPOINT = 11  # every so many phases are kept of each path: ten points, both ends among them


class TaskQuality:
    """One source's episodes of one task: their measures, and sums of their curves.

    Attributes:
        episodes: Measures of each.
        actions: Of their actions.
        paths: Of their hand positions, m.
        hand_paths: Hand positions ``[P, 3]`` (m) of the first of them.
        waypoints: Ten of them of each, both ends among them.
    """

    def __init__(self) -> None:
        self.episodes: list[EpisodeQuality] = []
        self.actions = Spread(len(ACTION_DIMENSIONS))
        self._motions = Spread(len(ACTION_DIMENSIONS) - 1)
        self.paths = Spread(3)
        self.hand_paths: list[Float64[np.ndarray, "P 3"]] = []
        self.waypoints: list[Float64[np.ndarray, "W 3"]] = []

    def add(self, trajectory: Trajectory) -> None:
        """Measures one more episode."""
        self.episodes.append(measure(trajectory, self.actions, self._motions))
        self.paths.add(trajectory.ee_pos)
        path = resample(trajectory.ee_pos)
        self.waypoints.append(path[::_WAYPOINT].copy())
        if len(self.hand_paths) < _MAX_PATHS:
            self.hand_paths.append(path)

    def finish(self, length: float) -> None:
        """Adds the measures that depend on the other episodes.

        Args:
            length: Env steps that the paced measures are at.
        """
        mean = self.paths.mean[::_WAYPOINT]
        apart = [np.linalg.norm(path - mean, axis=1) for path in self.waypoints]
        self.episodes = [
            replace(
                episode.at_length(length), path_deviation=float(np.sqrt(np.square(each).mean()))
            )
            for episode, each in zip(self.episodes, apart, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class SourceQuality:
    """The episodes of one source.

    Attributes:
        source: What acted.
        tasks: Its episodes of each task.
    """

    source: Source
    tasks: Mapping[str, TaskQuality]

    @property
    def label(self) -> str:
        """Its name on a page."""
        return SOURCE_LABELS[self.source]

    @property
    def episodes(self) -> list[EpisodeQuality]:
        """Measures of all episodes."""
        return [episode for task in self.tasks.values() for episode in task.episodes]

    @property
    def hand_paths(self) -> list[Float64[np.ndarray, "P 3"]]:
        """Hand positions of some episodes, m."""
        return [path for task in self.tasks.values() for path in task.hand_paths]

    def over(self, tasks: Collection[str]) -> "SourceQuality":
        """Returns the part of these tasks."""
        return SourceQuality(self.source, {task: self.tasks[task] for task in tasks})

    def values(self, measure: str) -> list[list[float]]:
        """Returns one field of ``EpisodeQuality``: per task, a value per episode."""
        return [
            [float(getattr(episode, measure)) for episode in task.episodes]
            for task in self.tasks.values()
        ]

    def estimate(self, measure: str, confidence: float = 0.95) -> Estimate | None:
        """Returns a measure's mean over tasks, which count the same, with its bootstrap interval.

        Args:
            measure: One of ``MEASURES``. A deviation is the root of the mean variance.
            confidence: Level of the interval.

        Returns:
            None without any finite value.
        """
        if measure in _VARIANCES:
            variance = self.estimate(_VARIANCES[measure], confidence)
            return variance and variance.root()
        return bootstrap_mean(self.values(measure), confidence)

    def action_deviations(self) -> Float64[np.ndarray, " 7"]:
        """Returns the standard deviation of each action dimension over a task's episodes.

        At the same share of their length; root mean square over that share and the tasks. NaN
        where no task has two episodes.
        """
        found = [task.actions.variance() for task in self.tasks.values() if task.actions.count > 1]
        return np.sqrt(np.mean(found, axis=(0, 1))) if found else np.full(7, np.nan)


def measure_sources(trajectories: Iterable[Trajectory]) -> tuple[SourceQuality, ...]:
    """Measures episodes one by one, each up to where it first reached the goal.

    What is kept of an episode is its measures and ten points of its path. The paced measures are
    at the median length of a task's episodes, whatever their source.

    Args:
        trajectories: Of any tasks and sources.

    Returns:
        Those that occur, in the order of ``SOURCE_LABELS``.
    """
    found: dict[Source, dict[str, TaskQuality]] = {source: {} for source in SOURCE_LABELS}
    for trajectory in trajectories:
        tasks = found[trajectory.source]
        tasks.setdefault(trajectory.task, TaskQuality()).add(trajectory.to_success())
    for task in {task for tasks in found.values() for task in tasks}:
        held = [tasks[task] for tasks in found.values() if task in tasks]
        median = float(np.median([e.length for quality in held for e in quality.episodes]))
        for quality in held:
            quality.finish(median)
    return tuple(SourceQuality(source, tasks) for source, tasks in found.items() if tasks)
