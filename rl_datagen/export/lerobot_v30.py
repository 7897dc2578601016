"""The files of LeRobot v3.0: many episodes in each Parquet file and each MP4."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rl_datagen.core.storage import atomic_path, write_json
from rl_datagen.export.episodes import Part, in_parts_of
from rl_datagen.export.job import Episodes, Receipt
from rl_datagen.export.lerobot_format import LerobotFormat
from rl_datagen.export.lerobot_layout import data_schema, to_table
from rl_datagen.export.plan import Plan
from rl_datagen.export.statistics import DatasetStatistics, Statistics, plain
from rl_datagen.export.video import open_video

_CHUNK = 1000  # files in a folder
_DATA_MB, _VIDEO_MB = 100, 200  # LeRobot's limits of a file's size, which an estimate keeps to
_FRAMES = 4000  # in a file at most: half a minute of work, which is what a killed export loses
_PIXELS_PER_BYTE = 8  # of our videos, and less than measured: 11
_BATCH = 64  # episodes in a row group of meta/episodes
_EPISODES = 10_000  # in a file of them, of about 20 MB
_PLACE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
_DATA_PATH = f"data/{_PLACE}.parquet"
_VIDEO_PATH = f"videos/{{video_key}}/{_PLACE}.mp4"


@dataclass(frozen=True)
class V30Files(LerobotFormat):
    """LeRobot v3.0: a part is a Parquet file and, of each camera, an MP4."""

    def split(self, plan: Plan) -> list[Part]:
        """Returns which episodes share files."""
        assert plan.look is not None
        height, width = plan.size
        limit_mb, num_bytes = _DATA_MB, plan.look.num_bytes
        if self.cameras:
            limit_mb, num_bytes = _VIDEO_MB, height * width / _PIXELS_PER_BYTE
        return in_parts_of(plan, min(_FRAMES, limit_mb * 2**20 / num_bytes))

    def data_path(self, part: Part) -> str:
        """Returns the name of a part's Parquet file."""
        return _DATA_PATH.format(**_place(part.number))

    def video_path(self, part: Part, camera: str) -> str:
        """Returns the name of a part's MP4."""
        return _VIDEO_PATH.format(video_key=camera, **_place(part.number))

    def write(self, folder: Path, part: Part, episodes: Episodes) -> Receipt:
        """Writes a part's files."""
        schema, looks = data_schema(self.layout), []
        with ExitStack() as stack:
            data = stack.enter_context(atomic_path(folder / self.data_path(part)))
            writer = stack.enter_context(pq.ParquetWriter(data, schema, compression="snappy"))
            paths = {camera: folder / self.video_path(part, camera) for camera in self.cameras}
            fps = self.layout.fps
            videos = {c: stack.enter_context(open_video(path, fps)) for c, path in paths.items()}
            for episode in self.episodes(part, episodes):
                writer.write_table(to_table(self.layout, episode), row_group_size=len(episode))
                for camera, video in videos.items():
                    video.add(episode.features[camera])
                looks.append(self.look(episode))
        return {name: np.stack([each[name] for each in looks]) for name in looks[0]}

    def finish(
        self, folder: Path, plan: Plan, parts: Sequence[Part], receipts: Sequence[Receipt]
    ) -> None:
        """Writes what describes all episodes."""
        statistics = DatasetStatistics()
        rows = self._rows(folder, parts, receipts, statistics)
        _write_episodes(folder, list(rows))
        sizes = {"data_files_size_in_mb": _DATA_MB, "video_files_size_in_mb": _VIDEO_MB}
        paths = {"data_path": _DATA_PATH, "video_path": _VIDEO_PATH if self.cameras else None}
        info = {**self.info(plan), "chunks_size": _CHUNK, **sizes, **paths}
        write_json(folder / "meta/info.json", info)
        found = {name: plain(values) for name, values in statistics.result().items()}
        write_json(folder / "meta/stats.json", found)
        with atomic_path(folder / "meta/tasks.parquet") as temporary:
            pq.write_table(_named_table("task", plan.instructions), temporary)
        if self.layout.subtasks == "index":
            with atomic_path(folder / "meta/subtasks.parquet") as temporary:
                pq.write_table(_named_table("subtask", plan.subtasks), temporary)
        self.describe(folder, plan)

    def _rows(
        self,
        folder: Path,
        parts: Sequence[Part],
        receipts: Sequence[Receipt],
        statistics: DatasetStatistics,
    ) -> Iterator[dict[str, Any]]:
        for part, receipt in zip(parts, receipts, strict=True):
            frames = 0
            for episode, own in self.read_back(folder, part, receipt, statistics):
                yield self._row(part, episode.index, episode.first, frames, episode.length) | {
                    "tasks": [self.instruction(episode)],
                    **_statistics_columns(own),
                }
                frames += episode.length

    def _row(self, part: Part, index: int, first: int, frames: int, length: int) -> dict[str, Any]:
        """Returns where an episode is that begins after so many frames of its part."""
        place, fps = _place(part.number), self.layout.fps
        times = {"from_timestamp": frames / fps, "to_timestamp": (frames + length) / fps}
        row: dict[str, Any] = {
            "episode_index": index,
            "tasks": [],
            "length": length,
            "dataset_from_index": first,
            "dataset_to_index": first + length,
            **_prefixed("data", place),
        }
        for camera in self.cameras:
            row |= _prefixed(f"videos/{camera}", {**place, **times})
        return row


def _place(number: int) -> dict[str, int]:
    return {"chunk_index": number // _CHUNK, "file_index": number % _CHUNK}


def _statistics_columns(own: Mapping[str, Statistics]) -> dict[str, Any]:
    return {
        f"stats/{name}/{key}": value
        for name, values in own.items()
        for key, value in plain(values).items()
    }


def _write_episodes(folder: Path, rows: list[dict[str, Any]]) -> None:
    for number, begin in zip(count(), range(0, len(rows), _EPISODES), strict=False):
        place = _place(number)
        path = folder / f"meta/episodes/{_PLACE}.parquet".format(**place)
        whole = [
            {**row, **_prefixed("meta/episodes", place)} for row in rows[begin : begin + _EPISODES]
        ]
        with atomic_path(path) as temporary:
            pq.write_table(
                pa.Table.from_pylist(whole),
                temporary,
                compression="snappy",
                row_group_size=_BATCH,
            )


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/{name}": value for name, value in values.items()}


def _named_table(what: str, numbers: Mapping[str, int]) -> pa.Table:
    """With pandas' note that the sentence is the index: LeRobot reads this file with pandas."""
    number = f"{what}_index"
    kinds = {number: ("int64", "int64"), what: ("unicode", "object")}
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy}
        for name, (kind, numpy) in kinds.items()
    ]
    note = {"index_columns": [what], "column_indexes": [], "columns": columns}
    table = pa.table({number: list(numbers.values()), what: list(numbers)})
    return table.replace_schema_metadata({"pandas": json.dumps(note)})
