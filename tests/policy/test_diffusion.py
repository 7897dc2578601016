import pytest
import torch

from rl_datagen.policy import DiffusionPolicy
from tests.toy import toy_config


def noise_for(policy, num=6, seed=2):
    return policy.draw_noise(num, torch.Generator().manual_seed(seed))


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


def test_exploration_begins_with_less_noise(make, observation):
    cool, plain = make(), make("policy.sampling_temperature=1")
    noise = noise_for(cool)
    chain = cool.explore(observation, noise)[0]
    torch.testing.assert_close(chain[:, 0], 0.5 * noise[:, 0])
    torch.testing.assert_close(plain.explore(observation, noise)[0][:, 0], noise[:, 0])
    # The density of a step does not depend on where its chain began.
    torch.testing.assert_close(
        cool.chain_log_prob(observation, chain), plain.chain_log_prob(observation, chain)
    )


def test_exploration_noise_is_floored_and_clamped(policy, observation):
    noise = noise_for(policy)
    noise[:, 1:] = 100.0
    chain = policy.explore(observation, noise)[0]
    noise[:, 1:] = 0.0
    base = policy.explore(observation, noise)[0]
    k = torch.full((6,), 5)
    std = policy.schedule.posterior(noise[:, 0], noise[:, 0], k, policy.sampling_eta)[1]
    first_std = std.clamp(min=policy.min_sampling_std)
    torch.testing.assert_close((chain - base)[:, 1], (3 * first_std).expand(6, 4, 7))


def test_a_single_denoising_step_is_finite(stats, observation):
    policy = DiffusionPolicy(toy_config("policy.num_denoising_steps=1").policy, stats)
    chain = policy.explore(observation, noise_for(policy))[0]
    assert torch.isfinite(policy.chain_log_prob(observation, chain)).all()


def test_ddpm_explores_over_all_training_steps(make, observation):
    settings = (
        "num_train_timesteps=20",
        "num_denoising_steps=20",
        "sampler=ddpm",
        "sampling_eta=1",
    )
    policy = make(*(f"policy.{setting}" for setting in settings))
    chain, log_prob = policy.explore(observation, noise_for(policy))
    assert chain.shape == (6, 21, 4, 7)
    torch.testing.assert_close(policy.chain_log_prob(observation, chain), log_prob)


def test_a_sampler_with_noise_may_evaluate(make, observation):
    policy = make(
        "policy.evaluation_eta=1",
        "policy.evaluation_temperature=1",
        "policy.sampling_eta=1",
        "policy.sampling_temperature=1",
        "policy.min_sampling_denoising_std=1e-6",
    )
    noise = noise_for(policy)
    torch.testing.assert_close(
        policy.sample(observation, noise)[:, 1:-1], policy.explore(observation, noise)[0][:, 1:-1]
    )
    quiet = make().sample(observation, noise)
    assert not torch.allclose(policy.sample(observation, noise), quiet, atol=1e-3)


def test_temperature_scales_the_noise_of_evaluation_alone(make, observation):
    cold, warm = make("policy.evaluation_temperature=0"), make("policy.evaluation_temperature=1")
    noise = noise_for(cold)
    torch.testing.assert_close(
        cold.sample(observation, noise), warm.sample(observation, torch.zeros_like(noise))
    )
    torch.testing.assert_close(
        make("policy.evaluation_temperature=0.25").sample(observation, noise),
        warm.sample(observation, noise / 4),
    )
    explored = (policy.explore(observation, noise)[0] for policy in (cold, warm))
    torch.testing.assert_close(*explored)


def test_golden_cloning_loss(policy, observation):
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    action = torch.rand(6, 4, 7, generator=generator) * 2 - 1
    loss = policy.loss(observation, action, torch.Generator().manual_seed(6))
    assert loss.item() == pytest.approx(GOLDEN_LOSS, rel=1e-6)


GOLDEN_LOSS = 0.9966290593147278


def test_in_pixel_mode_an_observation_is_cloned_at_four_noise_levels(make, observation):
    """One encoding serves four draws: the same loss in expectation, with less noise."""
    policy = make("policy.encoder=resnet", "policy.image_size=48")
    encoded, denoised = [], []
    policy.encoder.register_forward_hook(lambda _, inputs, __: encoded.append(len(inputs[0])))
    policy.denoiser.register_forward_hook(lambda _, inputs, __: denoised.append(inputs[0]))
    policy.loss(observation, torch.zeros(6, 4, 7), torch.Generator().manual_seed(0))
    assert encoded == [6]
    assert len(denoised[0]) == 24
    assert len(denoised[0].unique(dim=0)) == 24
    state = make()
    state.denoiser.register_forward_hook(lambda _, inputs, __: denoised.append(inputs[0]))
    state.loss(observation, torch.zeros(6, 4, 7))
    assert len(denoised[1]) == 6
