"""The critic: how likely success is from here, discounted."""

# Legend: B batch.

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from rl_datagen.data.normalization import NormStats
from rl_datagen.policy.layers import Mlp
from rl_datagen.policy.normalizer import Normalizer


class Critic(nn.Module):
    """State value V(s) of objects and proprio, in pixel mode too.

    Only training needs a critic, and training has a simulator: what it knows need not be guessed
    from images, at a small part of the cost (Pinto et al., arXiv:1710.06542).

    Args:
        width: Units of each hidden layer.
        stats: Statistics of the warm-start data.
    """

    fitted: Bool[Tensor, ""]
    """Whether it has learnt anything; a buffer, so that checkpoints know."""

    def __init__(self, width: int, stats: NormStats) -> None:
        super().__init__()
        self.register_buffer("fitted", torch.tensor(False))
        self.normalizer = Normalizer(stats, tuple(stats.mean))
        self.value = Mlp(self.normalizer.state_size, width, width, 1)

    def forward(self, observation: dict[str, Tensor]) -> Float[Tensor, " B"]:
        """Returns one value per observation."""
        return self.value(self.normalizer.state(observation))[:, 0]
