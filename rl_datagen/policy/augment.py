"""Random changes of the images that are learnt from."""

# Legend: B batch, H W C image.

import torch
from jaxtyping import UInt8
from torch import Tensor


def shift_images(
    images: UInt8[Tensor, "B H W 3"], most: int, generator: torch.Generator
) -> UInt8[Tensor, "B H W 3"]:
    """Shifts each image by whole pixels, repeating its edge (DrQ, Yarats et al., arXiv:2004.13649).

    Args:
        images: RGB.
        most: Largest shift, pixels, down or up and sideways.
        generator: Source of randomness, on the images' device.
    """
    num, height, width = images.shape[:3]
    device = images.device
    by = torch.randint(-most, most + 1, (2, num, 1), generator=generator, device=device)
    rows = (torch.arange(height, device=device) + by[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=device) + by[1]).clamp(0, width - 1)
    every = torch.arange(num, device=device)[:, None, None]
    return images[every, rows[:, :, None], columns[:, None, :]]
