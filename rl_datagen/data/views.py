"""What a camera records besides LIBERO's two images: its columns, and their bytes.

A *view* is a camera in one appearance: ``agentview``, ``wrist``, a further camera by its name, and
``agentview_copy1`` of the first varied copy. Its image is the column of that name; what goes with
it has the column's name with an ending. Frames, pixels and matrices are OpenCV's: x is right, y
down and z forward, rows count downwards as they are stored, and the first pixel's centre is (0, 0).
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Float64, UInt8, UInt16
from PIL import Image

from rl_datagen.config.views import MOVING, PLAIN, ViewsConfig
from rl_datagen.core.errors import DatasetError, first_line
from rl_datagen.data.schema import CAMERAS, IMAGES_SCHEMA, describe_field
from rl_datagen.data.shards import column_array

VIEWS_KEY = "rl_datagen.views"
"""Key of what a file of images holds besides LIBERO's two."""
MILLIMETRES = 1000
"""Stored depth is in whole ones, so that it errs by 0.5 mm at most."""
MAX_DEPTH = 65.535
"""What two bytes hold, m."""


@dataclass(frozen=True)
class ViewName:
    """A view's columns.

    Attributes:
        name: Of the image, and what the others' begin with.
        camera: Whose it is.
        copy: Which varied copy; 0: as LIBERO renders.
        has_geometry: Whether it has columns of depth, segmentation and camera of its own; a copy
            whose camera does not move has those of its camera.
    """

    name: str
    camera: str
    copy: int
    has_geometry: bool


@dataclass(frozen=True, eq=False)
class View:
    """An episode as one camera saw it; row ``t`` is before action ``t``.

    Attributes:
        image: RGB, upright.
        intrinsics: From a point in the camera's frame to its pixel.
        extrinsics: From the camera's frame to the world's, m.
        depth: Distance along the camera's z axis, m; 0: nothing is there.
        segmentation: What is there; see ``data.classes``. 0: nothing.
    """

    image: UInt8[np.ndarray, "T H W 3"]
    intrinsics: Float64[np.ndarray, "T 3 3"]
    extrinsics: Float64[np.ndarray, "T 4 4"]
    depth: Float32[np.ndarray, "T H W"] | None = None
    segmentation: UInt16[np.ndarray, "T H W"] | None = None

    def at(self, steps: np.ndarray) -> "View":
        """Returns the view at some env steps, by their numbers or a mask."""
        depth = None if self.depth is None else self.depth[steps]
        segmentation = None if self.segmentation is None else self.segmentation[steps]
        cameras = (self.intrinsics[steps], self.extrinsics[steps])
        return View(self.image[steps], *cameras, depth, segmentation)


def view_names(settings: ViewsConfig) -> tuple[ViewName, ...]:
    """Returns the views of an episode that is rendered so, LIBERO's two first."""
    moves = bool(set(MOVING) & set(settings.vary))
    return tuple(
        ViewName(f"{camera}_copy{copy}" if copy else camera, camera, copy, moves or not copy)
        for copy in range(settings.copies + 1)
        for camera in (*CAMERAS, *settings.cameras)
    )


def images_schema(settings: ViewsConfig) -> pa.Schema:
    """Returns the columns of a file of images that is rendered so."""
    if settings.is_plain:
        return IMAGES_SCHEMA
    fields = list(IMAGES_SCHEMA)
    fields += [field for view in view_names(settings) for field in _fields(view, settings)]
    fields += [
        describe_field(f"copy{copy}_variation", pa.string(), "what was drawn for it, as JSON")
        for copy in range(1, settings.copies + 1)
    ]
    key = {VIEWS_KEY: settings.model_dump_json()}
    return pa.schema(fields, metadata={**(IMAGES_SCHEMA.metadata or {}), **key})


def _fields(view: ViewName, settings: ViewsConfig) -> Iterator[pa.Field]:
    name = view.name
    if name not in CAMERAS:
        yield describe_field(name, pa.binary(), "encoded image (PNG or JPEG), RGB, upright")
    if not view.has_geometry:
        return
    if "depth" in settings.modalities:
        meaning = "PNG, 16 bits: mm along the camera's z axis; 0: nothing"
        yield describe_field(f"{name}_depth", pa.binary(), meaning)
    if "segmentation" in settings.modalities:
        meaning = "PNG, 16 bits: 100 * class + number of the instance; 0: nothing"
        yield describe_field(f"{name}_segmentation", pa.binary(), meaning)
    matrix = pa.list_(pa.float64(), 9)
    yield describe_field(f"{name}_intrinsics", matrix, "3 x 3, row by row; pixel centres are whole")
    matrix = pa.list_(pa.float64(), 16)
    meaning = "4 x 4, row by row: from the camera (x right, y down, z forward) to the world, m"
    yield describe_field(f"{name}_extrinsics", matrix, meaning)


