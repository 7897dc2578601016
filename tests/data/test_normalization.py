import numpy as np
import pytest
import torch

from rl_datagen.core.errors import UserError
from rl_datagen.data.normalization import NormStats
from rl_datagen.policy.normalizer import MAX_NORMALIZED, Normalizer
from tests.toy import demonstrations, trajectory


def rows(num, **changes):
    base = {"proprio": np.zeros(8, np.float32), "object_state": np.zeros(3, np.float32)}
    return [{**base, **changes} for _ in range(num)]


def test_constant_state_is_divided_by_the_physical_scale():
    stats = NormStats.from_trajectories([trajectory(np.zeros((4, 7)), rows(4))])
    np.testing.assert_allclose(stats.std["proprio"], [0.05] * 6 + [0.01] * 2)
    np.testing.assert_allclose(stats.std["object_state"], [0.05] * 3)


def test_actions_map_to_unit_range_and_the_gripper_stays():
    action = np.zeros((2, 7))
    action[:, 0] = [-0.2, 0.6]
    action[:, 6] = -1  # never closed in this data
    stats = NormStats.from_trajectories([trajectory(action, rows(2))])
    normalizer = Normalizer(stats, list(stats.mean))
    chunk = torch.from_numpy(action).float()[None]
    normalized = normalizer.normalize_action(chunk)
    np.testing.assert_allclose(normalized[0, :, 0], [-1, 1], atol=1e-6)
    np.testing.assert_allclose(normalized[0, :, 1], 0)  # never moved: no blow-up
    np.testing.assert_allclose(normalized[0, :, 6], -1)
    torch.testing.assert_close(normalizer.unnormalize_action(normalized), chunk)


def test_far_states_are_clipped_but_reported():
    stats = NormStats.from_trajectories([trajectory(np.zeros((4, 7)), rows(4))])
    normalizer = Normalizer(stats, list(stats.mean))
    observation = {"proprio": torch.zeros(1, 8), "object_state": torch.tensor([[0.0, 4.0, 0.0]])}
    assert normalizer.state(observation).max() == MAX_NORMALIZED
    torch.testing.assert_close(normalizer.largest(observation), torch.tensor([80.0]))


def test_round_trip(tmp_path):
    stats = NormStats.from_trajectories(demonstrations(3))
    stats.save(tmp_path / "norm_stats.json")
    loaded = NormStats.load(tmp_path / "norm_stats.json")
    assert loaded.to_dict() == stats.to_dict()
    assert loaded.observation_sizes == {"proprio": 8, "object_state": 3}


def test_no_episode_is_a_clear_error():
    with pytest.raises(UserError, match="no episode"):
        NormStats.from_trajectories([])


def test_ignored_entries_survive_a_file_and_nothing_else_changes(tmp_path):
    stats = NormStats.from_trajectories(demonstrations(3))
    size = stats.observation_sizes["object_state"]
    hidden = stats.ignoring("object_state", np.arange(size) % 2 == 0)
    assert np.isinf(hidden.std["object_state"][::2]).all()
    assert np.array_equal(hidden.std["object_state"][1::2], stats.std["object_state"][1::2])
    assert np.array_equal(hidden.std["proprio"], stats.std["proprio"])
    hidden.save(tmp_path / "norm_stats.json")
    assert "Infinity" not in (tmp_path / "norm_stats.json").read_text()
    loaded = NormStats.load(tmp_path / "norm_stats.json")
    assert np.array_equal(loaded.std["object_state"], hidden.std["object_state"])


def test_positions_survive_a_file_and_those_hidden_are_none_of_the_policys(tmp_path):
    plain = NormStats.from_trajectories(demonstrations(3))
    stats = plain.with_positions("object_state", np.array([True, False, True]))
    stats.save(tmp_path / "norm_stats.json")
    loaded = NormStats.load(tmp_path / "norm_stats.json")
    assert Normalizer(loaded, list(loaded.mean)).positions == [8, 10]
    assert Normalizer(plain, list(plain.mean)).positions == []
    assert Normalizer(loaded, ["proprio"]).positions == []
    hidden = loaded.ignoring("object_state", np.array([True, False, False]))
    assert Normalizer(hidden, list(hidden.mean)).positions == [10]
