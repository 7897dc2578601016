"""Random changes of training images."""

# Legend: B batch, H W C image.

import torch
from jaxtyping import UInt8
from torch import Tensor

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
    return _jitter(_shift(images, generator), generator)


def _shift(images: Tensor, generator: torch.Generator) -> Tensor:
    num, height, width = images.shape[:3]
    most, device = round(_LARGEST_SHIFT * height), images.device
    by = torch.randint(-most, most + 1, (2, num, 1), generator=generator, device=device)
    rows = (torch.arange(height, device=device) + by[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=device) + by[1]).clamp(0, width - 1)
    every = torch.arange(num, device=device)[:, None, None]
    return images[every, rows[:, :, None], columns[:, None, :]]


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
