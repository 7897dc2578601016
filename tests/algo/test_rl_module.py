from functools import partial

import pytest
import torch

from rl_datagen.algo.dppo import to_rllib
from rl_datagen.algo.rl_module import CHAIN, CHUNK, DENOISING_STEP, LOG_PROB, NEXT_CHUNK
from rl_datagen.data.normalization import NormStats
from tests.toy import ToyVectorEnv, demonstrations, toy_config

pytestmark = pytest.mark.filterwarnings("ignore")  # RLlib and the compiler, about their interior


def make_module(*overrides, inference_only=False):
    stats = NormStats.from_trajectories(demonstrations(3))
    spec = to_rllib(toy_config(*overrides), stats, env="toy").rl_module_spec
    env = ToyVectorEnv(1)
    spec.observation_space, spec.action_space = (
        env.single_observation_space,
        env.single_action_space,
    )
    spec.inference_only = inference_only
    return spec.build()


@pytest.fixture
def observation():
    generator = torch.Generator().manual_seed(1)
    draw = lambda n: 0.1 * torch.randn(6, n, generator=generator)  # noqa: E731
    return {"proprio": draw(8), "object_state": draw(3)}


def log_prob_of_exploration(module, observation, chain):
    pairs = {
        CHUNK: chain[:, 0],
        NEXT_CHUNK: chain[:, 1],
        DENOISING_STEP: torch.full((6,), chain.shape[1] - 1),
    }
    return module.forward_train({"obs": observation, **pairs})[LOG_PROB]


def test_mixed_precision_acts_and_learns(observation, monkeypatch):
    monkeypatch.setattr("rl_datagen.policy.base.is_quick_at_bf16", lambda device: True)
    reference = make_module()
    chain = reference.forward_exploration({"obs": observation})[CHAIN]
    exact = log_prob_of_exploration(reference, observation, chain)
    rounded = log_prob_of_exploration(make_module("algo.precision=bf16"), observation, chain)
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded.mean((1, 2)), exact.mean((1, 2)), rtol=0, atol=0.01)
    runner = make_module("algo.precision=bf16", inference_only=True)
    torch.manual_seed(0)
    acted = runner.forward_exploration({"obs": observation})[CHAIN]
    torch.manual_seed(0)
    expected = reference.forward_exploration({"obs": observation})[CHAIN]
    assert not torch.equal(acted, expected)
    torch.testing.assert_close(acted, expected, rtol=0, atol=0.05)


def test_compiled_log_probs_are_the_same(observation, monkeypatch):
    # Traced but not translated: C++ would take minutes.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    reference, module = make_module(), make_module("algo.compile=true")
    assert module.state_dict().keys() == reference.state_dict().keys()
    chain = reference.forward_exploration({"obs": observation})[CHAIN]
    torch.testing.assert_close(
        log_prob_of_exploration(module, observation, chain),
        log_prob_of_exploration(reference, observation, chain),
        rtol=1e-4,
        atol=1e-4,
    )
