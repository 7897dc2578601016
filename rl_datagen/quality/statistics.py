"""Intervals: Wilson's for success rates, the bootstrap for means."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

NUM_RESAMPLES = 4000


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: The estimate.
        low: Lower end of the interval.
        high: Upper end of it.
        num_samples: What it rests on.
    """

    mean: float
    low: float
    high: float
    num_samples: int


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


def bootstrap_mean(
    values: Sequence[float], confidence: float = 0.95, *, seed: int = 0
) -> Estimate | None:
    """Returns the mean with its percentile-bootstrap interval; None without a finite value.

    Values that are not finite (measures an episode is too short for) are left out. One value
    alone has no spread to resample: its interval is that value.

    Args:
        values: One per episode.
        confidence: Level of the interval.
        seed: Of the resampling; the same values give the same interval.
    """
    samples = np.asarray(values, np.float64)
    samples = samples[np.isfinite(samples)]
    if not len(samples):
        return None
    mean = float(samples.mean())
    if len(samples) == 1:
        return Estimate(mean, mean, mean, 1)
    result = stats.bootstrap(
        (samples,),
        np.mean,
        n_resamples=NUM_RESAMPLES,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    interval = result.confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), len(samples))
