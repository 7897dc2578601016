"""The first iteration's values: learnt, and never from the episode that they judge."""

import numpy as np
import torch

from rl_datagen.algo.cross_fit import cross_fitted_values
from rl_datagen.algo.losses import explained_variance
from rl_datagen.data.normalization import NormStats
from rl_datagen.policy import Critic
from tests.toy import demonstrations


def critic():
    torch.manual_seed(0)
    return Critic(32, NormStats.from_trajectories(demonstrations(5)))


def episodes(num, rng, decisions=6):
    """States whose first entry is the return, up to noise."""
    worth = rng.uniform(-0.3, 0.3, num)
    observations = [
        {
            "proprio": np.tile(np.float32([x, *[0] * 7]), (decisions + 1, 1)),
            "object_state": rng.normal(0, 0.1, (decisions + 1, 3)).astype(np.float32),
        }
        for x in worth
    ]
    returns = [np.full(decisions, x + rng.normal(0, 0.02), np.float32) for x in worth]
    return observations, returns


def test_unseen_episodes_are_explained():
    observations, returns = episodes(300, np.random.default_rng(0))
    values = cross_fitted_values(critic(), observations, returns, seed=0)
    assert [len(value) for value in values] == [7] * 300
    before = np.concatenate([value[:-1] for value in values])
    assert explained_variance(before, np.concatenate(returns)) > 0.8


def test_an_episodes_own_returns_do_not_matter():
    observations, returns = episodes(20, np.random.default_rng(1))
    values = cross_fitted_values(critic(), observations, returns, seed=0)
    changed = [r + 5 if i == 4 else r for i, r in enumerate(returns)]
    others = cross_fitted_values(critic(), observations, changed, seed=0)
    for i in range(0, 20, 2):  # the half that episode 4 is in
        np.testing.assert_array_equal(values[i], others[i])
    assert not np.array_equal(values[1], others[1])


def test_the_critic_itself_is_left_alone():
    untrained = critic()
    before = {name: value.clone() for name, value in untrained.state_dict().items()}
    observations, returns = episodes(4, np.random.default_rng(2))
    cross_fitted_values(untrained, observations, returns, seed=0)
    for name, value in untrained.state_dict().items():
        assert torch.equal(value, before[name])
