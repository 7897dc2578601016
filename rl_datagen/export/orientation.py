"""How other formats have images: turned by 180 degrees against LIBERO's frames.

As openpi and OpenVLA do it. Since LIBERO's frames have their last row first, that is our upright
image, mirrored left to right.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from rl_datagen.data.views import View


def mirrored(images: UInt8[np.ndarray, "T H W 3"]) -> UInt8[np.ndarray, "T H W 3"]:
    """Returns upright images as LIBERO's frames turned by 180 degrees."""
    return images[:, :, ::-1]


def mirrored_view(view: View) -> View:
    """Returns what a camera saw, mirrored; the intrinsics lead to the pixels as they are then."""
    flip = np.array([[-1, 0, view.image.shape[2] - 1], [0, 1, 0], [0, 0, 1]])
    maps = {"depth": view.depth, "segmentation": view.segmentation}
    return replace(
        view,
        image=mirrored(view.image),
        intrinsics=flip @ view.intrinsics,
        **{name: None if each is None else each[:, :, ::-1] for name, each in maps.items()},
    )
