"""Random access to the env steps of a dataset, for training."""

# Legend: M env steps, n env steps of a window.

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from rl_datagen.config.views import PLAIN
from rl_datagen.core.errors import ConfigError, DatasetError, did_you_mean, shown
from rl_datagen.core.seeding import derive_seed
from rl_datagen.data.branches import opening_of
from rl_datagen.data.columns import Episode, load_columns
from rl_datagen.data.compact import is_compact
from rl_datagen.data.dataset import read_labels
from rl_datagen.data.labels import EpisodeLabels
from rl_datagen.data.pages import BinaryFile
from rl_datagen.data.schema import CAMERAS
from rl_datagen.data.shards import open_parquet, reading, to_trajectory
from rl_datagen.data.trajectory import CONTROL_FREQUENCY, Trajectory
from rl_datagen.data.views import decode_picture, picture_columns, views_of_file

_TOLERANCE = 1e-4  # s, of delta timestamps; LeRobot's


class Dataset:
    """The env steps of a dataset by number, as ``torch.utils.data.DataLoader`` takes them.

    Columns are held in memory; an image is found by its row and decoded when asked for. Files are
    opened in the process that reads them, so that any number of workers may.

    Args:
        path: The dataset's folder, whole or compact.
        tasks: Selector, such as ``"libero_goal"``.
        columns: Numbers to give, such as ``("proprio", "object_state", "action")``: any numeric
            column of a steps file, or of labels (``"subtask_index"``, ``"progress"``). None:
            ``proprio`` and ``action``; of a compact dataset ``action``.
        cameras: Images to give, of ``"agentview"`` and ``"wrist"``, and of what was rendered
            besides (``"wrist_depth"``, ``"agentview_segmentation"``, ``"agentview_copy1"``); only
            episodes that are rendered are in the dataset then. None: LIBERO's two if every episode
            is rendered, else none.
        action_horizon: Give so many actions from each env step on, as ``[action_horizon, 7]``.
        delta_timestamps: Windows of any columns and cameras, in LeRobot's words: by name, seconds
            relative to the env step, multiples of 1/20 s. Beyond the ends of its episode a window
            repeats what is there, and ``<name>_is_pad`` says so.
        check: Compare each file's checksum once, here, which reads all of them.

    Raises:
        ConfigError: A column or camera does not exist, or a window is not on the 20 Hz grid.
        DatasetError: Nothing is selected, a camera's images are not there, or a file is missing or
            damaged.
    """

    def __init__(
        self,
        path: str | Path,
        tasks: str = "all",
        *,
        columns: Sequence[str] | None = None,
        cameras: Sequence[str] | None = None,
        action_horizon: int | None = None,
        delta_timestamps: Mapping[str, Sequence[float]] | None = None,
        check: bool = True,
    ) -> None:
        self.path = Path(path).expanduser()
        self._columns = load_columns(self.path, tasks, columns, check=check)
        self._open: dict[tuple[int, int], BinaryFile] = {}  # by process and number of the file
        self.cameras = self._find_cameras(cameras)
        self._windows = self._find_windows(delta_timestamps or {}, action_horizon)
        images, episodes = self._columns.images, self._columns.episodes
        self._choose(
            [i for i, each in enumerate(episodes) if not self.cameras or each.episode_id in images]
        )

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns an env step.

        Returns:
            Columns (``proprio`` float32 [8], ``action`` float32 [7], ... as in ``Trajectory``) and
            cameras (uint8 [H, W, 3], RGB, upright; depth float32 [H, W], m; segmentation uint16
            [H, W]), or a window ``[n, ...]`` of each that has one,
            with ``<name>_is_pad``, bool [n]; ``task``, ``instruction``; ``episode_index``, which
            counts in ``episodes``, and ``step``, the env step in it.

        Raises:
            IndexError: There is no such env step.
        """
        number, step = self._locate(index)
        episode = self.episodes[number]
        begin = self._columns.begins[self._chosen[number]]
        item: dict[str, Any] = {}
        for name in (*self._columns.arrays, *self.cameras):
            window = self._windows.get(name)
            steps = step
            if window is not None:
                steps = np.minimum(np.maximum(step + window, 0), episode.length - 1)
                item[f"{name}_is_pad"] = step + window != steps
            if name in self._columns.arrays:
                item[name] = np.array(self._columns.arrays[name][begin + steps])
            else:
                item[name] = self._images(name, episode, steps)
        where = {"episode_index": number, "step": step}
        return item | {"task": episode.task, "instruction": episode.instruction} | where

    @property
    def num_episodes(self) -> int:
        """Episodes in it."""
        return len(self.episodes)

    def array(self, column: str) -> np.ndarray:
        """Returns a column of all env steps, ``[M, ...]``, such as to normalise by."""
        values, begins = self._columns.arrays[column], self._columns.begins
        parts = [
            values[begins[i] + opening_of(e.episode_id) : begins[i] + e.length]
            for i, e in zip(self._chosen, self.episodes, strict=True)
        ]
        return np.concatenate(parts)

    def trajectory(self, episode_index: int) -> Trajectory:
        """Returns everything that is recorded of an episode but its images.

        Raises:
            DatasetError: The dataset is compact, or the file is damaged.
        """
        episode = self.episodes[episode_index]
        if not episode.shard:
            raise DatasetError(
                f"{self.path} is a compact dataset, of init states and actions. `rl-datagen "
                f"dataset hydrate {self.path} OUT` replays it into one with whole trajectories."
            )
        path = self.path / episode.shard
        with reading(path):
            return to_trajectory(
                open_parquet(path).read_row_group(episode.row_group), vars(episode)
            )

    def labels(self, episode_index: int) -> EpisodeLabels:
        """Returns an episode's labels: subtasks, grasps, contacts and the others.

        Raises:
            DatasetError: It has none, or the file is damaged.
        """
        return read_labels(self.path, self.episodes[episode_index].episode_id)

    def select(self, episode_indices: Sequence[int]) -> Self:
        """Returns some of the episodes, in this order, as a dataset that shares its memory."""
        part = copy.copy(self)
        part._choose([self._chosen[index] for index in episode_indices])
        return part

    def split(self, validation: float = 0.1, *, seed: int = 0) -> tuple[Self, Self]:
        """Returns two datasets without a common episode: to train on, and to validate with.

        Args:
            validation: Share of each task's episodes in the second one, in (0, 1).
            seed: Which ones.

        Raises:
            ConfigError: The share is not in (0, 1), or leaves one of them empty.
        """
        if not 0 < validation < 1:
            raise ConfigError(f"validation={validation!r} is a share: between 0 and 1 is allowed.")
        by_task: dict[str, list[int]] = {}
        for index, episode in enumerate(self.episodes):
            by_task.setdefault(episode.task, []).append(index)
        held_out: list[int] = []
        for task, indices in by_task.items():
            order = np.random.default_rng(derive_seed("split", seed, task)).permutation(indices)
            held_out += order[: round(validation * len(indices))].tolist()
        rest = sorted(set(range(self.num_episodes)) - set(held_out))
        if not held_out or not rest:
            raise ConfigError(
                f"validation={validation!r} of {self.num_episodes} episodes in "
                f"{len(by_task)} tasks leaves one part empty. Take more episodes, or another share."
            )
        return self.select(rest), self.select(sorted(held_out))

    def __repr__(self) -> str:
        tasks = {episode.task for episode in self.episodes}
        return (
            f"Dataset({str(self.path)!r}: {self.num_episodes} episodes, {len(self)} env steps, "
            f"{len(tasks)} tasks; {', '.join([*self._columns.arrays, *self.cameras])})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}

    def _choose(self, numbers: Sequence[int]) -> None:
        self._chosen = list(numbers)
        self.episodes: list[Episode] = [self._columns.episodes[number] for number in numbers]
        """Its episodes, in order."""
        self._ends = np.cumsum([e.length - opening_of(e.episode_id) for e in self.episodes])

    def _locate(self, index: int) -> tuple[int, int]:
        """Returns the episode and the env step in it of an index."""
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"index {index} of a dataset of {len(self)} env steps")
        number = int(np.searchsorted(self._ends, at, side="right"))
        return number, int(at - self._ends[number] + self.episodes[number].length)

    def _images(self, camera: str, episode: Episode, steps: int | np.ndarray) -> np.ndarray:
        number, group = self._columns.images[episode.episode_id]
        key = (os.getpid(), number)
        if key not in self._open:
            self._open[key] = BinaryFile(self._columns.image_files[number])
        if isinstance(steps, int):
            return decode_picture(camera, self._open[key].read(group, camera, steps))
        decoded = {
            step: decode_picture(camera, self._open[key].read(group, camera, step))
            for step in set(steps.tolist())
        }
        return np.stack([decoded[step] for step in steps.tolist()])

    def _find_cameras(self, cameras: Sequence[str] | None) -> tuple[str, ...]:
        episodes, images = self._columns.episodes, self._columns.images
        if cameras is None:
            return CAMERAS if all(each.episode_id in images for each in episodes) else ()
        files = self._columns.image_files
        views = views_of_file(open_parquet(files[0]).schema_arrow) if files else PLAIN
        known = picture_columns(views)
        for name in cameras:
            if name not in known:
                raise ConfigError(
                    f"cameras has '{shown(name)}', which the dataset does not have."
                    f"{did_you_mean(name, known)} Allowed: {', '.join(known)}. `rl-datagen dataset "
                    "render --help` says what else can be rendered."
                )
        if cameras and not any(each.episode_id in images for each in episodes):
            raise DatasetError(
                f"Dataset {self.path} has no images of camera '{cameras[0]}': none of the selected "
                f"episodes is rendered. {self._how_to_render()}"
            )
        return tuple(cameras)

    def _how_to_render(self) -> str:
        if is_compact(self.path):
            return f"`rl-datagen dataset hydrate {self.path} OUT --render` makes one that has them."
        return f"Render them: `rl-datagen dataset render {self.path}`."

    def _find_windows(
        self, delta_timestamps: Mapping[str, Sequence[float]], action_horizon: int | None
    ) -> dict[str, np.ndarray]:
        """Returns env steps relative to an index's, by column or camera."""
        there = (*self._columns.arrays, *self.cameras)
        windows = {
            name: _steps_of(name, delta_timestamps[name], there) for name in delta_timestamps
        }
        if action_horizon is None:
            return windows
        if action_horizon < 1 or "action" in windows or "action" not in there:
            raise ConfigError(
                f"action_horizon={action_horizon!r} is a number of actions, 1 or more, of the "
                "column action, which needs no delta_timestamps then."
            )
        return windows | {"action": np.arange(action_horizon)}


def _steps_of(name: str, seconds: Sequence[float], there: Sequence[str]) -> np.ndarray:
    if name not in there:
        raise ConfigError(
            f"delta_timestamps has '{shown(name)}', which this dataset does not give."
            f"{did_you_mean(name, there)} Allowed: {', '.join(there)}; columns and cameras add to "
            "them."
        )
    exact = np.asarray(seconds, float) * CONTROL_FREQUENCY
    steps = np.rint(exact)
    if not len(steps) or not np.allclose(steps, exact, rtol=0, atol=_TOLERANCE * CONTROL_FREQUENCY):
        raise ConfigError(
            f"delta_timestamps of {name} are {shown(list(seconds))} s: multiples of "
            f"1/{CONTROL_FREQUENCY} s are allowed, one or more."
        )
    return steps.astype(np.int64)
