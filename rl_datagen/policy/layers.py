"""Small building blocks of the networks."""

# Legend: B batch, C channels, T length, F features.

import itertools
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

_MAX_PERIOD = 10_000  # of the sinusoids, Vaswani et al. 2017


class SinusoidalEmbedding(nn.Module):
    """Embeds the noise level as sines and cosines (Vaswani et al., arXiv:1706.03762)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        frequencies = torch.exp(-math.log(_MAX_PERIOD) * torch.arange(size // 2) / (size // 2 - 1))
        self._frequencies: Tensor
        self.register_buffer("_frequencies", frequencies, persistent=False)

    def forward(self, timestep: Int[Tensor, " B"]) -> Float[Tensor, "B F"]:
        """Returns one row per timestep."""
        angle = timestep[:, None] * self._frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class Mlp(nn.Sequential):
    """Linear layers with SiLU in between."""

    def __init__(self, *sizes: int) -> None:
        layers: list[nn.Module] = []
        for size, next_size in itertools.pairwise(sizes):
            layers += [nn.Linear(size, next_size), nn.SiLU()]
        super().__init__(*layers[:-1])


class FilmBlock(nn.Module):
    """Two convolutions over the chunk with a residual path, conditioned by FiLM.

    FiLM (Perez et al., arXiv:1709.07871) scales and shifts each channel between the convolutions.
    """

    def __init__(self, in_channels: int, out_channels: int, condition_size: int) -> None:
        super().__init__()
        self.first = _ConvBlock(in_channels, out_channels)
        self.second = _ConvBlock(out_channels, out_channels)
        self.film = nn.Linear(condition_size, 2 * out_channels)
        same = in_channels == out_channels
        self.residual = nn.Identity() if same else nn.Conv1d(in_channels, out_channels, 1)

    def forward(
        self, x: Float[Tensor, "B C T"], condition: Float[Tensor, "B F"]
    ) -> Float[Tensor, "B C2 T"]:
        """Returns the block's output at the same length."""
        scale, shift = self.film(condition)[..., None].chunk(2, dim=1)
        return self.second(self.first(x) * (1 + scale) + shift) + self.residual(x)


class _ConvBlock(nn.Sequential):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv1d(in_channels, out_channels, 3, padding=1),
            nn.GroupNorm(min(8, out_channels), out_channels),
            nn.SiLU(),
        )
