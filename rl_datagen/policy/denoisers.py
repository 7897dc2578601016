"""Networks from an action chunk to an action chunk: noise prediction, or a Gaussian's mean."""

# Legend: B batch, Ta action horizon, Da action dim, F features.

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from rl_datagen.config import PolicyConfig
from rl_datagen.policy.layers import FilmBlock, Mlp, SinusoidalEmbedding

ACTION_DIM = 7
_TIMESTEP_SIZE = 64


class UNet1d(nn.Module):
    """A U-Net over the time axis of the chunk, conditioned by FiLM (Chi et al., arXiv:2303.04137).

    Args:
        action_dim: Entries of an action.
        condition_size: Features of the encoded observation.
        channels: Channels per level; each further level halves the chunk.
    """

    def __init__(self, action_dim: int, condition_size: int, channels: Sequence[int]) -> None:
        super().__init__()
        size = condition_size + _TIMESTEP_SIZE
        self.embed = nn.Sequential(
            SinusoidalEmbedding(_TIMESTEP_SIZE),
            Mlp(_TIMESTEP_SIZE, 2 * _TIMESTEP_SIZE, _TIMESTEP_SIZE),
        )
        levels = list(itertools.pairwise(channels))
        self.enter = FilmBlock(action_dim, channels[0], size)
        self.shorten = nn.ModuleList(nn.Conv1d(c, c, 3, stride=2, padding=1) for c, _ in levels)
        self.down = nn.ModuleList(FilmBlock(c, deeper, size) for c, deeper in levels)
        self.middle = FilmBlock(channels[-1], channels[-1], size)
        self.lengthen = nn.ModuleList(
            nn.ConvTranspose1d(deeper, c, 4, stride=2, padding=1) for c, deeper in reversed(levels)
        )
        self.up = nn.ModuleList(FilmBlock(2 * c, c, size) for c, _ in reversed(levels))
        self.exit = nn.Conv1d(channels[0], action_dim, 1)

    def forward(
        self,
        chunk: Float[Tensor, "B Ta Da"],
        timestep: Int[Tensor, " B"],
        condition: Float[Tensor, "B F"],
    ) -> Float[Tensor, "B Ta Da"]:
        """Returns the predicted noise."""
        condition = torch.cat([condition, self.embed(timestep)], dim=1)
        x = self.enter(chunk.transpose(1, 2), condition)
        skips = []
        for shorten, block in zip(self.shorten, self.down, strict=True):
            skips.append(x)
            x = block(shorten(x), condition)
        x = self.middle(x, condition)
        for lengthen, block in zip(self.lengthen, self.up, strict=True):
            x = block(torch.cat([lengthen(x), skips.pop()], dim=1), condition)
        return self.exit(x).transpose(1, 2)


class MlpDenoiser(nn.Module):
    """Three hidden layers over everything at once: the paper's ablation of the U-Net.

    Args:
        action_dim: Entries of an action.
        action_horizon: Actions of a chunk.
        condition_size: Features of the encoded observation.
        width: Units of each hidden layer.
    """

    def __init__(
        self, action_dim: int, action_horizon: int, condition_size: int, width: int
    ) -> None:
        super().__init__()
        size = action_horizon * action_dim
        self.embed = SinusoidalEmbedding(_TIMESTEP_SIZE)
        self.net = Mlp(size + _TIMESTEP_SIZE + condition_size, width, width, width, size)

    def forward(
        self,
        chunk: Float[Tensor, "B Ta Da"],
        timestep: Int[Tensor, " B"],
        condition: Float[Tensor, "B F"],
    ) -> Float[Tensor, "B Ta Da"]:
        """Returns the predicted noise."""
        x = torch.cat([chunk.flatten(1), self.embed(timestep), condition], dim=1)
        return self.net(x).view_as(chunk)


def make_denoiser(config: PolicyConfig) -> nn.Module:
    """Returns the denoiser that a configuration asks for."""
    width = config.encoder_width
    if config.denoiser == "unet":
        return UNet1d(ACTION_DIM, width, config.unet_channels)
    return MlpDenoiser(ACTION_DIM, config.action_horizon, width, config.mlp_width)
