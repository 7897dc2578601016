"""The subtasks of exported episodes, and how LeRobot has them.

lerobot 0.6 keeps language in two columns (its ``datasets/language.py``): ``language_persistent``
has, on every frame of an episode, a row for each subtask of the episode with the time it begins at,
and ``language_events`` is empty here. lerobot 0.4.4 and 0.5 have a ``subtask_index`` per frame, and
the sentences in ``meta/subtasks.parquet``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from rl_datagen.core.errors import DatasetError
from rl_datagen.data.branches import opening_of
from rl_datagen.data.manifest import Shard, check_file
from rl_datagen.data.shards import open_parquet, read_row_group

Subtasks = Literal["language", "index", "none"]
PERSISTENT, EVENTS = "language_persistent", "language_events"
_PERSISTENT_ROW = {
    "role": pa.string(),
    "content": pa.string(),
    "style": pa.string(),
    "timestamp": pa.float32(),
    "camera": pa.string(),
    "tool_calls": pa.list_(pa.string()),
}
_EVENT_ROW = {name: kind for name, kind in _PERSISTENT_ROW.items() if name != "timestamp"}
COLUMNS = {
    PERSISTENT: pa.list_(pa.struct(list(_PERSISTENT_ROW.items()))),
    EVENTS: pa.list_(pa.struct(list(_EVENT_ROW.items()))),
}
"""Types of the language columns."""


@dataclass(frozen=True)
class Span:
    """A subtask of an exported episode.

    Attributes:
        first: Its first frame in the episode.
        index: Number of its sentence.
        sentence: Such as "pick up the cream cheese".
    """

    first: int
    index: int
    sentence: str


def read_spans(
    dataset: Path, shards: Sequence[Shard], taken: Sequence[Mapping[str, Any]], drop_noops: bool
) -> list[tuple[Span, ...]]:
    """Returns the subtasks of episodes, in their order; none at all if one is not labelled.

    Args:
        dataset: Its folder.
        shards: Of the dataset.
        taken: Rows of the episodes table, in part.
        drop_noops: Whether no-ops are left out, and frames numbered without them.

    Raises:
        DatasetError: A file is missing or damaged.
    """
    by_path = {shard.steps.path: shard for shard in shards}
    numbers: dict[str, int] = {}
    files: dict[str, Any] = {}
    found: list[tuple[Span, ...]] = []
    for row in taken:
        shard = by_path[row["shard"]]
        if shard.labels is None:
            return []
        for entry in (shard.labels, shard.steps) if drop_noops else (shard.labels,):
            if entry.path not in files:
                files[entry.path] = open_parquet(check_file(dataset, entry))
        group = row["row_group"]
        path = shard.labels.path
        table = read_row_group(dataset / path, files[path], group, ["episode_id", "subtask"])
        if table["episode_id"].unique().to_pylist() != [row["episode_id"]]:
            raise DatasetError(
                f"{shard.labels.path} of dataset {dataset} has other episodes than its shard. "
                f"`rl-datagen dataset verify {dataset}` says more."
            )
        opening = opening_of(row["episode_id"])
        sentences = table["subtask"].to_pylist()[opening:]
        if drop_noops:
            path = shard.steps.path
            noops = read_row_group(dataset / path, files[path], group, ["is_noop"])["is_noop"]
            pairs = zip(sentences, noops.to_pylist()[opening:], strict=True)
            sentences = [sentence for sentence, is_noop in pairs if not is_noop]
        found.append(tuple(_spans(sentences, numbers)))
    return found


def _spans(sentences: Sequence[str], numbers: dict[str, int]) -> list[Span]:
    spans: list[Span] = []
    for frame, sentence in enumerate(sentences):
        if not spans or spans[-1].sentence != sentence:
            spans.append(Span(frame, numbers.setdefault(sentence, len(numbers)), sentence))
    return spans


def indices(spans: Sequence[Span], num_frames: int) -> Int64[np.ndarray, " T"]:
    """Returns the number of each frame's sentence."""
    begins = [span.first for span in spans]
    lengths = np.diff([*begins, num_frames])
    return np.repeat([span.index for span in spans], lengths)


def language_column(name: str, spans: Sequence[Span], num_frames: int, fps: int) -> pa.Array:
    """Returns one of the language columns of an episode: the same on each of its frames."""
    rows = [
        {
            "role": "assistant",
            "content": span.sentence,
            "style": "subtask",
            "timestamp": span.first / fps,
            "camera": None,
            "tool_calls": None,
        }
        for span in spans
    ]
    return pa.array([rows if name == PERSISTENT else []] * num_frames, COLUMNS[name])


def language_infos() -> dict[str, Any]:
    """Returns the language columns' features of ``meta/info.json``."""
    return {name: {"dtype": "language", "shape": [1], "names": None} for name in COLUMNS}


def language_types() -> dict[str, Any]:
    """Returns the language columns as Hugging Face's ``datasets`` spells them."""
    types: dict[str, Any] = {}
    for name, row in ((PERSISTENT, _PERSISTENT_ROW), (EVENTS, _EVENT_ROW)):
        fields: dict[str, Any] = {
            field: {"dtype": str(kind).replace("float", "float32"), "_type": "Value"}
            for field, kind in row.items()
        }
        fields["tool_calls"] = {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}
        types[name] = {"feature": fields, "_type": "List"}
    return types
