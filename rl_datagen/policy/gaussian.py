"""The Gaussian policy, the paper's baseline: the same networks, and a chain of a single step."""

# Legend: B batch, Ta action horizon, Da action dim, F features.

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from rl_datagen.config import GaussianConfig
from rl_datagen.data.normalization import NormStats
from rl_datagen.policy.base import ChunkPolicy, Observation
from rl_datagen.policy.denoisers import ACTION_DIM


class GaussianPolicy(ChunkPolicy):
    """A diagonal Gaussian over the chunk.

    The network that denoises elsewhere turns a learnt query chunk into the mean, bounded by tanh.
    The standard deviation of each action entry is learnt and depends on nothing. The chain is
    noise, which no one looks at, and then the chunk.

    Args:
        config: Sizes, initial deviation and its floor.
        stats: Statistics of the warm-start data.
    """

    deterministic = True

    def __init__(self, config: GaussianConfig, stats: NormStats) -> None:
        super().__init__(config, stats)
        self.query = nn.Parameter(torch.randn(config.action_horizon, ACTION_DIM))
        # Above its floor, not clamped to it: a clamped deviation would have no way back.
        raw = math.log(config.init_std - config.min_std)
        self.log_std = nn.Parameter(torch.full((ACTION_DIM,), raw))
        self._min_std = config.min_std

    def loss(
        self,
        observation: Observation,
        action: Float[Tensor, "B Ta Da"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """Returns the mean's squared error; see ``ChunkPolicy``.

        This is the likelihood at a fixed deviation. Learning the deviation from demonstrations too
        would shrink it to their error and leave nothing to explore with.
        """
        del generator
        chunk = self.normalizer.normalize_action(action)
        return functional.mse_loss(self._mean(self.encode(observation)), chunk)

    def posterior(
        self,
        chunk: Float[Tensor, "B Ta Da"],
        condition: Float[Tensor, "B F"],
        k: Int[Tensor, " B"],
        eta: float,
    ) -> tuple[Float[Tensor, "B Ta Da"], Float[Tensor, "..."]]:
        """Returns mean and standard deviation of the chunk, whatever ``chunk`` and ``k``."""
        del chunk, k
        return self._mean(condition), eta * (self._min_std + self.log_std.exp())

    def _mean(self, condition: Tensor) -> Tensor:
        num = len(condition)
        level = torch.zeros(num, dtype=torch.long, device=condition.device)
        return self.denoiser(self.query.expand(num, -1, -1), level, condition).tanh()
