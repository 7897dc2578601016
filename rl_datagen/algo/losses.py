"""The arithmetic of denoising-step PPO, as pure functions (Eqs. 2-5 of the paper).

What is cited as DPPO is Ren et al., arXiv:2409.00588, and its published code.
"""

# Legend: P (decision, denoising step) pairs, T decisions of an episode, K denoising steps,
# Ts action steps, Da action dim; k runs from K (noise) down to 1.

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

Reduction = Literal["mean", "sum"]

_CLIP_GROWTH = 3.0  # of the exponential clip schedule (DPPO)


def chunk_gae(
    rewards: Float[np.ndarray, " T"],
    values: Float[np.ndarray, " T1"],
    terminated: bool,
    gamma: float,
    lambda_: float,
) -> Float32[np.ndarray, " T"]:
    """Returns generalised advantages over the decisions of one episode, Eq. (3).

    A decision counts once however many env steps its chunk took, so a chunk cut short by success
    is discounted like any other.

    Args:
        rewards: Sum of the env rewards of each chunk.
        values: V(s) at each decision and at the true final observation (T + 1 entries).
        terminated: The episode ended in success: nothing comes after. Otherwise the time limit
            cut it, and the value of the final observation stands for what would have come.
        gamma: Discount per decision.
        lambda_: GAE's lambda per decision (Schulman et al., arXiv:1506.02438).
    """
    next_values = values[1:].copy()
    if terminated:
        next_values[-1] = 0
    # TD error: r_t + gamma * V(s_{t+1}) - V(s_t)
    delta = rewards + gamma * next_values - values[:-1]
    advantages = np.zeros(len(rewards), np.float32)
    running = 0.0
    for t in reversed(range(len(rewards))):
        running = delta[t] + gamma * lambda_ * running
        advantages[t] = running
    return advantages


def reduce_log_prob(
    log_prob: Float[Tensor, "P Ts Da"], executed: Bool[Tensor, "P Ts"], reduction: Reduction
) -> Float[Tensor, " P"]:
    """Returns one log-probability per pair from those of the executed elements.

    The mean (DPPO) makes ratios insensitive to the size of a chunk, which is why its clip ranges
    are so small; the sum is the true density of the chunk.

    Args:
        log_prob: Log-density of each element.
        executed: Env steps that were executed; success cuts the last chunk of an episode short.
        reduction: ``mean`` or ``sum`` over executed elements.
    """
    total = (log_prob.sum(2) * executed).sum(1)
    return total if reduction == "sum" else total / num_elements(log_prob, executed)


def num_elements(
    log_prob: Float[Tensor, "P Ts Da"], executed: Bool[Tensor, "P Ts"]
) -> Float[Tensor, " P"]:
    """Returns how many executed elements each pair has."""
    return executed.sum(1) * float(log_prob.shape[2])


def clip_range(
    k: Int[Tensor, " P"], num_denoising_steps: int, clip_base: float, clip_param: float
) -> Float[Tensor, " P"]:
    """Returns the clip range of each pair, from ``clip_base`` at k=K to ``clip_param`` at k=1.

    It grows exponentially along the chain (DPPO): base + (param - base)(e^3x - 1)/(e^3 - 1).
    """
    if num_denoising_steps == 1:
        return torch.full(k.shape, clip_param, device=k.device)
    position = (num_denoising_steps - k) / (num_denoising_steps - 1)
    growth = torch.expm1(_CLIP_GROWTH * position) / math.expm1(_CLIP_GROWTH)
    return clip_base + (clip_param - clip_base) * growth


@dataclass(frozen=True)
class PolicyLoss:
    """What the clipped objective gives for a batch of pairs.

    Attributes:
        loss: To be minimised.
        approx_kl: k3 estimate (Schulman 2020) of the KL divergence from the sampling policy per
            denoising step, in nats summed over the executed elements.
        clip_fraction: Share of pairs whose ratio left its clip range.
        ratio_mean: Mean ratio.
        ratio_max: Largest ratio.
    """

    loss: Float[Tensor, ""]
    approx_kl: Float[Tensor, ""]
    clip_fraction: Float[Tensor, ""]
    ratio_mean: Float[Tensor, ""]
    ratio_max: Float[Tensor, ""]


def policy_loss(
    log_prob: Float[Tensor, "P Ts Da"],
    old_log_prob: Float[Tensor, "P Ts Da"],
    executed: Bool[Tensor, "P Ts"],
    advantage: Float[Tensor, " P"],
    k: Int[Tensor, " P"],
    *,
    num_denoising_steps: int,
    gamma_denoising: float,
    clip_base: float,
    clip_param: float,
    reduction: Reduction = "mean",
) -> PolicyLoss:
    """Returns PPO's clipped objective over (decision, denoising step) pairs, Eqs. (4) and (5).

    Args:
        log_prob: Elements' log-densities under the weights being learnt.
        old_log_prob: The same under the weights that sampled.
        executed: As in ``reduce_log_prob``.
        advantage: Normalised advantage of each pair's decision.
        k: Denoising step of each pair.
        num_denoising_steps: K.
        gamma_denoising: The advantage weighs less by this factor per denoising step still to come.
        clip_base: Clip range at k=K.
        clip_param: Clip range at k=1.
        reduction: As in ``reduce_log_prob``.
    """
    new = reduce_log_prob(log_prob, executed, reduction)
    old = reduce_log_prob(old_log_prob, executed, reduction)
    ratio = (new - old).exp()
    weighted = advantage * gamma_denoising ** (k - 1)
    clip = clip_range(k, num_denoising_steps, clip_base, clip_param)
    clipped = torch.minimum(torch.maximum(ratio, 1 - clip), 1 + clip)
    loss = -torch.minimum(ratio * weighted, clipped * weighted).mean()
    with torch.no_grad():
        summed = (
            (new - old) if reduction == "sum" else (new - old) * num_elements(log_prob, executed)
        )
        approx_kl = (summed.exp() - 1 - summed).mean()
        clip_fraction = ((ratio - 1).abs() > clip).float().mean()
    return PolicyLoss(loss, approx_kl, clip_fraction, ratio.detach().mean(), ratio.detach().max())


def value_loss(value: Float[Tensor, " B"], target: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """Returns half the mean squared error of the critic."""
    return 0.5 * (value - target).square().mean()


def explained_variance(
    value: Float32[np.ndarray, " B"], target: Float32[np.ndarray, " B"]
) -> float:
    """Returns the share of the targets' variance that the values explain: 1 is perfect."""
    variance = float(np.var(target))
    return 0.0 if variance == 0 else 1 - float(np.var(target - value)) / variance
