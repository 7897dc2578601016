"""Normalisation inside the network: weights and statistics never meet the wrong partner."""

# Legend: B batch, Ta action horizon, Da action dim, D entries of an observation.

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from rl_datagen.core.errors import UserError
from rl_datagen.data.normalization import NormStats

MAX_NORMALIZED = 10.0
"""Normalised state is clipped here, in standard deviations."""


class Normalizer(nn.Module):
    """Maps actions to [-1, 1] and observations to zero mean and unit deviation.

    The statistics are buffers that move with the module but are not weights: they are stored apart,
    as readable JSON.

    Args:
        stats: Statistics of the warm-start data.
        keys: Observations that make the state.
    """

    def __init__(self, stats: NormStats, keys: Sequence[str]) -> None:
        super().__init__()
        self.keys = tuple(keys)
        if lacking := [key for key in self.keys if key not in stats.mean]:
            raise UserError(
                f"The normalisation statistics have no '{lacking[0]}', which the policy sees: are "
                "they another policy's? Copy the whole folder again, or train the policy anew."
            )
        middle = (stats.action_low + stats.action_high) / 2
        half = (stats.action_high - stats.action_low) / 2
        mean = torch.cat([torch.from_numpy(stats.mean[key]) for key in self.keys])
        std = torch.cat([torch.from_numpy(stats.std[key]) for key in self.keys])
        marks = [stats.positions.get(key, np.zeros(len(stats.std[key]), bool)) for key in keys]
        visible = np.isfinite(std.numpy())
        self.positions = np.flatnonzero(np.concatenate(marks) & visible).tolist()
        """Indices of the entries of the state that are positions relative to the hand."""
        self._middle: Tensor
        self._half: Tensor
        self._mean: Tensor
        self._std: Tensor
        self.register_buffer("_middle", torch.from_numpy(middle), persistent=False)
        self.register_buffer("_half", torch.from_numpy(half), persistent=False)
        self.register_buffer("_mean", mean, persistent=False)
        self.register_buffer("_std", std, persistent=False)

    @property
    def state_size(self) -> int:
        """Entries of the normalised state."""
        return len(self._mean)

    def state(self, observation: dict[str, Tensor]) -> Float[Tensor, "B D"]:
        """Returns all observed state in one row per decision, normalised and clipped."""
        return self._normalized(observation).clamp(-MAX_NORMALIZED, MAX_NORMALIZED)

    def largest(self, observation: dict[str, Tensor]) -> Float[Tensor, " B"]:
        """Returns the largest deviation from the data, before clipping.

        It is the first thing to look at when fine-tuning does not improve a policy: states far
        outside the demonstrations carry no feedback.
        """
        return self._normalized(observation).abs().amax(1)

    def normalize_action(self, action: Float[Tensor, "B Ta Da"]) -> Float[Tensor, "B Ta Da"]:
        """Maps simulator actions to [-1, 1]."""
        return (action - self._middle) / self._half

    def unnormalize_action(self, action: Float[Tensor, "B Ta Da"]) -> Float[Tensor, "B Ta Da"]:
        """Maps [-1, 1] to simulator actions, clipped to what a simulator takes."""
        return (action * self._half + self._middle).clamp(-1, 1)

    def _normalized(self, observation: dict[str, Tensor]) -> Float[Tensor, "B D"]:
        state = torch.cat([observation[key] for key in self.keys], dim=1)
        return (state - self._mean) / self._std