def picture_columns(settings: ViewsConfig) -> tuple[str, ...]:
    """Returns every column that holds encoded pixels: images, depth and segmentation."""
    return tuple(f.name for f in images_schema(settings) if pa.types.is_binary(f.type))


def decode_picture(column: str, data: bytes | memoryview) -> np.ndarray:
    """Returns depth (m), segmentation or image, whatever a column of that name holds."""
    if column.endswith("_depth"):
        return decode_depth(data)
    return decode_segmentation(data) if column.endswith("_segmentation") else decode_image(data)


def views_of_file(schema: pa.Schema) -> ViewsConfig:
    """Returns what a file of images says it holds.

    Raises:
        DatasetError: It is not what this program writes.
    """
    stored = (schema.metadata or {}).get(VIEWS_KEY.encode())
    if stored is None:
        return PLAIN
    try:
        return ViewsConfig.model_validate_json(stored)
    except ValueError as error:
        raise DatasetError(
            f"A file of images has a damaged entry '{VIEWS_KEY}' in its metadata: "
            f"{first_line(error)}. `rl-datagen dataset verify` finds which."
        ) from None


def geometry_columns(name: str, view: View) -> dict[str, pa.Array]:
    """Returns depth, segmentation and camera of a view as columns."""
    columns: dict[str, pa.Array] = {}
    if view.depth is not None:
        columns[f"{name}_depth"] = pa.array([encode_depth(each) for each in view.depth])
    if view.segmentation is not None:
        columns[f"{name}_segmentation"] = pa.array(
            [encode_segmentation(each) for each in view.segmentation]
        )
    for ending, values in (("intrinsics", view.intrinsics), ("extrinsics", view.extrinsics)):
        flat = pa.array(np.ascontiguousarray(values, np.float64).reshape(-1))
        size = values.shape[1] * values.shape[2]
        columns[f"{name}_{ending}"] = pa.FixedSizeListArray.from_arrays(flat, size)
    return columns


def decode_views(
    table: pa.Table, settings: ViewsConfig, images: Mapping[str, np.ndarray]
) -> dict[str, View]:
    """Returns the views in the rows of an episode.

    Args:
        table: Its rows of a file of images.
        settings: What that holds.
        images: The images of each view.
    """
    views: dict[str, View] = {}
    for view in view_names(settings):
        own = view.name if view.has_geometry else view.camera
        decoded = {
            what: np.stack([decode(data) for data in table[f"{own}_{what}"].to_pylist()])
            for what, decode in (("depth", decode_depth), ("segmentation", decode_segmentation))
            if what in settings.modalities
        }
        views[view.name] = View(
            images[view.name],
            column_array(table, f"{own}_intrinsics").reshape(-1, 3, 3),
            column_array(table, f"{own}_extrinsics").reshape(-1, 4, 4),
            **decoded,
        )
    return views


def encode_image(image: UInt8[np.ndarray, "H W 3"], encoding: str) -> bytes:
    """Returns an image as the bytes of a PNG or JPEG file."""
    buffer = io.BytesIO()
    options = {"compress_level": 1} if encoding == "png" else {"quality": 95}
    Image.fromarray(image).save(buffer, encoding, **options)
    return buffer.getvalue()


def decode_image(data: bytes | memoryview) -> UInt8[np.ndarray, "H W 3"]:
    """Returns the image in the bytes of a PNG or JPEG file, RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert("RGB"))


def encode_depth(depth: Float32[np.ndarray, "H W"]) -> bytes:
    """Returns depth (m) as a PNG of whole millimetres."""
    return encode_segmentation(millimetres(depth))


def millimetres(depth: Float32[np.ndarray, "*T H W"]) -> UInt16[np.ndarray, "*T H W"]:
    """Returns depth (m) in whole millimetres; what is beyond 65.535 m is 0: nothing."""
    whole = np.rint(np.asarray(depth, np.float64) * MILLIMETRES)
    return np.where(whole <= MAX_DEPTH * MILLIMETRES, whole, 0).astype(np.uint16)


def decode_depth(data: bytes | memoryview) -> Float32[np.ndarray, "H W"]:
    """Returns depth (m) from a PNG of millimetres."""
    return decode_segmentation(data).astype(np.float32) / np.float32(MILLIMETRES)


def decode_segmentation(data: bytes | memoryview) -> UInt16[np.ndarray, "H W"]:
    """Returns what is in a PNG of 16 bits."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        return np.array(image).astype(np.uint16)


def encode_segmentation(values: UInt16[np.ndarray, "H W"]) -> bytes:
    """Returns a PNG of 16 bits."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(values, np.uint16)).save(buffer, "png", compress_level=1)
    return buffer.getvalue()
