import numpy as np
import pytest
import torch

from rl_datagen.algo.losses import (
    chunk_gae,
    clip_range,
    explained_variance,
    policy_loss,
    reduce_log_prob,
    value_loss,
)
from rl_datagen.data.normalization import NormStats
from rl_datagen.policy import make_policy
from tests.toy import demonstrations, toy_config

SETTINGS = {"gamma_denoising": 0.9, "clip_base": 0.001, "clip_param": 0.01}
VALUES = np.array([0.5, 0.4, 0.2, 0.8])


def test_gae_of_a_success_by_hand():
    # delta_2 = 1   + 0.9 * 0   - 0.2 = 0.8       (terminated: no bootstrap)
    # delta_1 = 0   + 0.9 * 0.2 - 0.4 = -0.22
    # delta_0 = 0   + 0.9 * 0.4 - 0.5 = -0.14
    # A_2 = 0.8;  A_1 = -0.22 + 0.9 * 0.5 * 0.8 = 0.14;  A_0 = -0.14 + 0.45 * 0.14 = -0.077
    advantage = chunk_gae(np.array([0.0, 0.0, 1.0]), VALUES, True, 0.9, 0.5)
    np.testing.assert_allclose(advantage, [-0.077, 0.14, 0.8], rtol=1e-6)


def test_gae_of_a_time_out_bootstraps_from_the_final_observation():
    # delta_2 = 0 + 0.9 * 0.8 - 0.2 = 0.52;  A_1 = -0.22 + 0.45 * 0.52 = 0.014
    # A_0 = -0.14 + 0.45 * 0.014 = -0.1337
    advantage = chunk_gae(np.zeros(3), VALUES, False, 0.9, 0.5)
    np.testing.assert_allclose(advantage, [-0.1337, 0.014, 0.52], rtol=1e-5)


def test_clip_range_grows_from_base_to_param():
    k = torch.tensor([5, 4, 3, 2, 1])
    growth = (np.exp(3 * np.array([0, 0.25, 0.5, 0.75, 1])) - 1) / (np.exp(3) - 1)
    np.testing.assert_allclose(clip_range(k, 5, 0.001, 0.01), 0.001 + 0.009 * growth, rtol=1e-5)


def test_clip_range_of_a_single_step_is_the_last_one():
    torch.testing.assert_close(clip_range(torch.tensor([1]), 1, 0.001, 0.01), torch.tensor([0.01]))


@pytest.mark.parametrize(("reduction", "expected"), [("mean", 2.5), ("sum", 10.0)])
def test_only_executed_actions_count(reduction, expected):
    log_prob = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [100.0, 100.0]]])
    executed = torch.tensor([[True, True, False]])  # success after two env steps
    assert reduce_log_prob(log_prob, executed, reduction).item() == expected


def test_the_clipped_objective_by_hand():
    # K = 2; row 0: k = 1, clip 0.01, ratio 1.2, A 1   -> min(1.2, 1.01) = 1.01
    #        row 1: k = 2, clip 0.001, ratio 0.9, A 2 * 0.9 -> min(1.62, 0.999 * 1.8) = 1.62
    old = torch.zeros(2, 1, 1)
    new = torch.log(torch.tensor([1.2, 0.9])).reshape(2, 1, 1)
    executed = torch.ones(2, 1, dtype=torch.bool)
    result = policy_loss(
        new,
        old,
        executed,
        torch.tensor([1.0, 2.0]),
        torch.tensor([1, 2]),
        num_denoising_steps=2,
        **SETTINGS,
    )
    assert result.loss.item() == pytest.approx(-(1.01 + 1.62) / 2)
    assert result.clip_fraction.item() == 1
    # k3 = r - 1 - log r
    k3 = (0.2 - np.log(1.2) + -0.1 - np.log(0.9)) / 2
    assert result.approx_kl.item() == pytest.approx(k3, rel=1e-4)


