"""The critic: how likely success is from here, discounted."""

# Legend: B batch.

from jaxtyping import Float
from torch import Tensor, nn

from rl_datagen.data.normalization import NormStats
from rl_datagen.policy.layers import Mlp
from rl_datagen.policy.normalizer import Normalizer


class Critic(nn.Module):
    """State value V(s) from the same normalised state as the policy.

    Args:
        width: Units of each hidden layer.
        stats: Statistics of the warm-start data.
    """

    def __init__(self, width: int, stats: NormStats) -> None:
        super().__init__()
        self.normalizer = Normalizer(stats)
        self.value = Mlp(self.normalizer.state_size, width, width, 1)

    def forward(self, observation: dict[str, Tensor]) -> Float[Tensor, " B"]:
        """Returns one value per observation."""
        return self.value(self.normalizer.state(observation))[:, 0]
