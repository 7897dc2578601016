"""Episodes that are unlike the others of their task and source: too long, shaky, or elsewhere."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from rl_datagen.data.trajectory import Source
from rl_datagen.report.metrics import EpisodeQuality
from rl_datagen.report.page import number
from rl_datagen.report.sources import SourceQuality

THRESHOLD = 3.5
"""Of the modified z-score: Iglewicz and Hoaglin 1993, "How to detect and handle outliers"."""
MIN_EPISODES = 8
"""Of a task and source; among fewer, no median says what is usual."""


@dataclass(frozen=True)
class Oddity:
    """One measure by which an episode is unusual.

    Attributes:
        measure: Field of ``EpisodeQuality``.
        value: Of the episode, in the measure's unit.
        median: Of the episodes of its task and source.
        score: Modified z-score; negative: below the median.
    """

    measure: str
    value: float
    median: float
    score: float

    def __str__(self) -> str:
        word, unit, scale = _WORDS[self.measure]
        value, median = (f"{number(scale * x)} {unit}" for x in (self.value, self.median))
        return f"{word(self.score > 0)} {value}, where the median is {median}"


@dataclass(frozen=True)
class Outlier:
    """An unusual episode.

    Attributes:
        task: Task id.
        source: What acted.
        episode_id: Which episode.
        oddities: By what it is unusual, the most unusual measure first.
    """

    task: str
    source: Source
    episode_id: str
    oddities: tuple[Oddity, ...]

    @property
    def score(self) -> float:
        """How unusual it is."""
        return abs(self.oddities[0].score)


def outliers(sources: Sequence[SourceQuality]) -> list[Outlier]:
    """Returns the unusual episodes, the most unusual one first.

    Each is compared with the episodes of the same task and source, in logarithms, since lengths,
    jerks and distances are skewed. Length is unusual to both sides, jerk and deviation upwards.

    Args:
        sources: Their episodes.
    """
    found = [
        outlier
        for source in sources
        for task in source.tasks.values()
        if len(task.episodes) >= MIN_EPISODES
        for outlier in _of_task(task.episodes)
    ]
    return sorted(found, key=lambda outlier: (-outlier.score, outlier.episode_id))


def _of_task(episodes: Sequence[EpisodeQuality]) -> Iterator[Outlier]:
    measured = {
        measure: np.array([getattr(episode, measure) for episode in episodes], np.float64)
        for measure in _WORDS
    }
    scores = {measure: modified_z_scores(values) for measure, values in measured.items()}
    for place, episode in enumerate(episodes):
        odd = [
            Oddity(measure, float(values[place]), float(np.nanmedian(values)), float(score))
            for measure, values in measured.items()
            if _is_odd(measure, score := scores[measure][place])
        ]
        if odd:
            odd.sort(key=lambda each: -abs(each.score))
            yield Outlier(episode.task, episode.source, episode.episode_id, tuple(odd))


def _is_odd(measure: str, score: float) -> bool:
    return (abs(score) if measure == "length" else score) > THRESHOLD


def modified_z_scores(values: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    """Returns how far values are from their median, in robust standard deviations of logarithms.

    The scale is 1.4826 times the median absolute deviation, or, where over half of the values are
    the same, 1.2533 times the mean absolute deviation (Iglewicz and Hoaglin 1993). Values that are
    not finite or not positive score 0, and so do all of them if they are the same.
    """
    scores = np.zeros(len(values))
    known = np.isfinite(values) & (values > 0)
    if not known.any():
        return scores
    logs = np.log(values[known])
    apart = logs - np.median(logs)
    distances = np.abs(apart)
    scale = 1.4826 * float(np.median(distances)) or 1.2533 * float(distances.mean())
    if not math.isclose(scale, 0, abs_tol=1e-9):
        scores[known] = apart / scale
    return scores


_WORDS: dict[str, tuple[Callable[[bool], str], str, float]] = {
    "length": (lambda above: "long:" if above else "short:", "env steps", 1),
    "mean_squared_jerk": (lambda _: "shaky: a mean squared jerk of", "(m/s³)²", 1),
    "path_deviation": (lambda _: "elsewhere: the hand is off the mean path by", "cm", 100),
}
"""What is looked at: the word for it, the unit of a page, and its size in the measure's unit."""
