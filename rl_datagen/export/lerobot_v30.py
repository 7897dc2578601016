"""The files of LeRobot v3.0: many episodes in each Parquet file and each MP4."""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8

from rl_datagen.core.storage import write_json
from rl_datagen.export.lerobot_layout import Episode, Layout, to_table
from rl_datagen.export.statistics import Statistics

_CHUNK = 1000  # files in a folder
_DATA_MB, _VIDEO_MB = 100, 200  # an episode that begins beyond this begins a new file
_BATCH = 64  # episodes whose rows of meta/episodes are written together
_DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"


class _Files:
    """Files of limited size, one after the other."""

    def __init__(self, folder: Path, path: str, limit_mb: int) -> None:
        self._folder, self._path, self._limit = folder, path, limit_mb * 2**20
        self._number = -1
        self._open: BinaryIO | None = None

    def begin_episode(self) -> dict[str, int]:
        """Makes room for an episode; returns where it goes."""
        if self._open is None or self._open.tell() >= self._limit:
            self.close()
            self._number += 1
            path = self._folder / self._path.format(**self._indices())
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open = path.open("wb")
            self._begin(self._open)
        return self._indices()

    def close(self) -> None:
        """Completes the last file."""
        if self._open is not None:
            self._end()
            self._open.close()
            self._open = None

    def _indices(self) -> dict[str, int]:
        return {"chunk_index": self._number // _CHUNK, "file_index": self._number % _CHUNK}

    def _begin(self, file: BinaryIO) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError


class _Tables(_Files):
    """Parquet files with a row group for each table."""

    _writer: pq.ParquetWriter | None = None

    def __init__(self, folder: Path, path: str) -> None:
        super().__init__(folder, path, _DATA_MB)
        self._file: BinaryIO | None = None

    def add(self, table: pa.Table) -> None:
        """Writes one row group."""
        assert self._file is not None
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema, compression="snappy")
        self._writer.write_table(table.cast(self._writer.schema), row_group_size=len(table))

    def _begin(self, file: BinaryIO) -> None:
        self._file = file

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class _Videos(_Files):
    """MP4s of one camera. Every second frame is a key frame, so that any frame is read quickly."""

    def __init__(self, folder: Path, camera: str, fps: int) -> None:
        path = _VIDEO_PATH.replace("{video_key}", camera)
        super().__init__(folder, path, _VIDEO_MB)
        self._fps = fps
        self._container: Any = None
        self._stream: Any = None

    def add(self, images: UInt8[np.ndarray, "T H W 3"]) -> tuple[float, float]:
        """Appends an episode; returns where in the file it begins and ends, in s."""
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=Fraction(self._fps))
            self._stream.pix_fmt = "yuv420p"
            self._stream.height, self._stream.width = images.shape[1:3]
            self._stream.options = {"crf": "18", "g": "2", "bf": "0", "preset": "veryfast"}
        begin = self._count
        for image in images:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = self._count
            frame.time_base = Fraction(1, self._fps)
            self._container.mux(self._stream.encode(frame))
            self._count += 1
        return begin / self._fps, self._count / self._fps

    def _begin(self, file: BinaryIO) -> None:
        self._container = av.open(file, "w", format="mp4")
        self._stream, self._count = None, 0

    def _end(self) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()


class V30Files:
    """Writes a dataset in LeRobot v3.0.

    Args:
        folder: Where to.
        layout: Names, and whether images go to MP4s or into the Parquet files.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._folder, self._layout = folder, layout
        self._data = _Tables(folder, _DATA_PATH)
        self._episodes = _Tables(folder, f"meta/episodes/{_DATA_PATH.partition('/')[2]}")
        cameras = layout.cameras if layout.images == "video" else ()
        self._videos = {camera: _Videos(folder, camera, layout.fps) for camera in cameras}
        self._rows: list[dict[str, Any]] = []

    def add(self, episode: Episode, statistics: Mapping[str, Statistics]) -> None:
        """Writes an episode."""
        row: dict[str, Any] = {
            "episode_index": episode.index,
            "tasks": [episode.instruction],
            "length": len(episode),
            "dataset_from_index": episode.first,
            "dataset_to_index": episode.first + len(episode),
            **_prefixed("data", self._data.begin_episode()),
        }
        self._data.add(to_table(self._layout, episode))
        for camera, videos in self._videos.items():
            place = videos.begin_episode()
            begin, end = videos.add(episode.features[camera])
            times = {"from_timestamp": begin, "to_timestamp": end}
            row |= _prefixed(f"videos/{camera}", {**place, **times})
        for name, values in statistics.items():
            row |= _prefixed(f"stats/{name}", {k: v.tolist() for k, v in values.items()})
        self._rows.append(row)
        if len(self._rows) == _BATCH:
            self._flush()

    def finish(
        self,
        info: dict[str, Any],
        statistics: Mapping[str, Statistics],
        instructions: Mapping[str, int],
    ) -> None:
        """Writes what describes all episodes."""
        self._flush()
        sizes = {"data_files_size_in_mb": _DATA_MB, "video_files_size_in_mb": _VIDEO_MB}
        paths = {"data_path": _DATA_PATH, "video_path": _VIDEO_PATH if self._videos else None}
        write_json(
            self._folder / "meta/info.json", {**info, "chunks_size": _CHUNK, **sizes, **paths}
        )
        plain = {n: {k: v.tolist() for k, v in s.items()} for n, s in statistics.items()}
        write_json(self._folder / "meta/stats.json", plain)
        pq.write_table(_tasks_table(instructions), self._folder / "meta/tasks.parquet")

    def close(self) -> None:
        """Completes the files that are open, also after an error."""
        for files in (self._data, self._episodes, *self._videos.values()):
            files.close()

    def _flush(self) -> None:
        if self._rows:
            place = _prefixed("meta/episodes", self._episodes.begin_episode())
            self._episodes.add(pa.Table.from_pylist([{**row, **place} for row in self._rows]))
            self._rows = []


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/{name}": value for name, value in values.items()}


def _tasks_table(instructions: Mapping[str, int]) -> pa.Table:
    """With pandas' note that ``task`` is the index: LeRobot reads this file with pandas."""
    kinds = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy}
        for name, (kind, numpy) in kinds.items()
    ]
    note = {"index_columns": ["task"], "column_indexes": [], "columns": columns}
    table = pa.table({"task_index": list(instructions.values()), "task": list(instructions)})
    return table.replace_schema_metadata({"pandas": json.dumps(note)})
