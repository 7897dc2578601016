"""Pairs of evaluations whose outcomes were constructed."""

import pytest

from rl_datagen.data.results import EvaluatedEpisode
from rl_datagen.report.paired import ALL, compare_pairs


def episodes(outcomes, task="libero_goal/1"):
    return [EvaluatedEpisode(task, i, i, bool(s), 100) for i, s in enumerate(outcomes)]


def test_mcnemar_s_exact_test():
    # 12 of 30 pairs differ, 10 one way: 2 * sum(C(12, k), k <= 2) / 2^12 = 158 / 4096
    rows = {
        "human": episodes([0] * 10 + [1] * 2 + [1] * 18),
        "diffusion_rl": episodes([1] * 10 + [0] * 2 + [1] * 18),
    }
    (pair,) = compare_pairs(rows, ["libero_goal"])
    assert (pair.first, pair.second, pair.num_pairs) == ("human", "diffusion_rl", 30)
    assert (pair.num_only_first, pair.num_only_second) == (2, 10)
    assert pair.p_value == pytest.approx(158 / 4096)
    assert pair.difference == pytest.approx(8 / 30)


def test_only_init_states_that_both_ran_are_pairs():
    rows = {"human": episodes([1, 1, 0]), "amplified": episodes([1, 0]), "diffusion_rl": []}
    (pair,) = compare_pairs(rows, ["libero_goal", "libero_10"])
    assert (pair.num_pairs, pair.num_only_first, pair.num_only_second) == (2, 1, 0)
    assert pair.p_value == 1


def test_suites_and_all_of_them():
    both = episodes([1, 0]) + episodes([1, 1], "libero_10/0")
    rows = {"human": both, "amplified": episodes([1, 1]) + episodes([0, 1], "libero_10/0")}
    pairs = {pair.column: pair for pair in compare_pairs(rows, ["libero_goal", "libero_10"])}
    assert [pairs[c].num_pairs for c in ("libero_goal", "libero_10", ALL)] == [2, 2, 4]
    assert (pairs[ALL].num_only_first, pairs[ALL].num_only_second) == (1, 1)
