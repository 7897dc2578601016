"""What was rendered besides LIBERO's two images, as features of LeRobot v3.0.

``observation.images.image_depth`` and ``..._segmentation`` are PNGs of 16 bits, as in the dataset
(mm; 0: nothing); lerobot 0.6 knows depth by its ``info``. ``camera.image.intrinsics`` and
``.extrinsics`` are matrices row by row, under names that no policy takes for an input. ``image2``
is the wrist's camera. A further camera, ``observation.images.overhead``, and a varied copy,
``..._copy1``, are images of their own. All are mirrored left to right like the images, and so are
the intrinsics.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_datagen.config.views import ViewsConfig
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.schema import CAMERAS
from rl_datagen.data.views import View, ViewName, millimetres, view_names
from rl_datagen.export.orientation import mirrored_view

_IMAGES = "observation.images."
_NAMES: dict[str, str] = dict(zip(CAMERAS, ("image", "image2"), strict=True))
_MATRICES = {"intrinsics": 9, "extrinsics": 16}


@dataclass(frozen=True)
class Besides:
    """Names of the features besides LIBERO's two images.

    Attributes:
        cameras: Images.
        depth: Depth maps.
        segmentation: Maps of what is where.
        matrices: Entries of each matrix, row by row, by its feature.
    """

    cameras: tuple[str, ...] = ()
    depth: tuple[str, ...] = ()
    segmentation: tuple[str, ...] = ()
    matrices: tuple[tuple[str, int], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All features."""
        return (*self.cameras, *self.maps, *(name for name, _ in self.matrices))

    @property
    def maps(self) -> tuple[str, ...]:
        """Images of 16 bits."""
        return (*self.depth, *self.segmentation)


NOTHING = Besides()


def besides(settings: ViewsConfig) -> Besides:
    """Returns the features of what is rendered so."""
    views = view_names(settings)
    named = [_name(view) for view in views if view.has_geometry]
    return Besides(
        cameras=tuple(_IMAGES + _name(view) for view in views if view.name not in CAMERAS),
        **{what: tuple(f"{_IMAGES}{n}_{what}" for n in named) for what in settings.modalities},
        matrices=tuple(
            (f"camera.{n}.{what}", size) for n in named for what, size in _MATRICES.items()
        ),
    )


def view_features(rendered: RenderedEpisode) -> dict[str, np.ndarray]:
    """Returns an episode's values of them: images, maps of 16 bits, and rows of matrices."""
    features: dict[str, np.ndarray] = {}
    for view in view_names(rendered.settings):
        name, shown = _name(view), mirrored_view(rendered.views[view.name])
        if view.name not in CAMERAS:
            features[_IMAGES + name] = shown.image
        if view.has_geometry:
            features |= _geometry(name, shown)
    return features


def map_info(name: str, found: Besides, size: tuple[int, int]) -> dict[str, Any]:
    """Returns what ``meta/info.json`` says of a map."""
    info: dict[str, Any] = {
        "dtype": "image",
        "shape": [*size, 1],
        "names": ["height", "width", "channel"],
    }
    depth = {"info": {"is_depth_map": True, "depth_unit": "mm"}}
    return info | depth if name in found.depth else info


def _geometry(name: str, view: View) -> dict[str, np.ndarray]:
    rows = {"intrinsics": view.intrinsics, "extrinsics": view.extrinsics}
    features = {
        f"camera.{name}.{matrix}": values.reshape(len(values), -1).astype(np.float32)
        for matrix, values in rows.items()
    }
    if view.depth is not None:
        features[f"{_IMAGES}{name}_depth"] = millimetres(view.depth)
    if view.segmentation is not None:
        features[f"{_IMAGES}{name}_segmentation"] = view.segmentation
    return features


def _name(view: ViewName) -> str:
    """Returns ``image``, ``image2``, ``overhead_copy1``: the first two as of LIBERO's images."""
    camera = _NAMES.get(view.camera, view.camera)
    return f"{camera}_copy{view.copy}" if view.copy else camera
