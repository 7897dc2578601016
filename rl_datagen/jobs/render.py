"""Rendering: stored episodes replayed into camera images."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rl_datagen.config import Appearance, RenderConfig
from rl_datagen.config.views import PLAIN, ViewsConfig, described
from rl_datagen.core.errors import DatasetError, SimulatorError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.card import write_card
from rl_datagen.data.dataset import ShardReader, read_episodes, rendered_episodes
from rl_datagen.data.files import Delivery, NewImages, Target
from rl_datagen.data.images import Encoding, RenderedEpisode, decode_images, images_table
from rl_datagen.data.manifest import check_file, read_manifest
from rl_datagen.data.shards import open_parquet, read_row_group
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.jobs.views import render_views
from rl_datagen.runtime.executor import Job, Outcome, Tell, execute
from rl_datagen.sim import Backend, Scene, first_that_replays, load_scene, replay
from rl_datagen.tasks import get_task, require_present

EPISODES_PER_FILE = 5
"""Of images: a few, since they are held until all are there, at about 20 MB each as PNG."""

_Key = tuple[str, int]  # a shard's steps file, and which file of its images
_Row = dict[str, Any]  # of the episodes table, in part


@dataclass(frozen=True, eq=False)
class _Unit:
    """Some episodes of a shard, whose images share a file.

    Attributes:
        trajectories: The episodes.
        of: The shard's steps file.
        row_groups: Where each episode is in it.
        settings: Size and encoding of the images.
        views: What is rendered besides.
        backends: See ``Manifest``.
        target: The dataset.
    """

    trajectories: Sequence[Trajectory]
    of: str
    row_groups: Sequence[int]
    settings: RenderConfig
    views: ViewsConfig
    backends: tuple[Backend, ...]
    target: Target


@dataclass(frozen=True, eq=False)
class _Rendered:
    """What became of a unit.

    Attributes:
        episode_ids: Episodes that have images now.
        images: Those.
        refused: A sentence for each other episode.
    """

    episode_ids: Sequence[str]
    images: Delivery | None
    refused: Sequence[str]


class _Render(Job[_Key, _Unit, _Rendered]):
    """Files of a few episodes. Which share one depends on their places alone."""

    name = "render"

    def __init__(
        self,
        writer: DatasetWriter,
        chosen: Sequence[_Row],
        settings: RenderConfig,
        views: ViewsConfig,
        num_workers: int | None,
    ) -> None:
        self.folder, self.num_workers = writer.path, num_workers
        self.num_gpus = settings.num_gpus_per_worker
        self._writer, self._settings, self._views = writer, settings, views
        self._shards = {shard.steps.path: shard for shard in writer.manifest.shards}
        self._backends = writer.manifest.backends
        self._files: defaultdict[_Key, list[_Row]] = defaultdict(list)
        for row in chosen:
            self._files[row["shard"], row["row_group"] // EPISODES_PER_FILE].append(row)
        self._rendered = set(rendered_episodes(writer.path, check=False))
        self._reader = lru_cache(1)(self._open)  # files of a shard follow one another

    def keys(self) -> Sequence[_Key]:
        return list(self._files)

    def is_done(self, key: _Key) -> bool:
        return not self._left(key)

    def size(self, key: _Key) -> int:
        return len(self._files[key])

    def num_missing(self, key: _Key) -> int:
        return len(self._left(key))

    def unit(self, key: _Key) -> _Unit:
        left, reader = self._left(key), self._reader(key[0])
        return _Unit(
            [reader.read(row["episode_id"]) for row in left],
            key[0],
            [row["row_group"] for row in left],
            self._settings,
            self._views,
            self._backends,
            self._writer.target,
        )

    @staticmethod
    def run(unit: _Unit, tell: Tell) -> _Rendered:
        tables: dict[int, pa.Table] = {}
        names: list[str] = []
        refused: list[str] = []
        for number, trajectory in enumerate(unit.trajectories):
            try:
                images = render_replay(trajectory, unit.settings, unit.backends, unit.views)
                tables[unit.row_groups[number]] = images_table(images)
                names.append(trajectory.episode_id)
            except DatasetError as error:
                refused.append(str(error))
            except SimulatorError as error:
                refused.append(f"{trajectory.episode_id}: {error.message}.")
            tell(number + 1)
        new = NewImages(list(tables.values()), unit.of, min(tables)) if tables else None
        return _Rendered(names, unit.target.deliver(new) if new else None, refused)

    def store(self, unit: _Unit, result: _Rendered) -> str | None:
        if result.images is not None:
            self._writer.take(result.images)
        self._rendered.update(result.episode_ids)
        return " ".join(result.refused) or None

    def label(self, key: _Key) -> str:
        return key[0]

    def _left(self, key: _Key) -> list[_Row]:
        return [row for row in self._files[key] if row["episode_id"] not in self._rendered]

    def _open(self, path: str) -> ShardReader:
        return ShardReader(self.folder, self._shards[path])


def render_dataset(
    dataset: Path,
    settings: RenderConfig,
    *,
    views: ViewsConfig = PLAIN,
    tasks: str = "all",
    num_workers: int | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Renders the episodes that have no images yet, a few at a time on each of Ray's workers.

    A file of images appears whole or not at all, so a job that was killed continues with the
    episodes that are missing. What is in memory does not grow with their number.

    Args:
        dataset: The dataset's folder.
        settings: How many episodes of a task, and size and encoding of the images.
        views: What to render besides LIBERO's two images.
        tasks: Selector of the tasks to render.
        num_workers: Units worked on at a time; None: as many as the cluster has cores.
        progress: Told how far the job is, episode by episode.

    Returns:
        How many episodes have no images, and why: those whose replay is not what was recorded.

    Raises:
        ConfigError: The selector names no task, or none of the dataset's.
        DatasetError: It is not a dataset, damaged, or rendered with another size or encoding.
    """
    with DatasetWriter(dataset, config=None) as writer:
        chosen = first_episodes(dataset, settings.num_episodes, tasks)
        if (first := _first_rendered(dataset)) is not None:
            _refuse_other(first, settings)
            _refuse_other_views(first.settings, views)
        outcome = execute(_Render(writer, chosen, settings, views, num_workers), progress)
    write_card(dataset)
    return outcome


