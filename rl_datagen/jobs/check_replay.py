"""Datasets checked by replaying some of their episodes."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

from rl_datagen.config import Backend
from rl_datagen.core.progress import SILENT, Progress
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
from rl_datagen.jobs.hydrate import replay_compact
from rl_datagen.runtime.executor import Job, Outcome, Tell, execute
from rl_datagen.sim import first_that_replays, load_scene, replay
from rl_datagen.tasks import get_task


@dataclass(frozen=True, eq=False)
class _Unit:
    episode: Trajectory | CompactEpisode
    task: str
    backends: tuple[Backend, ...]


_Key = tuple[str, str]  # a task, and the id of an episode


class _CheckReplay(Job[_Key, _Unit, None]):
    """Episodes whose replay is compared with the record; nothing is stored."""

    name = "replay"

    def __init__(
        self, dataset: Path, keys: Sequence[_Key], folder: Path, num_workers: int | None
    ) -> None:
        self.folder, self.num_workers = folder, num_workers
        self._keys, self._sound = keys, set[_Key]()
        self._open = lru_cache(1)(partial(_read_task, dataset, [name for _, name in keys]))

    def keys(self) -> Sequence[_Key]:
        return self._keys

    def is_done(self, key: _Key) -> bool:
        return key in self._sound

    def unit(self, key: _Key) -> _Unit:
        return self._open(key[0])[key[1]]

    @staticmethod
    def run(unit: _Unit, tell: Tell) -> None:
        first_that_replays(unit.backends, partial(_replay, unit))

    def store(self, unit: _Unit, result: None) -> None:
        self._sound.add((unit.task, unit.episode.episode_id))

    def label(self, key: _Key) -> str:
        return f"episode {key[1]}"


def check_replay(
    dataset: Path,
    num_episodes: int,
    *,
    seed: int = 0,
    num_workers: int | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Replays some episodes, of as many tasks as there are, and compares all their states.

    Args:
        dataset: A dataset, compact or whole.
        num_episodes: How many; drawn at random.
        seed: Of the draw.
        num_workers: Episodes worked on at a time; None: as many as the cluster has cores.
        progress: Told how far it is.

    Returns:
        A problem for each episode whose states are not those that were recorded.

    Raises:
        DatasetError: It is damaged, or a compact one of other versions than are installed.
    """
    names = _draw(_episodes(dataset), num_episodes, seed)
    keys = [(task, name) for task, chosen in names.items() for name in sorted(chosen)]
    with TemporaryDirectory() as folder:
        return execute(_CheckReplay(dataset, keys, Path(folder), num_workers), progress)


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


def _read_task(dataset: Path, names: Sequence[str], task: str) -> dict[str, _Unit]:
    """Returns a task's episodes of these names."""
    if is_compact(dataset):
        backends = (read_compact_manifest(dataset).backend,)
        episodes = (e for e in read_compact(dataset, task) if e.episode_id in names)
    else:
        backends = read_manifest(dataset).backends
        episodes = read_trajectories(dataset, task=task, episode_ids=names)
    return {episode.episode_id: _Unit(episode, task, backends) for episode in episodes}


def _replay(unit: _Unit, backend: Backend) -> None:
    scene = load_scene(get_task(unit.task), backend)
    if isinstance(unit.episode, CompactEpisode):
        replay_compact(unit.episode, scene)
    else:
        for _ in replay(unit.episode, scene):
            pass
