"""Finds faults in camera images: none, damaged, of another size or kind."""

import io
import warnings
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from PIL import Image

from rl_datagen.core.errors import first_line, quoted
from rl_datagen.data.schema import CAMERAS

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
    for camera in CAMERAS:
        for step, data in enumerate(table[camera]):
            sentence = _wrong_image(data.as_py(), looks, decode)
            if sentence:
                yield f"has {camera} at env step {step} that {sentence}"
                break


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
