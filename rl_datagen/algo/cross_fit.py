"""Values for the first iteration, whose critic has learnt nothing yet."""

# Legend: N observations of an episode, the final one included.

import copy
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from rl_datagen.algo.losses import value_loss
from rl_datagen.policy import Critic

Observations = Sequence[dict[str, Float32[np.ndarray, "N _"]]]
"""What was seen in each episode, by key."""

_NUM_EPOCHS = 20
_MINIBATCH_SIZE = 256
_LR = 1e-3


def cross_fitted_values(
    critic: Critic,
    observations: Observations,
    returns: Sequence[Float32[np.ndarray, " T"]],
    seed: int,
) -> list[Float32[np.ndarray, " N"]]:
    """Returns V(s) of each episode's observations, by a critic that has not seen the episode.

    Two copies of the critic learn the returns of one half of the episodes each and judge the other
    half (cross-fitting, Chernozhukov et al., Econometrics Journal 21, 2018). So the first
    iteration's advantages are unbiased by their own returns, and no episodes are spent on a critic
    alone.

    Args:
        critic: Untrained; left as it is.
        observations: Of each episode; there are at least two.
        returns: Discounted return of each decision of each episode.
        seed: Of the minibatches.
    """
    values: list[Float32[np.ndarray, " N"]] = [np.zeros(0, np.float32)] * len(observations)
    for half in (0, 1):
        learnt = _fit(critic, observations[1 - half :: 2], returns[1 - half :: 2], seed)
        rows = _rows(observations[half::2], critic)
        with torch.no_grad():
            judged = learnt(rows).cpu().numpy()
        ends = np.cumsum([_length(item) for item in observations[half::2]])
        values[half::2] = np.split(judged, ends[:-1])
    return values


def _fit(
    critic: Critic, observations: Observations, returns: Sequence[np.ndarray], seed: int
) -> Critic:
    critic = copy.deepcopy(critic)
    optimizer = torch.optim.Adam(critic.parameters(), _LR)
    decided = [{key: value[:-1] for key, value in item.items()} for item in observations]
    rows = _rows(decided, critic)
    targets = torch.from_numpy(np.concatenate(returns)).to(_device(critic))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(_NUM_EPOCHS):
        for index in torch.randperm(len(targets), generator=generator).split(_MINIBATCH_SIZE):
            part = index.to(targets.device)
            loss = value_loss(critic({k: v[part] for k, v in rows.items()}), targets[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return critic


def _rows(observations: Observations, critic: Critic) -> dict[str, Tensor]:
    """One row per observation; the critic does not look at images."""
    return {
        key: torch.from_numpy(np.concatenate([item[key] for item in observations])).to(
            _device(critic)
        )
        for key in critic.normalizer.keys
    }


def _length(item: dict[str, np.ndarray]) -> int:
    return len(next(iter(item.values())))


def _device(critic: Critic) -> torch.device:
    return next(critic.parameters()).device
