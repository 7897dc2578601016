"""Random changes of training images."""

# Legend: B batch, H W C image.

import torch
from jaxtyping import UInt8
from torch import Tensor

from rl_datagen.policy.augment import shift_images

_LARGEST_SHIFT = 1 / 16  # of the image's size
_LARGEST_CHANGE = 0.2  # of brightness, contrast and saturation


def augment(
    images: UInt8[Tensor, "B H W 3"], generator: torch.Generator
) -> UInt8[Tensor, "B H W 3"]:
    """Shifts each image, repeating its edge, and changes brightness, contrast and saturation.

    Args:
        images: RGB.
        generator: Source of randomness, on the images' device.
    """
    most = round(_LARGEST_SHIFT * images.shape[1])
    return _jitter(shift_images(images, most, generator), generator)


def _jitter(images: Tensor, generator: torch.Generator) -> Tensor:
    shape, device = (3, len(images), 1, 1, 1), images.device
    factor = 1 + _LARGEST_CHANGE * (2 * torch.rand(shape, generator=generator, device=device) - 1)
    brightness, contrast, saturation = factor
    image = images.float() * brightness
    middle = image.mean((1, 2, 3), keepdim=True)
    image = middle + contrast * (image - middle)
    grey = image.mean(3, keepdim=True)
    image = grey + saturation * (image - grey)
    return image.round().clamp(0, 255).to(torch.uint8)
