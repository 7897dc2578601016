import numpy as np
import pytest

from rl_datagen.core.curves import path_distance

LINE = np.linspace([0.0, 0, 0], [1, 0, 0], 40)


def test_parallel_paths_are_as_far_apart_as_they_are():
    assert path_distance(LINE, LINE + np.array([0, 0.03, 0.04])) == pytest.approx(0.05)


def test_pace_alone_is_no_distance():
    slow = np.linspace(LINE[0], LINE[-1], 133)
    assert path_distance(LINE, slow) == pytest.approx(0, abs=1e-12)


def test_the_root_mean_square_over_the_length():
    apart = LINE + np.outer(np.linspace(0, 1, 40), [0, 0.3, 0])  # a share s is 0.3 s apart
    assert path_distance(LINE, apart) == pytest.approx(0.3 / np.sqrt(3), rel=0.01)
