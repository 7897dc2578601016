"""Networks that turn an observation into the features that condition a denoiser."""

# Legend: B batch, D entries of the normalised state, F features, V cameras, H W C image.

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rl_datagen.config import PolicyConfig
from rl_datagen.data.schema import CAMERAS
from rl_datagen.policy.layers import Mlp
from rl_datagen.policy.normalizer import Normalizer

_FREQUENCIES = (1.0, 2.0, 4.0)  # rad per standard deviation
_NUM_KEYPOINTS = 64  # per camera
_VIT_WIDTH, _VIT_LAYERS, _VIT_HEADS, _VIT_PATCHES = 384, 6, 6, 8
"""About as many weights as a ResNet-18; 8 x 8 patches per image."""
_MICRO_BATCH = 256  # observations encoded at once; more would only need more memory


class StateEncoder(Mlp):
    """Encodes the normalised state, which holds the objects too.

    Sines and cosines of the positions stand beside it (Fourier features, Tancik et al.,
    arXiv:2006.10739): a network learns slow functions of its inputs first, and a grasp is a matter
    of a centimetre, a tenth of a standard deviation.

    Args:
        state_size: Entries of the normalised state.
        positions: Indices of those that are positions.
        width: Features to return.
    """

    def __init__(self, state_size: int, positions: Sequence[int], width: int) -> None:
        waves = 2 * len(_FREQUENCIES) * len(positions)
        super().__init__(state_size + waves, 2 * width, width)
        self._positions = list(positions)

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, state: Float[Tensor, "B D"], observation: dict[str, Tensor]
    ) -> Float[Tensor, "B F"]:
        """Returns the features."""
        del observation
        positions = state[:, self._positions]
        waves = [wave(f * positions) for f in _FREQUENCIES for wave in (torch.sin, torch.cos)]
        return super().forward(torch.cat([state, *waves], dim=1))


class PixelEncoder(nn.Module):
    """Encodes both cameras with one shared trunk; the normalised proprio enters by FiLM.

    Args:
        trunk: Maps images [N, 3, H, W] to ``trunk_size`` features each.
        trunk_size: Features per image.
        state_size: Entries of the normalised proprio.
        width: Features to return.
    """

    def __init__(self, trunk: nn.Module, trunk_size: int, state_size: int, width: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.project = Mlp(len(CAMERAS) * trunk_size, 2 * width, width)
        self.film = Mlp(state_size, width, 2 * width)

    def forward(
        self, state: Float[Tensor, "B D"], observation: dict[str, Tensor]
    ) -> Float[Tensor, "B F"]:
        """Returns the features."""
        parts = zip(*(observation[name].split(_MICRO_BATCH) for name in CAMERAS), strict=True)
        if torch.is_grad_enabled() and len(state) > _MICRO_BATCH:
            # The backward pass computes a part's activations again instead of holding all.
            encoded = [checkpoint(self._encode, *part, use_reentrant=False) for part in parts]
        else:
            encoded = [self._encode(*part) for part in parts]
        scale, shift = self.film(state).chunk(2, dim=1)
        return torch.cat(encoded) * (1 + scale) + shift

    def _encode(self, *images: Tensor) -> Tensor:
        features = self.trunk(torch.cat([normalize_image(image) for image in images]))
        return self.project(torch.cat(features.chunk(len(images)), dim=1))


class SpatialSoftmax(nn.Module):
    """Where in the image each of some learnt features is (Levine et al., arXiv:1504.00702).

    Average pooling, which it replaces, forgets where things are.
    """

    def __init__(self, channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, num_keypoints, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B F"]:
        """Returns x and y of each keypoint, in [-1, 1]."""
        x = self.conv(x)
        weight = x.flatten(2).softmax(2).view_as(x)
        across = torch.linspace(-1, 1, x.shape[3], device=x.device, dtype=x.dtype)
        down = torch.linspace(-1, 1, x.shape[2], device=x.device, dtype=x.dtype)
        return torch.cat([weight.sum(2) @ across, weight.sum(3) @ down], dim=1)


def normalize_image(image: UInt8[Tensor, "B H W 3"]) -> Float[Tensor, "B 3 H W"]:
    """Maps the bytes of an image to [-1, 1], channels first."""
    return image.permute(0, 3, 1, 2).float() / 127.5 - 1


def make_encoder(config: PolicyConfig, normalizer: Normalizer) -> nn.Module:
    """Returns the encoder that a configuration asks for.

    Args:
        config: Its ``encoder``, ``encoder_width`` and ``image_size`` are read.
        normalizer: What brings the state to a common scale.
    """
    state_size, width = normalizer.state_size, config.encoder_width
    if config.encoder == "state":
        return StateEncoder(state_size, normalizer.positions, width)
    if config.encoder == "resnet":
        resnet, channels = resnet_trunk()
        trunk = nn.Sequential(resnet, SpatialSoftmax(channels, _NUM_KEYPOINTS))
        return PixelEncoder(trunk, 2 * _NUM_KEYPOINTS, state_size, width)
    from torchvision.models import VisionTransformer

    trunk = VisionTransformer(
        config.image_size,
        config.image_size // _VIT_PATCHES,
        _VIT_LAYERS,
        _VIT_HEADS,
        _VIT_WIDTH,
        4 * _VIT_WIDTH,
        num_classes=2 * _NUM_KEYPOINTS,
    )
    return PixelEncoder(trunk, 2 * _NUM_KEYPOINTS, state_size, width)


def resnet_trunk() -> tuple[nn.Module, int]:
    """Returns a ResNet-18 without its head, and the channels of its map, a 16th of the image.

    The last stage keeps the resolution of the one before: keypoints on a map of a 32nd of a small
    image could hardly say where something is.
    """
    from torchvision.models import resnet18  # seconds, which state mode does not spend

    trunk = resnet18(norm_layer=_group_norm)
    stage: Any = trunk.layer4[0]
    stage.conv1.stride = stage.downsample[0].stride = (1, 1)
    stem = (trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool)
    stages = (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4)
    return nn.Sequential(*stem, *stages), trunk.fc.in_features


def _group_norm(channels: int) -> nn.GroupNorm:
    """Batch statistics would couple the episodes of a batch; 16 channels a group."""
    return nn.GroupNorm(channels // 16, channels)
