import pytest
import torch

from rl_datagen.data.normalization import NormStats
from rl_datagen.policy import make_policy
from tests.toy import demonstrations, toy_config


@pytest.fixture(scope="session")
def stats():
    return NormStats.from_trajectories(demonstrations(4))


@pytest.fixture
def make(stats):
    def make(*overrides, kind="diffusion"):
        torch.manual_seed(0)
        return make_policy(toy_config("policy.action_steps=3", *overrides, kind=kind).policy, stats)

    return make


@pytest.fixture
def policy(make):
    return make()


@pytest.fixture(params=["diffusion", "gaussian"])
def either(make, request):
    """A policy of each kind in turn."""
    return make(kind=request.param)


@pytest.fixture
def observation():
    generator = torch.Generator().manual_seed(1)
    image = lambda: torch.randint(256, (6, 48, 48, 3), generator=generator).to(torch.uint8)  # noqa: E731
    return {
        "proprio": 0.1 * torch.randn(6, 8, generator=generator),
        "object_state": 0.1 * torch.randn(6, 3, generator=generator),
        "agentview": image(),
        "wrist": image(),
    }
