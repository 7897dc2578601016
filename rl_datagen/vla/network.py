"""The built-in VLA's network: both cameras, an instruction and proprio to action chunks."""

# Legend: B batch, Ta action horizon, Ts action steps, Da action dim, F features, L language
# features, D entries of the normalised proprio, H W image.

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from rl_datagen.config import SmallVlaConfig
from rl_datagen.data.normalization import NormStats
from rl_datagen.data.schema import CAMERAS
from rl_datagen.policy.base import is_quick_at_bf16
from rl_datagen.policy.denoisers import ACTION_DIM, UNet1d
from rl_datagen.policy.encoders import SpatialSoftmax, normalize_image, resnet_trunk
from rl_datagen.policy.layers import Mlp
from rl_datagen.policy.normalizer import Normalizer

Observation = dict[str, Tensor]
"""``proprio`` [B, 8], ``agentview`` and ``wrist`` uint8 [B, H, W, 3], ``language`` [B, L]."""

_NUM_KEYPOINTS = 64  # per camera
_NUM_LEVELS = 1000  # of noise that the denoiser tells apart
_NUM_DRAWS = 4  # noisy chunks per observation: images are dear, chunks are not


class SmallVla(nn.Module):
    """Flow matching over action chunks, Eq. (6) of the paper, after pi0 (arXiv:2410.24164).

    Args:
        config: Sizes.
        stats: Statistics of the training data.
        language_size: Entries of an instruction's embedding, L.
    """

    def __init__(self, config: SmallVlaConfig, stats: NormStats, language_size: int) -> None:
        super().__init__()
        self.config, self.language_size = config, language_size
        self.normalizer = Normalizer(stats, ("proprio",))
        self.encoder = _Encoder(config, self.normalizer.state_size, language_size)
        self.denoiser = UNet1d(ACTION_DIM, config.encoder_width, config.unet_channels)

    def forward(
        self,
        observation: Observation,
        action: Float[Tensor, "B Ta Da"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """Returns the flow-matching loss.

        Args:
            observation: State at the beginning of each chunk.
            action: Demonstrated chunks, in simulator units.
            generator: Source of randomness.
        """
        chunk = self.normalizer.normalize_action(action).repeat_interleave(_NUM_DRAWS, 0)
        condition = self.encode(observation).repeat_interleave(_NUM_DRAWS, 0)
        device = chunk.device
        noise = torch.randn(chunk.shape, generator=generator, device=device)
        # pi0 trains most on noisy chunks: the share of noise is Beta(1.5, 1).
        share = torch.rand(len(chunk), generator=generator, device=device) ** (1 / 1.5)
        level = ((1 - share) * _NUM_LEVELS).long().clamp(max=_NUM_LEVELS - 1)
        clean = (level / _NUM_LEVELS)[:, None, None]
        noisy = clean * chunk + (1 - clean) * noise
        return functional.mse_loss(self.denoiser(noisy, level, condition), chunk - noise)

    @torch.no_grad()
    def sample(
        self, observation: Observation, noise: Float[Tensor, "B Ta Da"]
    ) -> Float[Tensor, "B Ts Da"]:
        """Returns the actions to execute, in simulator units.

        Args:
            observation: Where to act.
            noise: Standard normal.
        """
        condition, chunk, num_steps = self.encode(observation), noise, self.config.num_flow_steps
        for step in range(num_steps):
            level = torch.full((len(noise),), step * _NUM_LEVELS // num_steps, device=noise.device)
            chunk = chunk + self.denoiser(chunk, level, condition) / num_steps
        return self.normalizer.unnormalize_action(chunk[:, : self.config.action_steps])

    def encode(self, observation: Observation) -> Float[Tensor, "B F"]:
        """Returns the features that condition the denoiser."""
        state = self.normalizer.state(observation)
        wanted = self.training and self.config.precision == "bf16"
        bf16 = wanted and is_quick_at_bf16(state.device)
        with torch.autocast(state.device.type, torch.bfloat16, enabled=bf16):
            features = self.encoder(state, observation)
        return features.to(state.dtype)

    def draw_noise(
        self, num: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "B Ta Da"]:
        """Returns what ``sample`` needs for ``num`` decisions, on the CPU."""
        return torch.randn((num, self.config.action_horizon, ACTION_DIM), generator=generator)


class _Encoder(nn.Module):
    """Keypoints that the instruction chooses in both cameras, then FiLM by it and proprio.

    FiLM: Perez et al., arXiv:1709.07871.
    """

    def __init__(self, config: SmallVlaConfig, state_size: int, language_size: int) -> None:
        super().__init__()
        width = config.encoder_width
        if config.encoder == "resnet":
            self.trunk, channels = resnet_trunk()
        else:
            self.trunk, channels = _compact_trunk()
        self.language = Mlp(language_size, width, width)
        self.choose = nn.Linear(width, 2 * channels)
        self.keypoints = SpatialSoftmax(channels, _NUM_KEYPOINTS)
        self.project = Mlp(len(CAMERAS) * 2 * _NUM_KEYPOINTS, 2 * width, width)
        self.film = Mlp(width + state_size, width, 2 * width)

    def forward(
        self, state: Float[Tensor, "B D"], observation: Observation
    ) -> Float[Tensor, "B F"]:
        """Returns the features."""
        sentence = observation["language"]  # of unit length, hence tiny entries
        language = self.language(sentence * sentence.shape[1] ** 0.5)
        images = torch.cat([normalize_image(observation[name]) for name in CAMERAS])
        scale, shift = self.choose(language).repeat(len(CAMERAS), 1)[..., None, None].chunk(2, 1)
        points = self.keypoints(self.trunk(images) * (1 + scale) + shift)
        features = self.project(torch.cat(points.chunk(len(CAMERAS)), dim=1))
        scale, shift = self.film(torch.cat([state, language], dim=1)).chunk(2, dim=1)
        return features * (1 + scale) + shift


def resize(images: UInt8[Tensor, "B H W 3"], size: int) -> UInt8[Tensor, "B size size 3"]:
    """Reduces images by averaging over areas; training and acting see the same pixels."""
    if images.shape[1:3] == (size, size):
        return images
    area = functional.interpolate(images.permute(0, 3, 1, 2).float(), (size, size), mode="area")
    return area.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _compact_trunk() -> tuple[nn.Module, int]:
    channels, strides = (3, 16, 32, 64, 128), (2, 2, 2, 1)
    layers: list[nn.Module] = []
    for size, wider, stride in zip(channels[:-1], channels[1:], strides, strict=True):
        layers += [
            nn.Conv2d(size, wider, 5 if size == 3 else 3, stride, padding=2 if size == 3 else 1),
            nn.GroupNorm(wider // 16, wider),
            nn.SiLU(),
        ]
    return nn.Sequential(*layers), channels[-1]
