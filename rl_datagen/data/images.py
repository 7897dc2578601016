"""Camera images of an episode, encoded one by one, and its MP4."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8

from rl_datagen.config import Appearance
from rl_datagen.config.views import PLAIN, ViewsConfig
from rl_datagen.core.storage import atomic_path
from rl_datagen.data.schema import APPEARANCE_KEY, CAMERAS, UNRECORDED_APPEARANCE
from rl_datagen.data.shards import open_parquet, read_row_group
from rl_datagen.data.trajectory import CONTROL_FREQUENCY
from rl_datagen.data.views import (
    View,
    decode_image,
    decode_views,
    encode_image,
    geometry_columns,
    images_schema,
    view_names,
    views_of_file,
)

__all__ = [
    "Encoding",
    "RenderedEpisode",
    "appearance_of",
    "appearance_of_file",
    "decode_image",
    "decode_images",
    "encode_image",
    "images_table",
    "row_group_episodes",
    "write_video",
]

Encoding = Literal["png", "jpeg"]


@dataclass(frozen=True, eq=False)
class RenderedEpisode:
    """What both cameras saw; row ``t`` is what they saw before action ``t``.

    Attributes:
        episode_id: As in the steps file.
        agentview: RGB, upright.
        wrist: RGB, upright.
        encoding: PNG is lossless; JPEG is about a fifth of its size.
        appearance: How textures are coloured; see ``SimConfig``.
        settings: What was rendered besides.
        views: All of it, these two cameras included, by the views' names; see ``data.views``.
            Empty if there is nothing besides, or if it was not asked for.
        variations: What was drawn for each varied copy, as JSON.
        encoded: LIBERO's two images as they lie in their file; empty: they are from none.
    """

    episode_id: str
    agentview: UInt8[np.ndarray, "T H W 3"]
    wrist: UInt8[np.ndarray, "T H W 3"]
    encoding: Encoding = "png"
    appearance: Appearance = "original"
    settings: ViewsConfig = PLAIN
    views: Mapping[str, View] = field(default_factory=dict[str, View])
    variations: tuple[str, ...] = ()
    encoded: Mapping[str, Sequence[bytes]] = field(default_factory=dict[str, Sequence[bytes]])


def images_table(episode: RenderedEpisode) -> pa.Table:
    """Returns the episode as rows of an images file, one per env step."""
    length = len(episode.agentview)
    columns: dict[str, Any] = {
        "episode_id": [episode.episode_id] * length,
        "step": np.arange(length, dtype=np.int32),
        "agentview": [encode_image(image, episode.encoding) for image in episode.agentview],
        "wrist": [encode_image(image, episode.encoding) for image in episode.wrist],
    }
    for view in () if episode.settings.is_plain else view_names(episode.settings):
        shown = episode.views[view.name]
        if view.name not in CAMERAS:
            images = [encode_image(image, episode.encoding) for image in shown.image]
            columns[view.name] = images
        if view.has_geometry:
            columns |= geometry_columns(view.name, shown)
    for number, variation in enumerate(episode.variations, 1):
        columns[f"copy{number}_variation"] = [variation] * length
    schema = images_schema(episode.settings)
    appearance = {APPEARANCE_KEY: episode.appearance}
    return pa.table(columns, schema=schema.with_metadata({**schema.metadata, **appearance}))


def decode_images(table: pa.Table, *, views: bool = False) -> RenderedEpisode:
    """Returns the episode whose rows of an images file these are.

    Args:
        table: The rows.
        views: Also what was rendered besides LIBERO's two images.

    Raises:
        DatasetError: The file does not say what it holds in a way that is known here.
    """
    settings = views_of_file(table.schema)
    names = [view.name for view in view_names(settings)] if views else CAMERAS
    encoded: dict[str, list[bytes]] = {name: table[name].to_pylist() for name in names}
    images = {name: np.stack([*map(decode_image, data)]) for name, data in encoded.items()}
    besides = views and not settings.is_plain
    is_png = encoded["agentview"][0].startswith(b"\x89PNG")
    return RenderedEpisode(
        table["episode_id"][0].as_py(),
        images["agentview"],
        images["wrist"],
        "png" if is_png else "jpeg",
        appearance_of(table),
        settings,
        decode_views(table, settings, images) if besides else {},
        tuple(table[f"copy{copy}_variation"][0].as_py() for copy in range(1, settings.copies + 1)),
        {camera: encoded[camera] for camera in CAMERAS},
    )


def appearance_of(table: pa.Table) -> Appearance:
    """Returns how textures are coloured in rows of an images file."""
    return cast("Appearance", appearance_of_file(table.schema))


def appearance_of_file(schema: pa.Schema) -> str:
    """Returns what an images file says of how textures are coloured, whatever that is."""
    recorded = (schema.metadata or {}).get(APPEARANCE_KEY.encode())
    return recorded.decode() if recorded else UNRECORDED_APPEARANCE


def row_group_episodes(path: Path, file: pq.ParquetFile | None = None) -> Iterator[str]:
    """Yields the episode id of each row group of a steps or images file, from its statistics alone.

    Args:
        path: Of the file.
        file: It, if it is open.

    Raises:
        DatasetError: It cannot be read; says which file it is.
    """
    file = file or open_parquet(path)
    for index in range(file.num_row_groups):
        statistics = file.metadata.row_group(index).column(0).statistics
        if statistics is not None and statistics.has_min_max:
            yield statistics.min
        else:  # another program's, which wrote none
            yield read_row_group(path, file, index, ["episode_id"])["episode_id"][0].as_py()


def write_video(
    path: str | Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    *,
    fps: float = CONTROL_FREQUENCY,
) -> None:
    """Writes an MP4 that browsers play (H.264, yuv420p), atomically.

    Args:
        path: Name of the file.
        frames: RGB images of one size; an odd last row or column is cut off, as H.264 needs.
        fps: Frames per second.
    """
    with atomic_path(Path(path).expanduser()) as temporary:
        options = {"movflags": "faststart"}  # a browser starts before it has the whole file
        with av.open(str(temporary), "w", format="mp4", container_options=options) as container:
            stream = container.add_stream(
                "libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": "20"}
            )
            stream.pix_fmt = "yuv420p"
            for image in frames:
                image = np.ascontiguousarray(image[: image.shape[0] & ~1, : image.shape[1] & ~1])
                if not stream.codec_context.is_open:
                    stream.height, stream.width = image.shape[:2]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
