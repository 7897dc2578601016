"""Replay of stored episodes into camera images."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rl_datagen.cluster import map_units, ray_session
from rl_datagen.config import RenderConfig
from rl_datagen.core.errors import ConfigError, DatasetError, SimulatorError
from rl_datagen.data.card import write_card
from rl_datagen.data.dataset import read_episodes, read_images, read_trajectories, rendered_episodes
from rl_datagen.data.images import RenderedEpisode, images_table
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.sim import Backend, Scene, load_scene, replay
from rl_datagen.tasks import get_task, select_tasks

EPISODES_PER_FILE = 5
"""Of images: a few, since they are held until all are there, at about 20 MB each as PNG."""


@dataclass(frozen=True)
class RenderReport:
    """What was rendered, now or before.

    Attributes:
        num_episodes: Episodes with images, of those asked for.
        num_images: Images of both cameras, had none been refused.
        refused: A sentence for each episode whose replay was not the recorded one.
    """

    num_episodes: int
    num_images: int
    refused: tuple[str, ...]

    def check(self) -> None:
        """Raises if an episode was refused.

        Raises:
            DatasetError: Names each.
        """
        if self.refused:
            found = "\n".join(f"- {sentence}" for sentence in self.refused)
            raise DatasetError(
                f"{len(self.refused)} episode(s) have no images; {self.num_episodes} have.\n{found}"
            )


@dataclass(frozen=True)
class RenderUnit:
    """One episode to render.

    Attributes:
        trajectory: The episode.
        settings: Size and encoding of the images.
        backends: See ``Manifest``.
    """

    trajectory: Trajectory
    settings: RenderConfig
    backends: tuple[Backend, ...]


def render_dataset(
    dataset: Path,
    settings: RenderConfig,
    *,
    tasks: str = "all",
    num_workers: int | None = None,
    on_start: Callable[[int], None] = lambda _: None,
    on_episodes: Callable[[int], None] = lambda _: None,
) -> RenderReport:
    """Renders the episodes that have no images yet, one at a time on each of Ray's workers.

    A file of images appears whole or not at all, so a job that was killed continues with the
    episodes that are missing. What is in memory does not grow with their number.

    Args:
        dataset: The dataset's folder.
        settings: How many episodes of a task, and size and encoding of the images.
        tasks: Selector of the tasks to render.
        num_workers: Units worked on at a time; None: as many as the cluster has cores.
        on_start: Called with the number of episodes that are still to do.
        on_episodes: Called with the number of episodes that are done or refused.

    Raises:
        ConfigError: The selector names no task, or none of the dataset's.
        DatasetError: It is no dataset, damaged, or rendered with another size or encoding.
    """
    refused: list[str] = []
    with DatasetWriter(dataset, config=None) as writer:
        chosen = first_episodes(dataset, settings.num_episodes, tasks)
        rendered = rendered_episodes(dataset)
        if rendered:
            _refuse_other(read_images(dataset, rendered[0]), settings)
        missing = [row for row in chosen if row["episode_id"] not in set(rendered)]
        on_start(len(missing))
        files = _Files(missing)
        for name, result in _work(writer, missing, settings, num_workers):
            if isinstance(result, str):
                refused.append(result)
            if tables := files.add(name, result):
                writer.append_images(tables, shard=writer.shard_of(name))
            on_episodes(1)
    write_card(dataset)
    num_images = 2 * sum(row["length"] for row in chosen)
    return RenderReport(len(chosen) - len(refused), num_images, tuple(refused))


def first_episodes(
    dataset: Path, num_episodes: int | None, tasks: str = "all"
) -> list[dict[str, Any]]:
    """Returns the first episodes of each task, or all: rows of ``EPISODES_SCHEMA``, in part.

    Raises:
        ConfigError: The dataset has none of these tasks.
    """
    wanted = {task.id for task in select_tasks(tasks)}
    columns = ["episode_id", "task", "length", "shard", "row_group"]
    count: Counter[str] = Counter()
    chosen: list[dict[str, Any]] = []
    for row in read_episodes(dataset).select(columns).to_pylist():
        count[row["task"]] += 1
        few = num_episodes is None or count[row["task"]] <= num_episodes
        if few and row["task"] in wanted:
            chosen.append(row)
    if count and not wanted & set(count):
        raise ConfigError(
            f"task={tasks!r} selects no task of {dataset}, which has {', '.join(sorted(count))}."
        )
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


_Place = tuple[str, int]  # shard, and which file of it
_Rendered = pa.Table | str  # images, or why there are none


class _Files:
    """Episodes that were rendered, kept until a file of them is complete.

    Which episodes share a file depends on their places alone, not on what was rendered before.

    Args:
        missing: Rows of the episodes to render.
    """

    def __init__(self, missing: Sequence[dict[str, Any]]) -> None:
        self._places: dict[str, _Place] = {}
        self._names: defaultdict[_Place, list[str]] = defaultdict(list)
        self._results: defaultdict[_Place, dict[str, _Rendered]] = defaultdict(dict)
        for row in missing:
            place = (row["shard"], row["row_group"] // EPISODES_PER_FILE)
            self._places[row["episode_id"]] = place
            self._names[place].append(row["episode_id"])

    def add(self, episode_id: str, result: _Rendered) -> list[pa.Table]:
        """Returns the images of a file's episodes, in their order, once this was its last."""
        place = self._places[episode_id]
        self._results[place][episode_id] = result
        if len(self._results[place]) < len(self._names[place]):
            return []
        results = self._results.pop(place)
        ordered = [results[name] for name in self._names[place]]
        return [result for result in ordered if not isinstance(result, str)]


