"""What holds for every policy over chunks."""

import numpy as np
import pytest
import torch

from rl_datagen.config import load_config
from rl_datagen.policy import make_policy
from rl_datagen.policy.base import MIN_LOG_PROB, is_quick_at_bf16


def noise_for(policy, num=6, seed=2):
    return policy.draw_noise(num, torch.Generator().manual_seed(seed))


@pytest.mark.slow
@pytest.mark.parametrize("denoiser", ["unet", "mlp"])
@pytest.mark.parametrize("encoder", ["state", "resnet", "vit"])
@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
def test_every_combination_clones_acts_and_is_differentiable(
    make, observation, kind, encoder, denoiser
):
    policy = make(
        f"policy.encoder={encoder}",
        f"policy.denoiser={denoiser}",
        "policy.image_size=48",
        "policy.mlp_width=32",
        kind=kind,
    )
    num = policy.num_chain_steps
    seen = {key: observation[key] for key in policy.observation_keys}
    chain, log_prob = policy.explore(seen, noise_for(policy))
    assert chain.shape == policy.sample(seen, noise_for(policy)).shape == (6, num + 1, 4, 7)
    assert log_prob.shape == (6, num, 3, 7)
    assert policy.actions(chain).shape == (6, 3, 7)
    assert policy.actions(chain).abs().max() <= 1
    torch.testing.assert_close(policy.chain_log_prob(seen, chain), log_prob, rtol=1e-4, atol=1e-4)
    policy.loss(seen, torch.zeros(6, 4, 7), torch.Generator().manual_seed(3)).backward()
    gradients = {name: p.grad for name, p in policy.named_parameters()}
    untrained = [name for name, gradient in gradients.items() if gradient is None]
    assert untrained == (["log_std"] if kind == "gaussian" else [])
    assert all(torch.isfinite(g).all() for g in gradients.values() if g is not None)


def test_log_prob_equals_torch_distributions_at_every_step(either, observation):
    chain, _ = either.explore(observation, noise_for(either))
    log_prob = either.chain_log_prob(observation, chain)
    condition = either.encode(observation)
    for i in range(either.num_chain_steps):
        k = torch.full((6,), either.num_chain_steps - i)
        mean, std = either.posterior(chain[:, i], condition, k, either.sampling_eta)
        std = std.clamp(min=either.min_log_prob_std).expand_as(mean)
        density = torch.distributions.Normal(mean, std)
        expected = density.log_prob(chain[:, i + 1])[:, :3].clamp(min=MIN_LOG_PROB)
        torch.testing.assert_close(log_prob[:, i], expected)
        alone = either.log_prob(observation, chain[:, i], chain[:, i + 1], k)
        torch.testing.assert_close(alone, expected)


def test_actions_beyond_the_executed_ones_do_not_count(either, observation):
    chain = either.explore(observation, noise_for(either))[0]
    changed = chain.clone()
    changed[:, -1, 3:] += 1
    torch.testing.assert_close(
        either.chain_log_prob(observation, chain), either.chain_log_prob(observation, changed)
    )


def test_a_deterministic_sampler_looks_at_the_first_noise_only(either, observation):
    one, two = noise_for(either, seed=2), noise_for(either, seed=3)
    two[:, 0] = one[:, 0]
    torch.testing.assert_close(either.sample(observation, one), either.sample(observation, two))


def test_images_do_matter_and_objects_do_not_in_pixel_mode(make, observation):
    policy = make("policy.encoder=resnet", "policy.image_size=48")
    before = policy.encode(observation)
    observation["object_state"] += 1
    torch.testing.assert_close(policy.encode(observation), before)
    for key in ("proprio", "agentview", "wrist"):
        changed = observation | {key: observation[key].flip(0)}
        assert not torch.allclose(policy.encode(changed), before, atol=1e-4)


def test_encoding_in_parts_changes_neither_features_nor_gradients(make, observation, monkeypatch):
    policy = make("policy.encoder=resnet", "policy.image_size=48")
    whole = policy.encode(observation)
    whole.square().sum().backward()
    gradient = policy.encoder.trunk[0][0].weight.grad.clone()
    policy.zero_grad()
    monkeypatch.setattr("rl_datagen.policy.encoders._MICRO_BATCH", 4)
    parts = policy.encode(observation)
    parts.square().sum().backward()
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        policy.encoder.trunk[0][0].weight.grad, gradient, rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("overlay", ["expert_pixel", "expert_pixel_cpu"])
def test_the_papers_pixel_policy_has_twelve_million_parameters(stats, overlay):
    policy = make_policy(load_config([overlay]).policy, stats)
    num = sum(parameter.numel() for parameter in policy.parameters())
    assert num == pytest.approx(12e6, rel=0.05)


def test_the_default_policy_is_small(stats):
    policy = make_policy(load_config().policy, stats)
    assert sum(parameter.numel() for parameter in policy.parameters()) < 1_000_000


@pytest.mark.parametrize("quick", [True, False])
def test_bf16_encodes_nearly_the_same_where_it_is_quick(make, observation, quick, monkeypatch):
    monkeypatch.setattr("rl_datagen.policy.base.is_quick_at_bf16", lambda device: quick)
    policy = make()
    chain, _ = policy.explore(observation, noise_for(policy))
    exact = policy.chain_log_prob(observation, chain).detach()
    policy.bf16 = True
    rounded = policy.chain_log_prob(observation, chain).detach()
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, exact) != quick
    np.testing.assert_allclose(rounded.mean((2, 3)), exact.mean((2, 3)), atol=0.01)


def test_is_quick_at_bf16_on_gpus_and_matrix_units(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert is_quick_at_bf16(torch.device("cuda"))
    assert not is_quick_at_bf16(torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert is_quick_at_bf16(torch.device("cpu"))
