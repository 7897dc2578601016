import numpy as np
import pytest
from scipy.integrate import quad

from rl_datagen.report import mean_squared_jerk, spectral_arc_length
from rl_datagen.report.consistency import Spread
from rl_datagen.report.metrics import measure

T = np.arange(200) / 20


def test_jerk_of_a_cubic_is_its_third_derivative():
    # x = 2 t^3 has the jerk 12, y = t^3 / 2 has 3, z is at rest: 12^2 + 3^2 = 153
    path = np.stack([2 * T**3, 0.5 * T**3, np.ones_like(T)], axis=1)
    assert mean_squared_jerk(path) == pytest.approx(153, rel=1e-4)


def test_jerk_of_constant_acceleration_is_zero():
    path = np.stack([T, 3 * T**2, np.zeros_like(T)], axis=1)
    assert mean_squared_jerk(path) == pytest.approx(0, abs=1e-8)


def test_jerk_of_a_sine():
    # The third difference of sin(w t) has the amplitude (2 sin(w h / 2) / h)^3; its mean square
    # over whole periods is half the square of that.
    h, w = 1 / 20, 2 * np.pi / 2
    t = np.arange(403) * h
    path = np.stack([np.sin(w * t), np.zeros_like(t), np.zeros_like(t)], axis=1)
    assert mean_squared_jerk(path) == pytest.approx((2 * np.sin(w * h / 2) / h) ** 6 / 2, rel=1e-6)


def test_jerk_scales_with_the_sixth_power_of_the_frequency():
    path = np.random.default_rng(0).normal(size=(30, 3))
    ratio = mean_squared_jerk(path, frequency=40.0) / mean_squared_jerk(path, frequency=20.0)
    assert ratio == pytest.approx(64)


def test_jerk_needs_four_samples():
    assert np.isnan(mean_squared_jerk(np.zeros((3, 3))))


@pytest.mark.parametrize("width", [0.2, 0.35, 0.6])
def test_sparc_of_a_gaussian_speed_is_the_arc_length_of_its_spectrum(width):
    # Its spectrum exp(-(w s)^2 / 2) falls to 0.05 at w_c = sqrt(2 ln 20) / s. In x = w / w_c the
    # arc length is the integral of sqrt(1 + (dV/dx)^2), whatever the width s.
    speed = np.exp(-((T - 5) ** 2) / (2 * width**2))
    log = np.log(20)
    arc, _ = quad(lambda x: np.hypot(1, 2 * log * x * np.exp(-log * x * x)), 0, 1)
    assert spectral_arc_length(speed) == pytest.approx(-arc, rel=0.02)


def test_sparc_ranks_smoothness_and_ignores_scale():
    smooth = np.exp(-((T - 5) ** 2))
    twice = np.exp(-((T - 3) ** 2)) + np.exp(-((T - 7) ** 2))
    shaky = smooth * (1 + 0.5 * np.sin(2 * np.pi * 4 * T))
    assert spectral_arc_length(smooth) > spectral_arc_length(shaky)
    assert spectral_arc_length(smooth) > spectral_arc_length(twice)
    assert spectral_arc_length(smooth) == pytest.approx(spectral_arc_length(7 * smooth))


def test_sparc_without_motion_is_nan():
    assert np.isnan(spectral_arc_length(np.zeros(20)))
    assert np.isnan(spectral_arc_length(np.zeros(0)))


def test_measure(make_episode):
    quality = measure(make_episode("human", 3, length=120, still=30), Spread(7), Spread(6))
    assert (quality.source, quality.length, quality.num_noops) == ("human", 120, 30)
    smooth = measure(make_episode("human", 3, tremor=0), Spread(7), Spread(6))
    assert quality.mean_squared_jerk > smooth.mean_squared_jerk
    assert 0.5 < quality.path_length < 2
    assert quality.spectral_arc_length < -1


def test_at_equal_length_pace_makes_no_difference(make_episode):
    """The same two smooth paths, in 300 and in 600 env steps."""

    def measured(length):
        actions, motions = Spread(7), Spread(6)
        paths = [make_episode("human", seed, length=length, tremor=0) for seed in (3, 4)]
        return [measure(path, actions, motions).at_length(300) for path in paths]

    quick, slow = measured(300), measured(600)
    assert quick[0].paced_jerk == pytest.approx(quick[0].mean_squared_jerk)
    assert quick[0].mean_squared_jerk > 20 * slow[0].mean_squared_jerk
    assert quick[0].paced_jerk == pytest.approx(slow[0].paced_jerk, rel=0.2)
    assert quick[1].action_variance > 1.5 * slow[1].action_variance
    assert quick[1].paced_variance == pytest.approx(slow[1].paced_variance, rel=0.1)
