import pytest
import torch

from rl_datagen.data.normalization import NormStats
from rl_datagen.policy import DiffusionPolicy
from tests.toy import demonstrations, toy_config


@pytest.fixture
def stats():
    return NormStats.from_trajectories(demonstrations(4))


@pytest.fixture
def policy(stats):
    torch.manual_seed(0)
    return DiffusionPolicy(toy_config("policy.action_steps=3").policy, stats)


@pytest.fixture
def observation():
    generator = torch.Generator().manual_seed(1)
    return {
        "proprio": 0.1 * torch.randn(6, 8, generator=generator),
        "object_state": 0.1 * torch.randn(6, 3, generator=generator),
    }
