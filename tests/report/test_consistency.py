import numpy as np
import pytest

from rl_datagen.core.curves import NUM_PHASES, resample
from rl_datagen.report.consistency import Spread

PHASES = np.linspace(0, 1, NUM_PHASES)


def spread_of(curves):
    spread = Spread(curves[0].shape[1])
    return spread, [spread.add(curve) for curve in curves]


def test_deviation_of_scaled_sines_is_that_of_the_scales():
    # a sin(2 pi s) at the share s, whatever the length: the deviation at s is std(a) |sin(2 pi s)|
    scales = np.array([0.5, 0.7, 0.2, 0.9])
    curves = [
        scale * np.sin(2 * np.pi * np.linspace(0, 1, length))[:, None] * [1, 2]
        for scale, length in zip(scales, (400, 900, 1500, 601), strict=True)
    ]
    spread, _ = spread_of(curves)
    expected = scales.std(ddof=1) * np.abs(np.sin(2 * np.pi * PHASES))
    assert np.sqrt(spread.variance()) == pytest.approx(expected[:, None] * [1, 2], abs=1e-3)
    assert spread.mean[:, 0] == pytest.approx(scales.mean() * np.sin(2 * np.pi * PHASES), abs=1e-3)


def test_what_each_curve_says_averages_to_the_sample_variance():
    rng = np.random.default_rng(0)
    curves = [5 + rng.normal(size=(NUM_PHASES, 7)) for _ in range(30)]
    spread, said = spread_of(curves)
    assert np.isnan(said[0])
    assert np.mean(said[1:]) == pytest.approx(np.var(curves, axis=0, ddof=1).mean())
    assert spread.variance(ddof=0) == pytest.approx(np.var(curves, axis=0))
    # each is an unbiased estimate by itself: of 1 here, of 700 numbers
    assert np.allclose(said[1:], 1, atol=0.25)


def test_one_curve_has_no_deviation():
    spread, said = spread_of([np.ones((20, 7))])
    assert np.isnan(spread.variance()).all()
    assert np.isnan(said).all()


def test_resampling_keeps_the_ends_and_interpolates():
    assert resample(np.array([[1.0], [3.0]]))[:, 0] == pytest.approx(1 + 2 * PHASES)
    assert resample(np.array([[2.0]]))[:, 0] == pytest.approx(np.full(NUM_PHASES, 2.0))
