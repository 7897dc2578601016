"""Whatever a configuration accepts can be built, acts for one simulator, and learns."""

import pytest
import torch
from hypothesis import HealthCheck, Verbosity, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rl_datagen.config import DiffusionConfig, GaussianConfig, SmallVlaConfig
from rl_datagen.data.schema import CAMERAS
from rl_datagen.policy import make_policy
from rl_datagen.vla.network import SmallVla

_SIZES = st.one_of(st.integers(1, 24), st.sampled_from([8, 16, 24, 32]))
_CHUNKS = {
    "action_horizon": st.integers(1, 16),
    "action_steps": st.integers(1, 16),
    "encoder_width": st.integers(1, 9),
    "unet_channels": st.lists(_SIZES, max_size=5).map(tuple),
}
_SHARED = {
    **_CHUNKS,
    "denoiser": st.sampled_from(["unet", "mlp"]),
    "mlp_width": st.integers(1, 9),
    "image_size": st.sampled_from([48, 52, 56, 63, 64]),
}
_STD = st.floats(0, 2)
_KINDS = {
    DiffusionConfig: {
        **_SHARED,
        "num_train_timesteps": st.integers(1, 12),
        "num_denoising_steps": st.integers(1, 12),
        "sampler": st.sampled_from(["ddim", "ddpm"]),
        "sampling_eta": st.sampled_from([0.0, 0.5, 1.0]),
        "evaluation_eta": st.floats(0, 1),
        "min_sampling_denoising_std": _STD,
        "min_logprob_denoising_std": _STD,
    },
    GaussianConfig: {**_SHARED, "init_std": _STD, "min_std": _STD},
}
_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]


def _draw(data, kind, fields, **fixed):
    values = data.draw(st.fixed_dictionaries({}, optional=fields))
    try:
        return kind(**values, **fixed)
    except ValidationError:
        return assume(False)


def _observation(config, num, language=None):
    torch.manual_seed(0)
    size = (num, config.image_size, config.image_size, 3)
    images = {name: torch.randint(256, size).to(torch.uint8) for name in CAMERAS}
    rest = {"language": torch.randn(num, language)} if language else {}
    return {"proprio": torch.randn(num, 8), "object_state": torch.randn(num, 3), **images, **rest}


def _acts_and_learns(policy, num):
    config = policy.config
    observation = _observation(config, num)
    chunk = torch.rand(num, config.action_horizon, 7) - 0.5
    policy.loss(observation, chunk).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in policy.parameters())
    noise = policy.draw_noise(num)
    assert policy.actions(policy.sample(observation, noise)).shape == (num, config.action_steps, 7)
    chain, log_prob = policy.explore(observation, noise)
    assert chain.isfinite().all()
    assert log_prob.isfinite().all()
    policy.chain_log_prob(observation, chain).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in policy.parameters())


@pytest.mark.parametrize("kind", _KINDS)
@given(data=st.data(), num=st.integers(1, 2))
@settings(max_examples=40, deadline=None, suppress_health_check=_SLOW)
def test_every_policy_of_states_that_is_allowed_acts_and_learns(stats, kind, data, num):
    config = _draw(data, kind, _KINDS[kind], encoder="state")
    _acts_and_learns(make_policy(config, stats), num)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["resnet", "vit"])
@pytest.mark.parametrize("kind", _KINDS)
@given(data=st.data())
@settings(max_examples=3, deadline=None, suppress_health_check=_SLOW, verbosity=Verbosity.quiet)
def test_every_policy_of_images_that_is_allowed_acts_and_learns(stats, kind, encoder, data):
    config = _draw(data, kind, _KINDS[kind], encoder=encoder)
    _acts_and_learns(make_policy(config, stats), 1)


@given(data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=_SLOW)
def test_every_built_in_vla_that_is_allowed_acts_and_learns(stats, data):
    fields = {**_CHUNKS, "image_size": st.integers(32, 40), "num_flow_steps": st.integers(1, 3)}
    config = _draw(data, SmallVlaConfig, fields, encoder="compact")
    network, observation = SmallVla(config, stats, 5), _observation(config, 1, language=5)
    network(observation, torch.zeros(1, config.action_horizon, 7)).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    actions = network.sample(observation, network.draw_noise(1))
    assert actions.shape == (1, config.action_steps, 7)
