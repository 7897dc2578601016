import numpy as np
import pytest

from rl_datagen.core.intervals import Estimate, bootstrap_change, bootstrap_mean, wilson_interval


def test_wilson_interval_by_hand():
    # p = 8/10, z = 1.96: centre (p + z^2/2n) / (1 + z^2/n) = 0.7167, half-width 0.2266
    low, high = wilson_interval(8, 10)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_wilson_interval_at_the_ends():
    assert wilson_interval(0, 20)[0] == 0
    assert wilson_interval(20, 20)[1] == 1
    assert wilson_interval(20, 20)[0] == pytest.approx(0.8389, abs=1e-4)
    assert wilson_interval(5, 10, 0.5)[0] > wilson_interval(5, 10, 0.95)[0]


def test_bootstrap_mean_agrees_with_the_normal_interval():
    values = np.random.default_rng(0).normal(10, 2, 400).tolist()
    estimate = bootstrap_mean([values])
    half = 1.96 * np.std(values) / 20
    assert estimate.mean == pytest.approx(np.mean(values))
    assert estimate.low == pytest.approx(estimate.mean - half, abs=0.05)
    assert estimate.high == pytest.approx(estimate.mean + half, abs=0.05)
    assert bootstrap_mean([values]) == estimate


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([float("nan")], None),
        ([3.0], Estimate(3.0, 3.0, 3.0, 1)),
        ([2.0, 2.0, 2.0, float("nan")], Estimate(2.0, 2.0, 2.0, 3)),
    ],
)
def test_bootstrap_mean_of_little(values, expected):
    assert bootstrap_mean([values]) == expected


def test_each_task_counts_the_same():
    estimate = bootstrap_mean([[10.0] * 50, [20.0, 20.0]])
    assert (estimate.mean, estimate.num_samples) == (15, 52)
    assert (estimate.low, estimate.high) == (10, 20)  # a resample may draw one task twice


def test_change_over_the_same_tasks_is_not_blurred_by_how_tasks_differ():
    rng = np.random.default_rng(0)
    tasks = rng.uniform(50, 400, 10)
    reference = [rng.normal(task, 2, 20).tolist() for task in tasks]
    shorter = [rng.normal(0.9 * task, 2, 20).tolist() for task in tasks]
    change = bootstrap_change(shorter, reference)
    assert change.mean == pytest.approx(-0.1, abs=0.01)
    assert -0.12 < change.low < change.high < -0.08
    # unpaired, the same numbers say nothing
    assert bootstrap_mean(shorter).high > bootstrap_mean(reference).low
    assert bootstrap_change(shorter, reference) == change


def test_change_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(60):
        ours, reference = rng.normal(90, 10, 30), rng.normal(100, 10, 30)
        change = bootstrap_change([ours], [reference])
        hits += change.low <= -0.1 <= change.high
    assert hits >= 51  # 95 % of 60 is 57; below 51 with probability 0.002


def test_change_uses_the_tasks_that_both_have_values_in():
    nan = float("nan")
    change = bootstrap_change([[1.0, 1.0], [9.0, 9.0]], [[2.0, 2.0], [nan, nan]])
    assert (change.mean, change.num_samples) == (-0.5, 4)


@pytest.mark.parametrize("reference", [[[]], [[5.0]], [[float("nan")] * 3]])
def test_change_needs_two_values(reference):
    assert bootstrap_change([[1.0, 2.0]], reference) is None
    assert bootstrap_change(reference, [[1.0, 2.0]]) is None


def test_change_from_zero():
    assert bootstrap_change([[0.0, 0.0]], [[0.0, 0.0]]).mean == 0
    assert bootstrap_change([[1.0, 1.0]], [[0.0, 0.0]]).low == np.inf
