"""The sequential test keeps the error rates it promises."""

import numpy as np
import pytest

from rl_datagen.core.statistics import SequentialTest

TEST = SequentialTest(poor=0.92, good=0.98, false_acceptance=0.05, false_rejection=0.1)


def run(rng, rate, test=TEST, wave=1):
    """One policy's test; looks after every ``wave`` episodes."""
    successes = episodes = 0
    while (verdict := test.verdict(successes, episodes)) == "undecided":
        successes += int(rng.binomial(wave, rate))
        episodes += wave
    return verdict, episodes


@pytest.mark.parametrize("wave", [1, 12])
@pytest.mark.parametrize(
    ("rate", "wrong", "at_most"), [(0.92, "reliable", 0.05), (0.98, "unreliable", 0.1)]
)
def test_error_rates(rate, wrong, at_most, wave):
    rng = np.random.default_rng(0)
    verdicts = [run(rng, rate, wave=wave)[0] for _ in range(4000)]
    standard_error = (at_most * (1 - at_most) / 4000) ** 0.5
    # Wald's bounds hold up to what the last look overshoots them by, which errs on the safe side.
    assert verdicts.count(wrong) / 4000 <= at_most + 3 * standard_error


def test_weak_policies_are_cheap_to_reject_and_strong_ones_cost_dozens():
    rng = np.random.default_rng(1)
    weak = np.mean([run(rng, 0.7)[1] for _ in range(1000)])
    strong = np.mean([run(rng, 0.99)[1] for _ in range(1000)])
    assert weak < 10
    assert TEST.fewest_to_accept <= strong < 80


def test_a_policy_that_never_fails_is_accepted_after_46_episodes():
    # ln(0.9 / 0.05) / ln(0.98 / 0.92) = 2.890 / 0.0632 = 45.7
    assert TEST.fewest_to_accept == 46
    assert TEST.verdict(45, 45) == "undecided"
    assert TEST.verdict(46, 46) == "reliable"


def test_two_early_failures_reject():
    # 2 ln(0.02 / 0.08) = -2.77 < ln(0.1 / 0.95) = -2.25
    assert TEST.verdict(0, 1) == "undecided"
    assert TEST.verdict(6, 8) == "unreliable"