def _work(
    writer: DatasetWriter,
    missing: list[dict[str, Any]],
    settings: RenderConfig,
    num_workers: int | None,
) -> Iterator[tuple[str, _Rendered]]:
    """Yields each episode's name and images as they are there."""
    if len(missing) <= EPISODES_PER_FILE:  # not worth Ray's start
        for unit in _units(writer, missing, settings):
            yield unit.trajectory.episode_id, render_unit(unit)
        return
    with ray_session(writer.path / ".ray.log", num_workers):
        units = _units(writer, missing, settings)
        gpus = settings.num_gpus_per_worker
        for unit, result in map_units(render_unit, units, num_workers, num_gpus=gpus):
            name = unit.trajectory.episode_id
            failed = isinstance(result, SimulatorError)
            yield name, f"{name}: {result.message}." if failed else result


def _units(
    writer: DatasetWriter, missing: list[dict[str, Any]], settings: RenderConfig
) -> Iterator[RenderUnit]:
    """Yields the units, whose episodes are read when a worker is free."""
    backends = writer.manifest.backends
    names = {row["episode_id"] for row in missing}
    for trajectory in read_trajectories(writer.path, episode_ids=names):
        yield RenderUnit(trajectory, settings, backends)


def render_unit(unit: RenderUnit) -> _Rendered:
    """Returns the episode's images, or a sentence that says why it is refused."""
    try:
        return images_table(render_replay(unit.trajectory, unit.settings, unit.backends))
    except DatasetError as error:
        return str(error)
    except SimulatorError as error:
        return f"{unit.trajectory.episode_id}: {error.message}."


def render_replay(
    trajectory: Trajectory, settings: RenderConfig, backends: Sequence[Backend]
) -> RenderedEpisode:
    """Returns what both cameras saw, with the first of these backends that replays the episode.

    Raises:
        DatasetError: None does.
    """
    *others, last = backends
    look = settings.appearance
    task = get_task(trajectory.task)
    for backend in others:
        with suppress(DatasetError):
            return render_episode(trajectory, load_scene(task, backend, look), settings)
    return render_episode(trajectory, load_scene(task, last, look), settings)


def render_episode(trajectory: Trajectory, scene: Scene, settings: RenderConfig) -> RenderedEpisode:
    """Steps through an episode again and looks at it with both cameras.

    Args:
        trajectory: The episode.
        scene: Its task.
        settings: Size and encoding of the images.

    Raises:
        DatasetError: The replay leaves the recorded states, so its images would not be of this
            episode.
    """
    frames = [simulator.images(settings.image_size) for simulator in replay(trajectory, scene)]
    agentview, wrist = (np.stack([f[name] for f in frames]) for name in ("agentview", "wrist"))
    name, encoding = trajectory.episode_id, settings.encoding
    return RenderedEpisode(name, agentview, wrist, encoding, scene.appearance)
