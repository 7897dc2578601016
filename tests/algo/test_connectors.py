import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from rl_datagen.algo.connectors import DecisionBatch
from rl_datagen.core.errors import UserError


class LinearCritic:
    """V(s) = the first entry of the state."""

    fitted = True

    @property
    def critic(self):
        return self

    def unwrapped(self):
        return self

    def compute_values(self, batch):
        return batch["obs"]["proprio"][:, 0]


def episode(values, num_env_steps, *, success):
    """An episode of chunks of four env steps whose states have these values."""
    decisions = len(values) - 1
    infos = [{} for _ in values]
    infos[-1] = {"num_env_steps": num_env_steps, "init_state_index": 3, "seed": -1}
    return SingleAgentEpisode(
        observations=[{"proprio": np.float32([value])} for value in values],
        actions=[np.zeros((4, 7), np.float32)] * decisions,
        rewards=[0.0] * (decisions - 1) + [float(success)],
        infos=infos,
        terminated=success,
        truncated=not success,
        extra_model_outputs={
            "chain": [np.full((3, 4, 7), i, np.float32) for i in range(decisions)],
            "chain_log_prob": [np.zeros((2, 4, 7), np.float32)] * decisions,
            "largest_state": [np.float32(i) for i in range(decisions)],
        },
        len_lookback_buffer=0,
    ).to_numpy()


def batch(episodes, *, bootstrap=True):
    connector = DecisionBatch(gamma=0.9, lambda_=0.5, bootstrap_at_time_limit=bootstrap)
    output = connector(rl_module={DEFAULT_MODULE_ID: LinearCritic()}, batch={}, episodes=episodes)
    return output[DEFAULT_MODULE_ID]


def test_a_success_masks_what_it_cut_off_and_a_time_out_bootstraps():
    columns = batch(
        [
            episode([0.5, 0.4, 0.2, 0.8], 10, success=True),  # the last chunk ran 2 of 4 env steps
            episode([0.5, 0.4, 0.2, 0.8], 12, success=False),
        ]
    )
    assert columns["executed"].sum(1).tolist() == [4, 4, 2, 4, 4, 4]
    np.testing.assert_allclose(columns["obs"]["proprio"][:, 0], [0.5, 0.4, 0.2] * 2)
    # As in test_losses.py, but success after half a chunk is worth 0.9 ** -0.5 = 1.054093:
    # A_2 = 1.054093 - 0.2;  A_1 = -0.22 + 0.45 A_2;  A_0 = -0.14 + 0.45 A_1
    advantages = np.array([-0.066046, 0.164342, 0.854093, -0.1337, 0.014, 0.52])
    targets = advantages + [0.5, 0.4, 0.2] * 2
    np.testing.assert_allclose(columns["value_targets"], targets, rtol=1e-5)
    normalized = (advantages - advantages.mean()) / advantages.std()
    np.testing.assert_allclose(columns["advantages"], normalized, rtol=1e-4)
    assert columns["chain"][:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1, 2]


def test_a_time_out_may_count_as_worth_nothing():
    columns = batch([episode([0.5, 0.4, 0.2, 0.8], 12, success=False)], bootstrap=False)
    # delta_2 = 0 - 0.2 (no bootstrap)
    assert columns["value_targets"][-1].item() == pytest.approx(0)


def test_nan_in_an_observation_is_a_clear_error():
    with pytest.raises(UserError, match="'proprio' holds NaN"):
        batch([episode([0.5, np.nan, 0.2], 8, success=True)])


def test_rows_are_float32(recwarn):
    columns = batch([episode([0.5, 0.4], 4, success=True)])
    assert columns["advantages"].dtype == torch.float32
    assert columns["value_targets"].dtype == torch.float32
