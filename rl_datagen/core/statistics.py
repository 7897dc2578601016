"""Statistics of success, without which no stage can say how good a policy is."""

import math
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["reliable", "unreliable", "undecided"]
"""What a sequential test has come to."""


@dataclass(frozen=True)
class SequentialTest:
    """Wald's sequential probability ratio test of a success rate (Ann. Math. Stat. 16, 1945).

    It looks after every episode, or every few, and ends as soon as the evidence suffices: a weak
    policy is found out after a few failures, a strong one needs dozens of successes.

    Attributes:
        poor: A policy that succeeds this often, or less, is to be rejected.
        good: A policy that succeeds this often, or more, is to be accepted.
        false_acceptance: Share of ``poor`` policies that are accepted, at most (alpha).
        false_rejection: Share of ``good`` policies that are rejected, at most (beta).
    """

    poor: float
    good: float
    false_acceptance: float
    false_rejection: float

    def verdict(self, num_successes: int, num_episodes: int) -> Verdict:
        """Returns what so many successes of so many episodes say."""
        evidence = self.log_likelihood_ratio(num_successes, num_episodes)
        if evidence >= math.log((1 - self.false_rejection) / self.false_acceptance):
            return "reliable"
        if evidence <= math.log(self.false_rejection / (1 - self.false_acceptance)):
            return "unreliable"
        return "undecided"

    def log_likelihood_ratio(self, num_successes: int, num_episodes: int) -> float:
        """Returns how much likelier the outcome is under ``good`` than under ``poor``, in nats."""
        num_failures = num_episodes - num_successes
        return num_successes * math.log(self.good / self.poor) + num_failures * math.log(
            (1 - self.good) / (1 - self.poor)
        )

    @property
    def fewest_to_accept(self) -> int:
        """Episodes until a policy that never fails is accepted."""
        return math.ceil(
            math.log((1 - self.false_rejection) / self.false_acceptance)
            / math.log(self.good / self.poor)
        )
