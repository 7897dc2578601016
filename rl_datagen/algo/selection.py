"""Which policy of a run becomes the expert, and when there is nothing left to gain."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rl_datagen.config import AlgoConfig
from rl_datagen.core.statistics import Verdict

_PREFIX = "evaluation_"  # of a score's fields in a row of the learning curve
_JERK_WEIGHT = 0.1  # half the jerk is worth a 7 % shorter episode: time comes first

Row = Mapping[str, Any]
"""A line of the learning curve."""


@dataclass(frozen=True)
class Score:
    """How a policy does with the sampler that collects.

    Attributes:
        success_rate: Share of the episodes that reached the goal.
        num_episodes: Episodes run; the sequential test decides how many.
        verdict: What the test came to.
        success_len_mean: Mean env steps of the successful episodes; None without any.
        jerk: Their mean squared jerk, (m/s^3)^2; None without any.
    """

    success_rate: float
    num_episodes: int
    verdict: Verdict
    success_len_mean: float | None
    jerk: float | None

    def columns(self) -> dict[str, Any]:
        """Returns what a row of the learning curve says of it."""
        return {_PREFIX + name: value for name, value in asdict(self).items()}


def best_row(curve: Sequence[Row]) -> Row | None:
    """Returns the row of the policy to keep; None if none was evaluated.

    Reliable policies come before others, and among them the quickest and smoothest is the best.
    Of others it is the one that most probably succeeds most often, given how few episodes say so.
    Equals: the later one.
    """
    rows = [row for row in curve if f"{_PREFIX}verdict" in row]
    return max(reversed(rows), key=_rank, default=None)


def merit(length: float, jerk: float) -> float:
    """Returns how quick and smooth an episode is, or several are on average; more is better.

    Args:
        length: Env steps.
        jerk: Mean squared jerk, (m/s^3)^2.
    """
    return -length * jerk**_JERK_WEIGHT


def nothing_left_to_gain(curve: Sequence[Row], patience: int | None) -> bool:
    """Returns whether a reliable policy was not surpassed for ``patience`` evaluations.

    Args:
        curve: The learning curve so far.
        patience: 0 ends with the first reliable policy, None never.
    """
    best = best_row(curve)
    if patience is None or best is None or not is_reliable(best):
        return False
    later = [r for r in curve if f"{_PREFIX}verdict" in r and r["iteration"] > best["iteration"]]
    return len(later) >= patience


def is_reliable(row: Row) -> bool:
    """Returns whether the sequential test accepted the policy of this row."""
    return row.get(f"{_PREFIX}verdict") == "reliable"


def finished(curve: Sequence[Row], settings: AlgoConfig) -> bool:
    """Returns whether a run has done what it was asked to."""
    return len(curve) >= settings.num_iterations or nothing_left_to_gain(curve, settings.patience)


def _rank(row: Row) -> tuple[bool, float]:
    if is_reliable(row):
        return True, merit(row[f"{_PREFIX}success_len_mean"], row[f"{_PREFIX}jerk"])
    # The mean of the posterior under a uniform prior: three of three is not better than 45 of 46.
    num = row[f"{_PREFIX}num_episodes"]
    return False, (row[f"{_PREFIX}success_rate"] * num + 1) / (num + 2)
