"""What was rendered besides LIBERO's two images, as observations of RLDS.

``image_depth`` and ``image_segmentation`` are PNGs of 16 bits, as in the dataset (mm; 0: nothing),
``image_intrinsics`` and ``image_extrinsics`` matrices; ``wrist_image_...`` those of the wrist's
camera. A further camera, ``overhead_image``, and a varied copy, ``image_copy1``, are images of
their own. All are mirrored left to right like the images, and so are the intrinsics, which lead to
the pixels as they are stored.
"""

from typing import Any

import numpy as np

from rl_datagen.config.views import ViewsConfig
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.schema import CAMERAS
from rl_datagen.data.views import (
    View,
    ViewName,
    encode_depth,
    encode_image,
    encode_segmentation,
    view_names,
)
from rl_datagen.export.orientation import mirrored_view
from rl_datagen.export.tfrecord import Values

PACKAGE = "tensorflow_datasets.core.features."


def view_values(rendered: RenderedEpisode) -> dict[str, Values]:
    """Returns the observations of an episode's views, by name."""
    values: dict[str, Values] = {}
    for view in _besides(rendered.settings):
        name, shown = _name(view), mirrored_view(rendered.views[view.name])
        if view.name not in CAMERAS:
            values[name] = [encode_image(image, "jpeg") for image in shown.image]
        if view.has_geometry:
            values |= {f"{name}_{what}": each for what, each in _geometry(shown).items()}
    return values


def _geometry(view: View) -> dict[str, Values]:
    values: dict[str, Values] = {
        "intrinsics": view.intrinsics.astype(np.float32),
        "extrinsics": view.extrinsics.astype(np.float32),
    }
    if view.depth is not None:
        values["depth"] = [encode_depth(each) for each in view.depth]
    if view.segmentation is not None:
        values["segmentation"] = [encode_segmentation(each) for each in view.segmentation]
    return values


def view_infos(settings: ViewsConfig, size: tuple[int, int]) -> dict[str, Any]:
    """Returns what tensorflow-datasets stores about them in features.json."""
    infos: dict[str, Any] = {}
    for view in _besides(settings):
        name = _name(view)
        if view.name not in CAMERAS:
            infos[name] = image_info(size)
        if view.has_geometry:
            maps = {
                f"{name}_{m}": image_info(size, 1, "uint16", "png") for m in settings.modalities
            }
            matrices = {"intrinsics": (3, 3), "extrinsics": (4, 4)}
            cameras = {f"{name}_{m}": tensor_info("float32", *s) for m, s in matrices.items()}
            infos |= maps | cameras
    return infos


def _besides(settings: ViewsConfig) -> tuple[ViewName, ...]:
    return () if settings.is_plain else view_names(settings)


def _name(view: ViewName) -> str:
    """Returns ``image``, ``wrist_image``, ``overhead_image_copy1``: the first two are OpenVLA's."""
    camera = "image" if view.camera == CAMERAS[0] else f"{view.camera}_image"
    return f"{camera}_copy{view.copy}" if view.copy else camera


def tensor_info(dtype: str, *shape: int) -> dict[str, Any]:
    """Returns what features.json says of a number, or an array."""
    kind = "tensor_feature.Tensor" if shape else "scalar.Scalar"
    dimensions = {"dimensions": [str(size) for size in shape]} if shape else {}
    tensor = {"dtype": dtype, "encoding": "none", "shape": dimensions}
    return {"pythonClassName": PACKAGE + kind, "tensor": tensor}


def image_info(
    size: tuple[int, int], channels: int = 3, dtype: str = "uint8", encoding: str = "jpeg"
) -> dict[str, Any]:
    """Returns what features.json says of an image."""
    shape = {"dimensions": [str(size[0]), str(size[1]), str(channels)]}
    image = {"dtype": dtype, "encodingFormat": encoding, "shape": shape}
    return {"pythonClassName": f"{PACKAGE}image_feature.Image", "image": image}
