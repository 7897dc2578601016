import numpy as np
import pytest

from rl_datagen.quality import Estimate, bootstrap_mean, wilson_interval


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
    estimate = bootstrap_mean(values)
    half = 1.96 * np.std(values) / 20
    assert estimate.mean == pytest.approx(np.mean(values))
    assert estimate.low == pytest.approx(estimate.mean - half, abs=0.05)
    assert estimate.high == pytest.approx(estimate.mean + half, abs=0.05)
    assert bootstrap_mean(values) == estimate


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
    assert bootstrap_mean(values) == expected
