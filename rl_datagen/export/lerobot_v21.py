"""The files of LeRobot v2.1, which openpi reads: one Parquet file for each episode."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rl_datagen.core.storage import write_json
from rl_datagen.export.lerobot_layout import Episode, Layout, to_table
from rl_datagen.export.statistics import QUANTILES, Statistics

_CHUNK = 1000  # episodes in a folder
_DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"


class V21Files:
    """Writes a dataset in LeRobot v2.1.

    Args:
        folder: Where to.
        layout: Names of the features.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._folder, self._layout = folder, layout
        self._meta = folder / "meta"
        self._meta.mkdir(parents=True)

    def add(self, episode: Episode, statistics: Mapping[str, Statistics]) -> None:
        """Writes an episode."""
        number = {"episode_chunk": episode.index // _CHUNK, "episode_index": episode.index}
        path = self._folder / _DATA_PATH.format(**number)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(to_table(self._layout, episode), path, compression="snappy")
        row = {"episode_index": episode.index, "tasks": [episode.instruction]}
        self._append("episodes", {**row, "length": len(episode)})
        plain = {
            name: {k: v.tolist() for k, v in values.items() if k not in QUANTILES}
            for name, values in statistics.items()
        }
        self._append("episodes_stats", {"episode_index": episode.index, "stats": plain})

    def finish(
        self,
        info: dict[str, Any],
        statistics: Mapping[str, Statistics],
        instructions: Mapping[str, int],
    ) -> None:
        """Writes what describes all episodes."""
        del statistics  # readers put them together from the episodes'
        for instruction, index in instructions.items():
            self._append("tasks", {"task_index": index, "task": instruction})
        chunks = -(-info["total_episodes"] // _CHUNK)
        counts = {"total_videos": 0, "total_chunks": chunks, "chunks_size": _CHUNK}
        paths = {"data_path": _DATA_PATH, "video_path": None}
        write_json(self._meta / "info.json", {**info, **counts, **paths})

    def close(self) -> None:
        """Leaves nothing open: each file is written in one go."""

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        with (self._meta / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