def render_missing(
    dataset: Path,
    *,
    tasks: str = "all",
    image_size: int | None = None,
    encoding: Encoding | None = None,
    appearance: Appearance | None = None,
    num_gpus_per_worker: float = 0,
    num_workers: int | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Renders what has no images yet, in the way of those that are there.

    Args:
        dataset: The dataset's folder.
        tasks: Selector of the tasks to render.
        image_size: Height and width in pixels; None: as the images that are there, or as
            ``RenderConfig`` has it.
        encoding: As above.
        appearance: As above.
        num_gpus_per_worker: Share of a GPU that each worker draws on.
        num_workers: Units worked on at a time; None: as many as the cluster has cores.
        progress: Told how far the job is.

    Raises:
        ConfigError: As ``render_dataset``.
        DatasetError: As ``render_dataset``.
    """
    given = {"image_size": image_size, "encoding": encoding, "appearance": appearance}
    chosen = {name: value for name, value in given.items() if value is not None}
    views = PLAIN
    if (first := _first_rendered(dataset)) is not None:
        size = len(first.agentview[0])
        there = {"image_size": size, "encoding": first.encoding, "appearance": first.appearance}
        chosen, views = {**there, **chosen}, first.settings
    settings = RenderConfig(num_episodes=None, num_gpus_per_worker=num_gpus_per_worker, **chosen)
    return render_dataset(
        dataset, settings, views=views, tasks=tasks, num_workers=num_workers, progress=progress
    )


def _first_rendered(dataset: Path) -> RenderedEpisode | None:
    """Returns the first episode that has images, if one does."""
    for shard in read_manifest(dataset).shards:
        for entry in shard.images:
            path = check_file(dataset, entry)
            return decode_images(read_row_group(path, open_parquet(path), 0))
    return None


def first_episodes(
    dataset: Path, num_episodes: int | None, tasks: str = "all"
) -> list[dict[str, Any]]:
    """Returns the first episodes of each task, or all: rows of ``EPISODES_SCHEMA``, in part.

    Raises:
        ConfigError: The dataset has none of these tasks.
    """
    columns = ["episode_id", "task", "length", "shard", "row_group"]
    rows = read_episodes(dataset).select(columns).to_pylist()
    wanted = require_present(tasks, {row["task"] for row in rows}, dataset)
    count: Counter[str] = Counter()
    chosen: list[dict[str, Any]] = []
    for row in rows:
        count[row["task"]] += 1
        few = num_episodes is None or count[row["task"]] <= num_episodes
        if few and row["task"] in wanted:
            chosen.append(row)
    return chosen


def _refuse_other(episode: RenderedEpisode, settings: RenderConfig) -> None:
    size, wanted = len(episode.agentview[0]), settings.image_size
    there = (size, episode.encoding, episode.appearance)
    if there != (wanted, settings.encoding, settings.appearance):
        raise DatasetError(
            f"The dataset's images are {there[1]} of {size} x {size} pixels with the appearance "
            f"'{there[2]}', and {settings.encoding} of {wanted} x {wanted} with the appearance "
            f"'{settings.appearance}' are asked for; one dataset has one kind. Go on with --size "
            f"{size} --encoding {there[1]} --appearance {there[2]}, or render a copy of the "
            "dataset from before it had images (`rl-datagen dataset merge COPY DATASET "
            "--no-images`)."
        )


def _refuse_other_views(there: ViewsConfig, wanted: ViewsConfig) -> None:
    differ = [
        name for name in ViewsConfig.model_fields if getattr(there, name) != getattr(wanted, name)
    ]
    if differ:
        raise DatasetError(
            f"The dataset's images were rendered with other {' and '.join(differ)}: "
            f"{described(there)}, and {described(wanted)} is asked for; one dataset has one kind. "
            "Give the same options as before, or render a copy of the dataset from before it had "
            "images (`rl-datagen dataset merge COPY DATASET --no-images`)."
        )


def render_replay(
    trajectory: Trajectory,
    settings: RenderConfig,
    backends: Sequence[Backend],
    views: ViewsConfig = PLAIN,
) -> RenderedEpisode:
    """Returns what both cameras saw, with the first of these backends that replays the episode.

    Raises:
        DatasetError: None does.
    """
    task = get_task(trajectory.task)

    def render(backend: Backend) -> RenderedEpisode:
        scene = load_scene(task, backend, settings.appearance)
        return render_episode(trajectory, scene, settings, views)

    return first_that_replays(backends, render)


def render_episode(
    trajectory: Trajectory, scene: Scene, settings: RenderConfig, views: ViewsConfig = PLAIN
) -> RenderedEpisode:
    """Steps through an episode again and looks at it with both cameras.

    Args:
        trajectory: The episode.
        scene: Its task.
        settings: Size and encoding of the images.
        views: What to render besides.

    Raises:
        DatasetError: The replay leaves the recorded states, so its images would not be of this
            episode.
    """
    if not views.is_plain:
        poses = [simulator.pose() for simulator in replay(trajectory, scene)]
        return render_views(trajectory.episode_id, scene, poses, settings, views)
    frames = [simulator.images(settings.image_size) for simulator in replay(trajectory, scene)]
    agentview, wrist = (np.stack([f[name] for f in frames]) for name in ("agentview", "wrist"))
    name, encoding = trajectory.episode_id, settings.encoding
    return RenderedEpisode(name, agentview, wrist, encoding, scene.appearance)