def make_batch(*overrides, kind="diffusion"):
    """A policy in float64, and every (decision, k) pair of four decisions."""
    config = toy_config(
        *overrides,
        "policy.action_horizon=4",
        "policy.action_steps=4",
        "policy.encoder_width=8",
        "policy.unet_channels=[8]",
        kind=kind,
    )
    torch.manual_seed(0)
    policy = make_policy(config.policy, NormStats.from_trajectories(demonstrations(3))).double()
    num = policy.num_chain_steps
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    observation = {"proprio": 0.1 * draw(4, 8), "object_state": 0.1 * draw(4, 3)}
    chain, log_prob = policy.explore(observation, draw(4, num + 1, 4, 7))
    rows, k = torch.arange(4 * num) // num, torch.arange(num, 0, -1).repeat(4)
    pairs = {
        "observation": {key: value[rows] for key, value in observation.items()},
        "chunk": chain[rows, num - k],
        "next_chunk": chain[rows, num + 1 - k],
        "k": k,
    }
    executed = torch.ones(4 * num, 4, dtype=torch.bool)
    executed[-num:, 2:] = False
    return policy, pairs, log_prob[rows, num - k], executed, draw(4)[rows]


@pytest.fixture
def batch():
    """A chain of two steps from standard normal noise."""
    full = ("policy.sampling_eta=1", "policy.sampling_temperature=1")
    return make_batch("policy.num_denoising_steps=2", *full)


@pytest.fixture(params=["ddim", "ddpm", "one step", "gaussian"])
def any_batch(request):
    """Every kind of chain in turn."""
    ddpm = ("num_train_timesteps=7", "num_denoising_steps=7", "sampler=ddpm", "sampling_eta=1")
    return {
        "ddim": lambda: make_batch(),
        "ddpm": lambda: make_batch(*(f"policy.{setting}" for setting in ddpm)),
        "one step": lambda: make_batch("policy.num_denoising_steps=1"),
        "gaussian": lambda: make_batch(kind="gaussian"),
    }[request.param]()


def compute(policy, pairs, old, executed, advantage, **settings):
    new = policy.log_prob(*pairs.values())
    num = policy.num_chain_steps
    return policy_loss(
        new, old, executed, advantage, pairs["k"], num_denoising_steps=num, **SETTINGS | settings
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_at_the_old_weights_every_ratio_is_one(any_batch, reduction):
    policy, pairs, old, executed, advantage = any_batch
    for k in range(1, policy.num_chain_steps + 1):
        rows = pairs["k"] == k
        chosen = {key: pairs[key][rows] for key in ("chunk", "next_chunk", "k")}
        seen = {key: value[rows] for key, value in pairs["observation"].items()}
        result = compute(
            policy,
            {"observation": seen, **chosen},
            old[rows],
            executed[rows],
            advantage[rows],
            reduction=reduction,
        )
        assert result.ratio_mean.item() == pytest.approx(1, abs=1e-9)
        assert result.ratio_max.item() == pytest.approx(1, abs=1e-9)
        assert result.clip_fraction.item() == 0
        assert result.approx_kl.item() == pytest.approx(0, abs=1e-9)


def test_every_chain_has_a_finite_gradient(any_batch):
    policy = any_batch[0]
    compute(*any_batch).loss.backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert any(parameter.grad.abs().max() > 0 for parameter in policy.parameters())


def test_gradient_equals_finite_differences(batch):
    policy, pairs, old, executed, advantage = batch
    old = old + 0.01 * torch.sign(advantage)[:, None, None]  # away from the kink at ratio 1
    arguments = (policy, pairs, old, executed, advantage)
    settings = {"clip_base": 0.5, "clip_param": 0.5}
    compute(*arguments, **settings).loss.backward()
    for parameter in (policy.denoiser.exit.weight, policy.encoder[0].bias):
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for i in range(0, len(flat), max(1, len(flat) // 5)):
            losses = []
            for step in (1e-6, -2e-6):
                flat[i] += step
                losses.append(compute(*arguments, **settings).loss.item())
            flat[i] += 1e-6
            assert gradient[i].item() == pytest.approx((losses[0] - losses[1]) / 2e-6, abs=1e-7)


def test_golden_loss(batch):
    policy, pairs, old, executed, advantage = batch
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=generator)
    result = compute(policy, pairs, old, executed, advantage)
    assert result.loss.item() == pytest.approx(GOLDEN_LOSS, rel=1e-6)
    assert result.approx_kl.item() == pytest.approx(GOLDEN_KL, rel=1e-5)


GOLDEN_LOSS, GOLDEN_KL = -0.42969766904374707, 0.6909855608183423


def test_value_loss_and_explained_variance():
    value, target = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
    assert value_loss(value, target).item() == 1
    assert explained_variance(np.float32([1, 2]), np.float32([1, 2])) == 1
    assert explained_variance(np.float32([0, 0]), np.float32([1, 2])) == 0
    assert explained_variance(np.float32([0, 1]), np.float32([2, 2])) == 0
