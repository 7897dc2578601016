import pytest
import torch

from rl_datagen.policy import DiffusionPolicy
from rl_datagen.policy.diffusion import MIN_LOG_PROB
from tests.toy import toy_config


def noise_for(policy, num=6, seed=2):
    return policy.draw_noise(num, torch.Generator().manual_seed(seed))


def test_shapes(policy, observation):
    chain = policy.explore(observation, noise_for(policy))[0]
    assert chain.shape == (6, 6, 4, 7)  # B, K + 1, Ta, Da
    assert policy.actions(chain).shape == (6, 3, 7)
    assert policy.chain_log_prob(observation, chain).shape == (6, 5, 3, 7)
    assert policy.actions(chain).abs().max() <= 1


def test_sampling_returns_the_log_prob_of_its_own_chain(policy, observation):
    chain, log_prob = policy.explore(observation, noise_for(policy))
    torch.testing.assert_close(policy.chain_log_prob(observation, chain), log_prob)


def test_log_prob_equals_torch_distributions_at_every_step(policy, observation):
    chain = policy.explore(observation, noise_for(policy))[0]
    log_prob = policy.chain_log_prob(observation, chain)
    condition = policy.encode(observation)
    for i, k in enumerate([5, 4, 3, 2, 1]):
        step = torch.full((6,), k)
        predicted = policy.denoiser(chain[:, i], policy.schedule.timestep(step), condition)
        mean, std = policy.schedule.posterior(predicted, chain[:, i], step, 1.0)
        density = torch.distributions.Normal(mean, std.clamp(min=0.1).expand_as(mean))
        expected = density.log_prob(chain[:, i + 1])[:, :3].clamp(min=MIN_LOG_PROB)
        torch.testing.assert_close(log_prob[:, i], expected)
        alone = policy.log_prob(observation, chain[:, i], chain[:, i + 1], step)
        torch.testing.assert_close(alone, expected)


def test_mixed_steps_in_one_batch_equal_steps_one_by_one(policy, observation):
    chain = policy.explore(observation, noise_for(policy))[0]
    k = torch.tensor([1, 5, 3, 2, 4, 1])
    rows = torch.arange(6)
    mixed = policy.log_prob(observation, chain[rows, 5 - k], chain[rows, 6 - k], k)
    torch.testing.assert_close(mixed, policy.chain_log_prob(observation, chain)[rows, 5 - k])


@pytest.mark.parametrize("floor", [0.001, 0.02, 0.1])
def test_no_ceiling_cuts_the_gradient_near_the_mean(stats, observation, floor):
    config = toy_config(
        f"policy.min_sampling_denoising_std={floor}", f"policy.min_logprob_denoising_std={floor}"
    )
    policy = DiffusionPolicy(config.policy, stats)
    chunk = torch.zeros(6, 4, 7)
    k = torch.ones(6, dtype=torch.long)
    predicted = policy.denoiser(chunk, policy.schedule.timestep(k), policy.encode(observation))
    mean, _ = policy.schedule.posterior(predicted, chunk, k, 1.0)
    near = (mean + 0.1 * floor).detach()
    policy.log_prob(observation, chunk, near, k).sum().backward()
    assert policy.denoiser.exit.bias.grad.abs().min() > 0


def test_actions_beyond_the_executed_ones_do_not_count(policy, observation):
    chain = policy.explore(observation, noise_for(policy))[0]
    changed = chain.clone()
    changed[:, -1, 3:] += 1
    torch.testing.assert_close(
        policy.chain_log_prob(observation, chain), policy.chain_log_prob(observation, changed)
    )


def test_the_deterministic_sampler_uses_the_first_noise_only(policy, observation):
    one, two = noise_for(policy, seed=2), noise_for(policy, seed=3)
    two[:, 0] = one[:, 0]
    torch.testing.assert_close(
        policy.sample(observation, one),
        policy.sample(observation, two),
    )


def test_exploration_noise_is_floored_and_clamped(policy, observation):
    noise = noise_for(policy)
    noise[:, 1:] = 100.0
    chain = policy.explore(observation, noise)[0]
    noise[:, 1:] = 0.0
    base = policy.explore(observation, noise)[0]
    first_std = policy.schedule.posterior(noise[:, 0], noise[:, 0], torch.full((6,), 5), 1.0)[1]
    torch.testing.assert_close((chain - base)[:, 1], (3 * first_std).expand(6, 4, 7))


def test_a_single_denoising_step_is_finite(stats, observation):
    policy = DiffusionPolicy(toy_config("policy.num_denoising_steps=1").policy, stats)
    chain = policy.explore(observation, noise_for(policy))[0]
    assert torch.isfinite(policy.chain_log_prob(observation, chain)).all()


def test_default_policy_is_small(stats):
    policy = DiffusionPolicy(toy_config().model_copy().policy.__class__(), stats)
    assert sum(p.numel() for p in policy.parameters()) < 1_000_000
