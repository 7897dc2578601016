"""The files of LeRobot v2.1, which openpi and GR00T read: a Parquet file for each episode."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rl_datagen.core.storage import atomic_path, write_json, write_text
from rl_datagen.export.episodes import Part, in_parts
from rl_datagen.export.job import Episodes, Receipt
from rl_datagen.export.lerobot_format import LerobotFormat
from rl_datagen.export.lerobot_layout import to_table
from rl_datagen.export.plan import Plan
from rl_datagen.export.statistics import DatasetStatistics, plain
from rl_datagen.export.video import open_video

_CHUNK = 1000  # episodes in a folder
_DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
_VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"


@dataclass(frozen=True)
class V21Files(LerobotFormat):
    """LeRobot v2.1: a part is an episode."""

    def split(self, plan: Plan) -> list[Part]:
        """Returns which episodes share files: each has its own."""
        return in_parts([[episode] for episode in plan.episodes])

    def data_path(self, part: Part) -> str:
        """Returns the name of a part's Parquet file."""
        return _DATA_PATH.format(**_number(part))

    def video_path(self, part: Part, camera: str) -> str:
        """Returns the name of a part's MP4."""
        return _VIDEO_PATH.format(video_key=camera, **_number(part))

    def write(self, folder: Path, part: Part, episodes: Episodes) -> Receipt:
        """Writes an episode."""
        (episode,) = self.episodes(part, episodes)
        with ExitStack() as stack:
            data = stack.enter_context(atomic_path(folder / self.data_path(part)))
            pq.write_table(to_table(self.layout, episode), data, compression="snappy")
            for camera in self.cameras:
                path = folder / self.video_path(part, camera)
                stack.enter_context(open_video(path, self.layout.fps)).add(episode.features[camera])
        return {name: values[None] for name, values in self.look(episode).items()}

    def finish(
        self, folder: Path, plan: Plan, parts: Sequence[Part], receipts: Sequence[Receipt]
    ) -> None:
        """Writes what describes all episodes."""
        statistics, rows = DatasetStatistics(), []
        for part, receipt in zip(parts, receipts, strict=True):
            ((episode, own),) = self.read_back(folder, part, receipt, statistics)
            stats = {name: plain(values) for name, values in own.items()}
            rows.append({"episode_index": episode.index, "stats": stats})
        meta = folder / "meta"
        _write_lines(meta / "episodes_stats.jsonl", rows)
        _write_lines(
            meta / "episodes.jsonl",
            (
                {"episode_index": e.index, "tasks": [self.instruction(e)], "length": e.length}
                for e in plan.episodes
            ),
        )
        _write_lines(
            meta / "tasks.jsonl",
            ({"task_index": index, "task": task} for task, index in plan.instructions.items()),
        )
        if self.layout.subtasks == "index":
            sentences = plan.subtasks.items()
            rows = ({"subtask_index": index, "subtask": text} for text, index in sentences)
            _write_lines(meta / "subtasks.jsonl", rows)
        chunks, videos = -(-len(parts) // _CHUNK), len(parts) * len(self.cameras)
        counts = {"total_videos": videos, "total_chunks": chunks, "chunks_size": _CHUNK}
        paths = {"data_path": _DATA_PATH, "video_path": _VIDEO_PATH if self.cameras else None}
        write_json(meta / "info.json", {**self.info(plan), **counts, **paths})
        self.describe(folder, plan)


def _number(part: Part) -> dict[str, int]:
    return {"episode_chunk": part.number // _CHUNK, "episode_index": part.number}


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
