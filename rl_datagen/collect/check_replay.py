"""Datasets checked by replaying some of their episodes."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

from rl_datagen.cluster import map_units, ray_session
from rl_datagen.collect.hydrate import replay_compact
from rl_datagen.config import Backend
from rl_datagen.core.errors import DatasetError, SimulatorError
from rl_datagen.core.provenance import package_versions
from rl_datagen.data.compact import (
    CompactEpisode,
    check_versions,
    is_compact,
    read_compact,
    read_compact_manifest,
    read_names,
)
from rl_datagen.data.dataset import read_episodes, read_trajectories
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.sim import load_scene, replay
from rl_datagen.tasks import get_task


@dataclass(frozen=True, eq=False)
class _Unit:
    task: str
    episode: Trajectory | CompactEpisode
    backends: tuple[Backend, ...]


def check_replay(
    dataset: Path,
    num_episodes: int,
    *,
    seed: int = 0,
    num_workers: int | None = None,
    on_start: Callable[[int], None] = lambda _: None,
    on_episodes: Callable[[int], None] = lambda _: None,
) -> list[str]:
    """Replays some episodes, of as many tasks as there are, and compares all their states.

    Args:
        dataset: A dataset, compact or whole.
        num_episodes: How many; drawn at random.
        seed: Of the draw.
        num_workers: Episodes worked on at a time; None: as many as the cluster has cores.
        on_start: Called with the number of episodes.
        on_episodes: Called with the number of episodes that are done.

    Returns:
        A sentence for each episode whose states are not those that were recorded.

    Raises:
        DatasetError: It is damaged, or a compact one of other versions than are installed.
    """
    units = _compact_units if is_compact(dataset) else _whole_units
    names = _draw(_episodes(dataset), num_episodes, seed)
    on_start(sum(map(len, names.values())))
    problems: list[str] = []
    with TemporaryDirectory() as folder, ray_session(Path(folder) / "ray.log", num_workers):
        for unit, result in map_units(_replay_unit, units(dataset, names), num_workers):
            if isinstance(result, SimulatorError):
                problems.append(f"episode {unit.episode.episode_id}: {result.message}.")
            elif result:
                problems.append(result)
            on_episodes(1)
    return problems


def _episodes(dataset: Path) -> dict[str, list[str]]:
    """Returns the names of each task's episodes."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    if is_compact(dataset):
        manifest = read_compact_manifest(dataset)
        check_versions(dataset, manifest, package_versions())
        for each in manifest.files:
            names[each.task] = read_names(dataset, each)
    else:
        table = read_episodes(dataset)
        for task, name in zip(
            *(table[key].to_pylist() for key in ("task", "episode_id")), strict=True
        ):
            names[task].append(name)
    return dict(names)


def _draw(names: dict[str, list[str]], count: int, seed: int) -> dict[str, set[str]]:
    """Draws episodes, one of each task before a second of any."""
    generator = random.Random(seed)
    tasks = generator.sample(sorted(names), len(names))
    columns = [
        [(task, n) for n in generator.sample(names[task], len(names[task]))] for task in tasks
    ]
    drawn = [pair for pair in chain(*zip_longest(*columns)) if pair][:count]
    chosen: defaultdict[str, set[str]] = defaultdict(set)
    for task, name in drawn:
        chosen[task].add(name)
    return dict(chosen)


def _compact_units(dataset: Path, names: dict[str, set[str]]) -> Iterator[_Unit]:
    backend = read_compact_manifest(dataset).backend
    for task, chosen in names.items():
        for episode in read_compact(dataset, task):
            if episode.episode_id in chosen:
                yield _Unit(task, episode, (backend,))


def _whole_units(dataset: Path, names: dict[str, set[str]]) -> Iterator[_Unit]:
    backends = read_manifest(dataset).backends
    for task, chosen in names.items():
        for trajectory in read_trajectories(dataset, task=task, episode_ids=chosen):
            yield _Unit(task, trajectory, backends)


def _replay_unit(unit: _Unit) -> str | None:
    """Returns what is wrong with an episode, if anything is."""
    message = None
    for backend in unit.backends:
        scene = load_scene(get_task(unit.task), backend)
        try:
            if isinstance(unit.episode, CompactEpisode):
                replay_compact(unit.episode, scene)
            else:
                for _ in replay(unit.episode, scene):
                    pass
            return None
        except DatasetError as error:
            message = str(error)
    return message
