"""What LeRobot v3.0 and v2.1 have in common: names and types of features, rows of an episode."""

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from rl_datagen.data.images import RenderedEpisode, encode_image
from rl_datagen.data.trajectory import CONTROL_FREQUENCY, Trajectory
from rl_datagen.data.views import encode_segmentation
from rl_datagen.export.lerobot_views import NOTHING, Besides, map_info, view_features
from rl_datagen.export.orientation import mirrored
from rl_datagen.export.plan import Planned
from rl_datagen.export.subtasks import (
    COLUMNS,
    Span,
    Subtasks,
    indices,
    language_column,
    language_infos,
    language_types,
)

STATE_NAMES = ["x", "y", "z", "axis_angle1", "axis_angle2", "axis_angle3", "gripper1", "gripper2"]
ACTION_NAMES = ["x", "y", "z", "axis_angle1", "axis_angle2", "axis_angle3", "gripper"]
_INDEX = ("frame_index", "episode_index", "index", "task_index")
_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@dataclass(frozen=True)
class Layout:
    """Names that differ between the versions.

    Attributes:
        version: Of the format.
        fps: Frames per second; timestamps count by it.
        cameras: The outer camera's feature and the wrist camera's.
        state: The proprio's feature.
        action: The action's feature.
        images: How images are stored.
        subtasks: How subtasks are.
        besides: Features besides these.
    """

    version: str
    fps: int
    cameras: tuple[str, str]
    state: str
    action: str
    images: Literal["image", "video"]
    subtasks: Subtasks = "none"
    besides: Besides = NOTHING

    @property
    def rgb(self) -> tuple[str, ...]:
        """Features that are images of three colours."""
        return (*self.cameras, *self.besides.cameras)

    @property
    def index(self) -> tuple[str, ...]:
        """Features that are numbers of something."""
        return (*_INDEX, "subtask_index") if self.subtasks == "index" else _INDEX

    @property
    def language(self) -> tuple[str, ...]:
        """Features that hold sentences."""
        return tuple(COLUMNS) if self.subtasks == "language" else ()


V30 = Layout(
    version="v3.0",
    fps=CONTROL_FREQUENCY,
    cameras=("observation.images.image", "observation.images.image2"),
    state="observation.state",
    action="action",
    images="video",
)
V21 = Layout(
    version="v2.1",
    fps=10,  # openpi's converter labels LIBERO's 20 Hz so; it is only the unit of timestamps
    cameras=("image", "wrist_image"),
    state="state",
    action="actions",
    images="image",
)


@dataclass(frozen=True, eq=False)
class Episode:
    """An episode as LeRobot sees it.

    Attributes:
        features: ``[T, H, W, 3]`` images and ``[T, D]`` rows, by feature, the index ones included.
        encoding: Of images stored one by one.
        subtasks: Its subtasks, if they are exported.
    """

    features: dict[str, np.ndarray]
    encoding: str
    subtasks: tuple[Span, ...] = ()

    def __len__(self) -> int:
        return len(self.features["index"])


def to_episode(
    layout: Layout, planned: Planned, trajectory: Trajectory, rendered: RenderedEpisode
) -> Episode:
    """Returns an episode's features."""
    frames = np.arange(len(trajectory))
    numbers = {
        "frame_index": frames,
        "episode_index": np.full_like(frames, planned.index),
        "index": planned.first + frames,
        "task_index": np.full_like(frames, planned.task_index),
    }
    if layout.subtasks == "index":
        numbers["subtask_index"] = indices(planned.subtasks, len(frames))
    features = {
        layout.cameras[0]: mirrored(rendered.agentview),
        layout.cameras[1]: mirrored(rendered.wrist),
        layout.state: trajectory.proprio,
        layout.action: trajectory.action,
        "timestamp": (frames / layout.fps).astype(np.float32)[:, None],
        **{name: numbers[name][:, None] for name in layout.index},
        **(view_features(rendered) if layout.besides != NOTHING else {}),
    }
    return Episode(features, rendered.encoding, planned.subtasks)


def feature_infos(layout: Layout, size: tuple[int, int]) -> dict[str, Any]:
    """Returns the ``features`` of ``meta/info.json`` for images of a height and width."""
    image: dict[str, Any] = {
        "dtype": layout.images,
        "shape": [*size, 3],
        "names": ["height", "width", "channel"],
    }
    if layout.images == "video":
        image["info"] = {
            "video.height": size[0],
            "video.width": size[1],
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False,
            "video.fps": layout.fps,
            "video.channels": 3,
            "has_audio": False,
        }
    index = {name: {"dtype": "int64", "shape": [1], "names": None} for name in layout.index}
    return {
        **dict.fromkeys(layout.rgb, image),
        **{name: map_info(name, layout.besides, size) for name in layout.besides.maps},
        layout.state: {"dtype": "float32", "shape": [8], "names": STATE_NAMES},
        layout.action: {"dtype": "float32", "shape": [7], "names": ACTION_NAMES},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        **index,
        **{
            name: {"dtype": "float32", "shape": [width], "names": None}
            for name, width in layout.besides.matrices
        },
        **(language_infos() if layout.language else {}),
    }


def to_table(layout: Layout, episode: Episode) -> pa.Table:
    """Returns an episode's rows; videos are not among them."""
    schema = data_schema(layout)
    columns = []
    for field in schema:
        if field.name in layout.language:
            spans, num_frames = episode.subtasks, len(episode)
            columns.append(language_column(field.name, spans, num_frames, layout.fps))
            continue
        values = episode.features[field.name]
        if pa.types.is_struct(field.type):
            encoded = [_encoded(image, episode.encoding) for image in values]
            columns.append(pa.array([{"bytes": data, "path": None} for data in encoded], _IMAGE))
            continue
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.FixedSizeListArray.from_arrays(flat, type=field.type)
        columns.append(flat)
    return pa.table(columns, schema=schema)


def _encoded(image: np.ndarray, encoding: str) -> bytes:
    is_map = image.dtype == np.uint16
    return encode_segmentation(image) if is_map else encode_image(image, encoding)


def data_schema(layout: Layout) -> pa.Schema:
    """Returns the columns of a data file.

    With the types as Hugging Face's ``datasets`` spells them: LeRobot v2.1 reads those.
    """
    fields: list[tuple[str, pa.DataType, dict[str, Any]]] = []
    if layout.images == "image":
        fields = [(name, _IMAGE, {"_type": "Image"}) for name in layout.rgb]
    fields += [(name, _IMAGE, {"_type": "Image"}) for name in layout.besides.maps]
    number = {"dtype": "float32", "_type": "Value"}
    for name, width in ((layout.state, 8), (layout.action, 7), *layout.besides.matrices):
        kind = {"feature": number, "length": width, "_type": "Sequence"}
        fields.append((name, pa.list_(pa.float32(), width), kind))
    fields.append(("timestamp", pa.float32(), number))
    fields += [(name, pa.int64(), {"dtype": "int64", "_type": "Value"}) for name in layout.index]
    fields += [(name, COLUMNS[name], language_types()[name]) for name in layout.language]
    types = {"info": {"features": {name: kind for name, _, kind in fields}}}
    schema = pa.schema([pa.field(name, kind) for name, kind, _ in fields])
    return schema.with_metadata({"huggingface": json.dumps(types)})
