import torch

from rl_datagen.policy.base import MIN_LOG_PROB


def test_a_chain_is_noise_and_then_the_chunk(make, observation):
    policy = make(kind="gaussian")
    noise = policy.draw_noise(6, torch.Generator().manual_seed(0))
    chain, _ = policy.explore(observation, noise)
    mean = policy.sample(observation, noise)[:, 1]
    assert chain.shape == (6, 2, 4, 7)
    torch.testing.assert_close(chain[:, 1] - mean, 0.08 * noise[:, 1].clamp(-3, 3))
    other = policy.draw_noise(6, torch.Generator().manual_seed(1))
    torch.testing.assert_close(policy.sample(observation, other)[:, 1], mean)


def test_the_mean_is_bounded(make, observation):
    policy = make(kind="gaussian")
    with torch.no_grad():
        policy.denoiser.exit.bias += 100
    assert policy.sample(observation, policy.draw_noise(6))[:, 1].max() <= 1


def test_the_deviation_stays_above_its_floor_and_can_come_back(make, observation):
    policy = make(kind="gaussian")
    with torch.no_grad():
        policy.log_std.fill_(-10)
    chain, _ = policy.explore(observation, policy.draw_noise(6))
    spread = (chain - policy.sample(observation, chain))[:, 1]
    assert 0.03 < spread.std() < 0.05
    # Noise at 3 deviations asks for a larger one, floor or not.
    far = policy.sample(observation, chain)[:, 1] + 3 * 0.04
    log_prob = policy.log_prob(observation, chain[:, 0], far, torch.ones(6, dtype=torch.long))
    assert log_prob.min() > MIN_LOG_PROB
    log_prob.sum().backward()
    assert (policy.log_std.grad > 0).all()


def test_cloning_leaves_the_deviation_alone(make, observation):
    policy = make(kind="gaussian")
    policy.loss(observation, torch.zeros(6, 4, 7)).backward()
    assert policy.log_std.grad is None
