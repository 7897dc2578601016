import numpy as np
import pytest

from rl_datagen.core.errors import DatasetError
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.report.consistency import Spread
from rl_datagen.report.demonstrations import demonstrations_info, find_datasets, path_spread


def test_counts_attempts_and_starts_are_those_of_the_dataset(tmp_path, make_trajectory):
    starts = [np.zeros(21), np.zeros(21), np.ones(21), np.full(21, 2.0)]
    indices = [4, 4, 5, None]
    episodes = [
        make_trajectory(i, length=10 + i, init_state=starts[i], init_state_index=indices[i])
        for i in range(4)
    ]
    with DatasetWriter(tmp_path / "one", config={}) as writer:
        writer.append(episodes, num_attempts=9)
    with DatasetWriter(tmp_path / "two", config={}) as writer:
        writer.append([make_trajectory(0, source="human", success=False)])
    rows = list(demonstrations_info(find_datasets(tmp_path), tmp_path / "paths"))
    assert [row.source for row in rows] == ["amplified", "human"]
    amplified, human = rows
    assert (amplified.episodes, amplified.attempts, amplified.length_mean) == (4, 9, 11.5)
    assert amplified.success_rate == pytest.approx(4 / 9)
    assert (amplified.shipped_init_states, amplified.drawn_init_states) == (2, 1)
    assert amplified.init_state_uses_max == 2
    assert (human.successes, human.attempts, human.path_spread) == (0, None, None)
    for kind in ("png", "svg", "csv"):
        assert (tmp_path / "paths" / f"libero_goal-3.{kind}").stat().st_size > 500


def test_the_spread_of_two_parallel_lines_is_half_their_distance():
    line = np.linspace([0, 0, 0], [1, 0, 0], 20)
    beside = np.linspace([0, 0.2, 0], [1, 0.2, 0], 33)
    assert path_spread(_spread(line, beside)) == pytest.approx(0.1)
    assert path_spread(_spread(line, line)) == pytest.approx(0.0)


def _spread(*paths):
    spread = Spread(3)
    for path in paths:
        spread.add(path)
    return spread


def test_a_folder_without_a_dataset_says_how_to_make_one(tmp_path):
    with pytest.raises(DatasetError, match="rl-datagen demos amplify"):
        find_datasets(tmp_path)
