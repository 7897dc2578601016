"""Hydration: compact episodes replayed into a whole dataset."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from rl_datagen.config import SimConfig
from rl_datagen.core.blas import on_rounding
from rl_datagen.core.errors import DatasetError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.provenance import package_versions
from rl_datagen.data.card import write_card
from rl_datagen.data.compact import (
    CompactEpisode,
    CompactFile,
    CompactManifest,
    check_versions,
    digest_states,
    read_compact,
    read_compact_manifest,
)
from rl_datagen.data.files import Delivery, NewShard, Target
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import ReplayPolicy
from rl_datagen.jobs.shards import ShardJob
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.runtime.executor import Outcome, Tell, execute
from rl_datagen.sim import Backend, InitialState, Scene, load_scene
from rl_datagen.tasks import get_task, require_present

_Key = tuple[str, int]  # a task, and the number of a shard


@dataclass(frozen=True, eq=False)
class _Unit:
    """A shard's episodes."""

    task: str
    part: int
    episodes: tuple[CompactEpisode, ...]
    num_attempts: int | None
    backend: Backend
    target: Target


class _Hydrate(ShardJob[_Key, _Unit]):
    """The shards that the episodes came from."""

    name = "hydrate"

    def __init__(
        self,
        source: Path,
        manifest: CompactManifest,
        files: Sequence[CompactFile],
        writer: DatasetWriter,
        num_workers: int | None,
    ) -> None:
        super().__init__(writer, num_workers)
        self._backend: Backend = manifest.backend
        self._attempts = {each.task: each.num_attempts for each in files}
        self._episodes = {
            (each.task, part): tuple(group)
            for each in files
            for part, group in groupby(read_compact(source, each.task), lambda e: e.row["part"])
        }

    def keys(self) -> Sequence[_Key]:
        return list(self._episodes)

    def is_done(self, key: _Key) -> bool:
        return self.writer.has_part(*key)

    def unit(self, key: _Key) -> _Unit:
        task, part = key
        attempts = self._attempts[task].get(part)
        episodes = self._episodes[key]
        return _Unit(task, part, episodes, attempts, self._backend, self.writer.target)

    @staticmethod
    def run(unit: _Unit, tell: Tell) -> Delivery:
        scene = load_scene(get_task(unit.task), unit.backend)
        replayed: list[Trajectory] = []
        for episode in unit.episodes:
            replayed.append(replay_compact(episode, scene))
            tell(len(replayed))
        expert = unit.episodes[0].row["expert"]
        return unit.target.deliver(NewShard(replayed, unit.part, expert, unit.num_attempts))

    def size(self, key: _Key) -> int:
        return len(self._episodes[key])

    def label(self, key: _Key) -> str:
        return f"{key[0]}, shard {key[1]}"


def hydrate(
    source: Path,
    out: Path,
    *,
    tasks: str = "all",
    num_workers: int | None = None,
    progress: Progress = SILENT,
) -> Outcome:
    """Replays a compact dataset into a whole one, whose states are compared with the record.

    A shard of which an episode does not replay is not stored. A call that was killed is continued
    by the same call, which may also name other tasks.

    Args:
        source: The compact dataset.
        out: Folder of the dataset.
        tasks: Selector of the tasks to replay.
        num_workers: Shards worked on at a time; None: as many as the cluster has cores.
        progress: Told how far the job is.

    Raises:
        ConfigError: The selector names none of its tasks.
        DatasetError: It is damaged, or was recorded with other versions than are installed.
    """
    manifest = read_compact_manifest(source)
    check_versions(source, manifest, package_versions())
    files = _choose(source, manifest, tasks)
    identity = {"versions": manifest.versions, "backend": manifest.backend}
    with DatasetWriter(out, config={"hydrate": identity}) as writer:
        outcome = execute(_Hydrate(source, manifest, files, writer, num_workers), progress)
    write_card(out)
    return outcome


def _choose(source: Path, manifest: CompactManifest, tasks: str) -> list[CompactFile]:
    wanted = require_present(tasks, {each.task for each in manifest.files}, source)
    return [each for each in manifest.files if each.task in wanted]


def replay_compact(episode: CompactEpisode, scene: Scene) -> Trajectory:
    """Returns a compact episode with all that was recorded of it.

    Raises:
        DatasetError: Its states are not those that were recorded.
    """
    row, length = episode.row, len(episode.actions)
    index = row["init_state_index"]
    initial = InitialState(episode.init_state, episode.fixture_poses, index=index)
    (trajectory,) = rollout(
        ReplayPolicy(episode.actions),
        scene,
        [PlannedEpisode(episode.episode_id, initial, row["seed"])],
        source=row["source"],
        sim=SimConfig(max_episode_steps=length, num_settle_steps=row["num_settle_steps"]),
        num_simulators=1,
        num_threads=1,
        num_steps_after_success=length,
    )
    sums, digest = digest_states(trajectory.sim_state)
    if digest != episode.states_sha256:
        other = np.flatnonzero(sums != episode.state_sums)
        where = f"at env step {other[0]}" if len(other) else "though every check sum agrees"
        versions = ", ".join(f"{n} {package_versions()[n]}" for n in ("mujoco", "robosuite"))
        raise DatasetError(
            f"The replay of episode {episode.episode_id} leaves the recorded states {where} "
            f"({versions}, sim.backend '{scene.backend}'): the record is damaged, or this machine "
            f"rounds otherwise. {on_rounding()}"
        )
    if trajectory.success != row["success"]:
        raise DatasetError(f"Episode {episode.episode_id} says it is a success, or is none.")
    return replace(trajectory, decision=episode.decisions)
