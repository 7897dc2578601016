"""Intervals: Wilson's for success rates, the bootstrap for means and for changes of means."""

# pyright: basic
# scipy has no types.

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import stats

NUM_RESAMPLES = 4000

_BATCH_VALUES = 1_000_000  # drawn at once: memory does not grow with the number of episodes

PerTask = Sequence[Sequence[float]]
"""Values of the episodes of each task."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: The estimate.
        low: Lower end of the interval.
        high: Upper end of it.
        num_samples: Episodes it rests on.
    """

    mean: float
    low: float
    high: float
    num_samples: int

    def root(self) -> "Estimate":
        """Returns the square root: a standard deviation from a variance."""
        mean, low, high = np.sqrt((self.mean, self.low, self.high)).tolist()
        return Estimate(mean, low, high, self.num_samples)


def wilson_interval(
    num_successes: int, num_trials: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns the ends of Wilson's interval of a success rate, in [0, 1].

    Raises:
        ValueError: No trial, or more successes than trials.
    """
    test = stats.binomtest(num_successes, num_trials)
    interval = test.proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


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


def bootstrap_mean(values: PerTask, confidence: float = 0.95) -> Estimate | None:
    """Returns the mean over tasks of the mean over episodes, with a percentile-bootstrap interval.

    Each resample draws tasks with replacement and, within each, episodes with replacement. Values
    that are not finite (measures an episode is too short for) are left out. One value alone has no
    spread to resample: its interval is that value.

    Args:
        values: Per task, one per episode.
        confidence: Level of the interval.

    Returns:
        None without a finite value. The same values give the same interval.
    """
    samples = [finite for task in values if len(finite := _finite(task))]
    if not samples:
        return None
    means = _resampled_means(samples, _draw_tasks(len(samples)), seed=1)
    mean = float(np.mean([sample.mean() for sample in samples]))
    return _estimate(mean, means, sum(map(len, samples)), confidence)


def bootstrap_change(
    values: PerTask, reference: PerTask, confidence: float = 0.95
) -> Estimate | None:
    """Returns by what share a mean is above (or, negative, below) a reference, with its interval.

    Both are means as ``bootstrap_mean`` takes them, over the tasks in which both have values. Each
    resample draws the same tasks for both: that a task is long for everybody does not blur the
    comparison.

    Args:
        values: Per task, one per episode.
        reference: Likewise, the tasks in the same order.
        confidence: Level of the interval.

    Returns:
        None unless both have at least two values: one alone has no spread to resample.
        ``num_samples`` counts the episodes of both.
    """
    pairs = [
        (ours, theirs)
        for a, b in zip(values, reference, strict=True)
        if len(ours := _finite(a)) and len(theirs := _finite(b))
    ]
    sides = [[pair[side] for pair in pairs] for side in (0, 1)]
    counts = [sum(map(len, samples)) for samples in sides]
    if min(counts) < 2:
        return None
    drawn = _draw_tasks(len(pairs))
    means = [_resampled_means(side, drawn, seed=1 + i) for i, side in enumerate(sides)]
    actual = [np.mean([sample.mean() for sample in side], keepdims=True) for side in sides]
    return _estimate(float(_change(*actual)[0]), _change(*means), sum(counts), confidence)


def _finite(values: Sequence[float]) -> Float64[np.ndarray, " N"]:
    samples = np.asarray(values, np.float64)
    return samples[np.isfinite(samples)]


def _draw_tasks(count: int) -> Int64[np.ndarray, "R G"]:
    return np.random.default_rng(0).integers(count, size=(NUM_RESAMPLES, count))


def _resampled_means(
    samples: Sequence[Float64[np.ndarray, " _"]], drawn: Int64[np.ndarray, "R G"], seed: int
) -> Float64[np.ndarray, " R"]:
    """Returns the mean of each resample, given the tasks it draws."""
    rng = np.random.default_rng(seed)
    means = np.stack([_resample(sample, rng) for sample in samples])
    # A task drawn twice in a resample has its episodes drawn twice too: each place of a resample
    # takes the task's means in an order of its own.
    orders = rng.permuted(np.tile(np.arange(NUM_RESAMPLES), (drawn.shape[1], 1)), axis=1).T
    return means[drawn, orders].mean(axis=1)


def _resample(
    sample: Float64[np.ndarray, " N"], rng: np.random.Generator
) -> Float64[np.ndarray, " R"]:
    if len(sample) == 1:
        return np.full(NUM_RESAMPLES, sample[0])
    result = stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=NUM_RESAMPLES,
        batch=max(1, _BATCH_VALUES // len(sample)),
        method="percentile",
        rng=rng,
    )
    return result.bootstrap_distribution


def _change(
    values: Float64[np.ndarray, " R"], reference: Float64[np.ndarray, " R"]
) -> Float64[np.ndarray, " R"]:
    """Returns the relative change; from a reference of zero it is 0 or infinite."""
    from_zero = np.where(values == 0, 0.0, np.inf)
    return np.divide(values - reference, reference, out=from_zero, where=reference != 0)


def _estimate(
    mean: float, means: Float64[np.ndarray, " R"], num_samples: int, confidence: float
) -> Estimate:
    ends = ((1 - confidence) / 2, (1 + confidence) / 2)
    # Between two infinite changes, interpolation would give NaN.
    low, high = np.quantile(means, ends, method="nearest").tolist()
    return Estimate(mean, low, high, num_samples)
