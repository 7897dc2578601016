"""Finds faults in camera images: none, damaged, of another size or kind."""

import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from rl_datagen.core.errors import first_line, quoted
from rl_datagen.data.classes import NUM_INSTANCES, segmentation_classes
from rl_datagen.data.shards import column_array
from rl_datagen.data.views import decode_segmentation, view_names, views_of_file

MIN_SIZE, MAX_SIZE = 16, 1024
"""Height and width that `dataset render` allows, pixels."""
_MAGIC = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}
_UNDECODABLE = (OSError, ValueError, SyntaxError, EOFError, MemoryError, OverflowError, IndexError)

Look = tuple[str, tuple[int, int]]
"""Format, and width and height in pixels."""


def wrong_images(table: pa.Table, looks: set[Look], *, decode: bool) -> Iterator[str]:
    """Yields what is wrong with an episode's images, the first of each camera.

    Args:
        table: Its rows of an images file.
        looks: How the images of its shard look; one way, so the first episode's is added.
        decode: Whether to decode them; else only how each begins is looked at.
    """
    views = view_names(views_of_file(table.schema))
    for view in views:
        for step, data in enumerate(table[view.name]):
            sentence = _wrong_image(data.as_py(), looks, decode)
            if sentence:
                yield f"has {view.name} at env step {step} that {sentence}"
                break
    sizes = {size for _, size in looks}
    for view in views:
        yield from _wrong_geometry(table, view.name, sizes, decode)


def _wrong_geometry(
    table: pa.Table, view: str, sizes: set[tuple[int, int]], decode: bool
) -> Iterator[str]:
    """Yields what is wrong with a view's depth, segmentation and camera, if it has them."""
    for what in ("depth", "segmentation"):
        if (column := f"{view}_{what}") not in table.column_names:
            continue
        for step, data in enumerate(table[column]):
            sentence = _wrong_map(data.as_py(), what, sizes, decode)
            if sentence:
                yield f"has {column} at env step {step} that {sentence}"
                break
    if f"{view}_extrinsics" in table.column_names:
        inside = column_array(table, f"{view}_intrinsics").reshape(-1, 3, 3)
        pose = column_array(table, f"{view}_extrinsics").reshape(-1, 4, 4)
        turn = pose[:, :3, :3]
        if not ((inside[:, [0, 1], [0, 1]] > 0) & (inside[:, 2, 2] == 1)[:, None]).all():
            yield f"has {view}_intrinsics that are no camera's"
        square = turn @ turn.transpose(0, 2, 1)
        if not np.allclose(square, np.eye(3), atol=1e-6) or not np.isfinite(pose).all():
            yield f"has {view}_extrinsics that are no pose"


def _wrong_map(data: bytes | None, what: str, sizes: set[tuple[int, int]], decode: bool) -> str:
    if not data or not data.startswith(b"\x89PNG"):
        return f"is no PNG: it begins with {quoted((data or b'')[:8])}"
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            size, mode = image.size, image.mode
    except (*_UNDECODABLE, Image.DecompressionBombError) as error:
        return f"cannot be decoded: {first_line(error)}"
    if mode not in ("I;16", "I"):
        return f"has the mode {mode}, not 16 bits of one number"
    if sizes and size not in sizes:
        return f"has {size[0]} x {size[1]} pixels, and the images have others"
    if not decode:
        return ""
    try:
        values = np.unique(decode_segmentation(data))
    except _UNDECODABLE as error:
        return f"cannot be decoded: {first_line(error)}"
    known = segmentation_classes()
    wrong = [v for v in values.tolist() if v and v // NUM_INSTANCES not in known]
    if what == "segmentation" and wrong:
        return f"has the value {wrong[0]}, which is no class's"
    return ""


def _wrong_image(data: bytes | None, looks: set[Look], decode: bool) -> str:
    if not data:
        return "is not an image: it is null or empty"
    if not any(data.startswith(magic) for magic in _MAGIC):
        return f"is not a PNG or JPEG: it begins with {quoted(data[:8])}"
    try:
        look, mode = _look(data, decode)
    except (*_UNDECODABLE, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return f"cannot be decoded: {first_line(error)}"
    size: Any = look[1]
    if mode != "RGB":
        return f"has the mode {mode}, not RGB"
    if not MIN_SIZE <= min(size) <= max(size) <= MAX_SIZE:
        return f"has {size[0]} x {size[1]} pixels; {MIN_SIZE} to {MAX_SIZE} are allowed"
    if looks and look not in looks:
        (kind, first) = next(iter(looks))
        return (
            f"is {look[0]} of {size[0]} x {size[1]} pixels, those before it {kind} of "
            f"{first[0]} x {first[1]}"
        )
    looks.add(look)
    return ""


def _look(data: bytes, decode: bool) -> tuple[Look, str]:
    """Returns what an image's header says; its pixels are decoded to see whether they are there."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(data), formats=tuple(_MAGIC.values())) as image:
            if decode and max(image.size) <= MAX_SIZE:
                image.load()
            return (image.format or "", image.size), image.mode
