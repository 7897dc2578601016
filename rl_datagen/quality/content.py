"""What the report shows, as plain values that any run can fill."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_datagen.data.card import DatasetInfo
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.data.verify import VerifyReport
from rl_datagen.quality.metrics import EpisodeQuality, measure
from rl_datagen.quality.statistics import Estimate, bootstrap_mean, wilson_interval

SOURCE_LABELS: dict[str, str] = {
    "human": "Human",
    "amplified": "Amplified",
    "gaussian_rl": "Gaussian RL",
    "diffusion_rl": "Diffusion RL",
}

_MAX_PATHS = 25  # more lines than this hide each other


@dataclass(frozen=True)
class SuccessRate:
    """One evaluation.

    Attributes:
        name: Of the policy, as the page shows it, such as ``"Before DPPO"``.
        num_successes: Episodes that reached the goal.
        num_episodes: Episodes run.
        episode_len_mean: Mean env steps; None if it is unknown.
    """

    name: str
    num_successes: int
    num_episodes: int
    episode_len_mean: float | None = None

    @property
    def rate(self) -> float:
        """Share of successes."""
        return self.num_successes / self.num_episodes

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Returns the ends of Wilson's interval."""
        return wilson_interval(self.num_successes, self.num_episodes, confidence)


@dataclass(frozen=True, eq=False)
class SourceQuality:
    """The episodes of one source.

    Attributes:
        source: What acted.
        episodes: Their measures.
        hand_paths: End-effector positions ``[T, 3]`` (m) of some of them.
    """

    source: Source
    episodes: tuple[EpisodeQuality, ...]
    hand_paths: tuple[np.ndarray, ...] = ()

    @classmethod
    def of(cls, source: Source, trajectories: Iterable[Trajectory]) -> "SourceQuality":
        """Measures episodes one by one; memory does not grow with their states or images."""
        episodes: list[EpisodeQuality] = []
        paths: list[np.ndarray] = []
        for trajectory in trajectories:
            episodes.append(measure(trajectory))
            if len(paths) < _MAX_PATHS:
                paths.append(trajectory.ee_pos)
        return cls(source, tuple(episodes), tuple(paths))

    @property
    def label(self) -> str:
        """Its name on the page."""
        return SOURCE_LABELS[self.source]

    def values(self, measure: str) -> list[float]:
        """Returns one field of ``EpisodeQuality`` over the episodes."""
        return [float(getattr(episode, measure)) for episode in self.episodes]

    def estimate(self, measure: str, confidence: float = 0.95) -> Estimate | None:
        """Returns a measure's mean with its bootstrap interval; None without any value."""
        return bootstrap_mean(self.values(measure), confidence)


@dataclass(frozen=True)
class VideoClip:
    """An MP4 to build into the page.

    Attributes:
        path: Of the file.
        caption: What it shows.
    """

    path: Path
    caption: str


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Everything the page shows. An empty part is left out of it.

    Attributes:
        task: Task id.
        instruction: The task's sentence.
        success_rates: Evaluations on the same init states; the last one is the headline and the
            first one what it is compared with.
        learning_curve: One mapping per iteration; ``success_rate`` and ``episode_len_mean`` are
            plotted over ``iteration``, any of them may be missing.
        sources: Quality of each source, the human demonstration first.
        dataset: What the dataset holds.
        verification: Outcome of ``verify``.
        videos: Rendered episodes.
        stage_seconds: Wall-clock time of each stage.
        provenance: Code, versions, hardware.
        config_yaml: The resolved configuration.
        commands: What reproduces the page, one shell line each.
        confidence: Level of every interval on the page.
    """

    task: str
    instruction: str
    success_rates: tuple[SuccessRate, ...]
    learning_curve: tuple[Mapping[str, Any], ...]
    sources: tuple[SourceQuality, ...]
    dataset: DatasetInfo
    verification: VerifyReport
    videos: tuple[VideoClip, ...] = ()
    stage_seconds: Mapping[str, float] | None = None
    provenance: Mapping[str, Any] | None = None
    config_yaml: str = ""
    commands: tuple[str, ...] = ()
    confidence: float = 0.95
