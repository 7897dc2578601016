"""Compact episodes replayed into a whole dataset."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from rl_datagen.cluster import map_units, ray_session
from rl_datagen.config import SimConfig
from rl_datagen.core.errors import ConfigError, DatasetError, SimulatorError
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
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import ReplayPolicy
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import Backend, InitialState, Scene, load_scene
from rl_datagen.tasks import get_task, select_tasks


@dataclass(frozen=True, eq=False)
class _Unit:
    """A shard's episodes."""

    task: str
    part: int
    episodes: tuple[CompactEpisode, ...]
    num_attempts: int | None
    backend: Backend


@dataclass(frozen=True)
class HydrateReport:
    """What was made, now or before.

    Attributes:
        num_episodes: Episodes of the dataset.
        refused: A sentence for each shard of which an episode does not replay; none of it is
            stored.
    """

    num_episodes: int
    refused: tuple[str, ...]

    def check(self) -> None:
        """Raises if a shard was refused.

        Raises:
            DatasetError: Names each.
        """
        if self.refused:
            found = "\n".join(f"- {sentence}" for sentence in self.refused)
            raise DatasetError(
                f"{len(self.refused)} shard(s) were not stored; {self.num_episodes} episodes "
                f"are.\n{found}"
            )


def hydrate(
    source: Path,
    out: Path,
    *,
    tasks: str = "all",
    num_workers: int | None = None,
    on_start: Callable[[int], None] = lambda _: None,
    on_episodes: Callable[[int], None] = lambda _: None,
) -> HydrateReport:
    """Replays a compact dataset into a whole one, whose states are compared with the record.

    A call that was killed is continued by the same call, which may also name other tasks.

    Args:
        source: The compact dataset.
        out: Folder of the dataset.
        tasks: Selector of the tasks to replay.
        num_workers: Shards worked on at a time; None: as many as the cluster has cores.
        on_start: Called with the number of episodes that are still to do.
        on_episodes: Called with the number of episodes that are done or refused.

    Raises:
        ConfigError: The selector names none of its tasks.
        DatasetError: It is damaged, or was recorded with other versions than are installed.
    """
    manifest = read_compact_manifest(source)
    check_versions(source, manifest, package_versions())
    files = _choose(source, manifest, tasks)
    identity = {"versions": manifest.versions, "backend": manifest.backend}
    refused: list[str] = []
    with DatasetWriter(out, config={"hydrate": identity}) as writer:
        left = [
            unit
            for unit in _units(source, manifest, files)
            if not writer.has_part(unit.task, unit.part)
        ]
        on_start(sum(len(unit.episodes) for unit in left))
        with ray_session(out / ".ray.log", num_workers) if left else nullcontext():
            for unit, result in map_units(_hydrate_unit, left, num_workers):
                if isinstance(result, SimulatorError):
                    refused.append(f"{unit.task}, shard {unit.part}: {result.message}.")
                elif isinstance(result, str):
                    refused.append(result)
                else:
                    expert = unit.episodes[0].row["expert"]
                    attempts = unit.num_attempts
                    writer.append(result, part=unit.part, expert=expert, num_attempts=attempts)
                on_episodes(len(unit.episodes))
        num_episodes = len(writer.episode_ids)
    write_card(out)
    return HydrateReport(num_episodes, tuple(refused))


def _choose(source: Path, manifest: CompactManifest, tasks: str) -> list[CompactFile]:
    wanted = {task.id for task in select_tasks(tasks)}
    chosen = [each for each in manifest.files if each.task in wanted]
    if not chosen:
        there = ", ".join(each.task for each in manifest.files)
        raise ConfigError(f"task={tasks!r} selects no task of {source}, which has {there}.")
    return chosen


def _units(
    source: Path, manifest: CompactManifest, files: Sequence[CompactFile]
) -> Iterator[_Unit]:
    for each in files:
        episodes = read_compact(source, each.task)
        for part, group in groupby(episodes, key=lambda episode: episode.row["part"]):
            attempts = each.num_attempts.get(part)
            yield _Unit(each.task, part, tuple(group), attempts, manifest.backend)


def _hydrate_unit(unit: _Unit) -> list[Trajectory] | str:
    """Returns a shard's episodes, or why it is refused."""
    scene = load_scene(get_task(unit.task), unit.backend)
    try:
        return [replay_compact(episode, scene) for episode in unit.episodes]
    except DatasetError as error:
        return str(error)


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
            "rounds otherwise."
        )
    if trajectory.success != row["success"]:
        raise DatasetError(f"Episode {episode.episode_id} says it is a success, or is none.")
    return replace(trajectory, decision=episode.decisions)
