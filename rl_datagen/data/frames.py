"""Random access to the env steps of a dataset."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from rl_datagen.core.errors import DatasetError
from rl_datagen.data.images import decode_image, row_group_episodes
from rl_datagen.data.manifest import check_file, read_manifest
from rl_datagen.data.schema import CAMERAS
from rl_datagen.data.shards import column_array, open_parquet
from rl_datagen.tasks import get_task, select_tasks

_COLUMNS = ["episode_id", "step", "proprio", "action"]


class FrameDataset:
    """The env steps of a dataset by number, as ``torch.utils.data.DataLoader`` takes them.

    Proprio and actions are held in memory, 60 bytes per env step; an image is decoded when asked
    for. Files are opened in the process that reads them, so that any number of workers may.

    Args:
        dataset: The dataset's folder; each file's checksum is compared once, here.
        selector: Tasks, such as ``"libero_goal"``.
        images: Give the images too, and only steps that are rendered.

    Raises:
        DatasetError: Nothing is selected, or a file is missing or damaged.
    """

    def __init__(self, dataset: Path, selector: str = "all", *, images: bool = True) -> None:
        tasks = {task.id for task in select_tasks(selector)}
        self._paths: list[Path] = []  # of images
        self._open: dict[tuple[int, Path], pq.ParquetFile] = {}
        self._tasks: list[str] = []
        parts: dict[str, list[np.ndarray]] = {name: [] for name in ("proprio", "action", "where")}
        for shard in read_manifest(dataset).shards:
            if shard.task not in tasks:
                continue
            places: dict[str, tuple[int, int]] = {}  # file and row group of an episode's images
            for entry in shard.images:
                self._paths.append(check_file(dataset, entry))
                for group, name in enumerate(row_group_episodes(open_parquet(self._paths[-1]))):
                    places[name] = (len(self._paths) - 1, group)
            steps = open_parquet(check_file(dataset, shard.steps))
            for index in range(steps.num_row_groups):
                rows = steps.read_row_group(index, columns=_COLUMNS)
                file, group = places.get(rows["episode_id"][0].as_py(), (-1, -1))
                if images and file < 0:
                    continue
                step = column_array(rows, "step")
                where = np.full((len(step), 4), (len(self._tasks), file, group, 0), np.int32)
                where[:, 3] = step
                parts["where"].append(where)
                for name in ("proprio", "action"):
                    parts[name].append(column_array(rows, name))
            self._tasks.append(shard.task)
        if not parts["where"]:
            what = "rendered env step" if images else "env step"
            raise DatasetError(
                f"Dataset {dataset} has no {what} of task={selector}. Select other tasks, or "
                f"render them: rl-datagen dataset render {dataset}"
            )
        self._images = images
        self._proprio, self._action, self._where = map(np.concatenate, parts.values())

    def __len__(self) -> int:
        return len(self._action)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns an env step.

        Returns:
            ``proprio`` float32 [8] and ``action`` float32 [7] as in ``Trajectory``, ``task``,
            ``instruction``, and ``agentview`` and ``wrist``: uint8 [H, W, 3], RGB, upright.
        """
        shard, file, group, step = self._where[index].tolist()
        task = self._tasks[shard]
        item: dict[str, Any] = {
            "proprio": self._proprio[index],
            "action": self._action[index],
            "task": task,
            "instruction": get_task(task).instruction,
        }
        if self._images:
            # Without Arrow's threads: a worker that was forked does not have them.
            rows = self._file(file).read_row_group(group, columns=list(CAMERAS), use_threads=False)
            item |= {camera: decode_image(rows[camera][step].as_py()) for camera in CAMERAS}
        return item

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}

    def _file(self, number: int) -> pq.ParquetFile:
        key = (os.getpid(), self._paths[number])
        if key not in self._open:
            self._open[key] = pq.ParquetFile(self._paths[number], memory_map=True)
        return self._open[key]
