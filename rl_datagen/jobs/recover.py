"""Recoveries from a dataset's episodes: disturbed on their way, and put right by the expert."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rl_datagen.config import CollectionConfig
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.card import write_card
from rl_datagen.data.dataset import ShardReader, read_episodes_of
from rl_datagen.data.files import Delivery, NewShard, Target
from rl_datagen.data.manifest import Shard, part_of, read_manifest
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.jobs.shards import ShardJob
from rl_datagen.jobs.stored import Experts, StoredExpert
from rl_datagen.jobs.vary import check_mean
from rl_datagen.rollout import count_attempts, recover
from rl_datagen.runtime.executor import Tell, execute
from rl_datagen.sim import load_scene
from rl_datagen.tasks import Task, get_task, select_present


@dataclass(frozen=True, eq=False)
class _Unit:
    """A shard's episodes, to branch off from."""

    config: CollectionConfig
    num_recoveries: int
    origins: tuple[Trajectory, ...]
    part: int
    expert: StoredExpert
    target: Target


class _Recover(ShardJob[str, _Unit]):
    """A shard for every shard of the dataset."""

    name = "recover"
    noun = "recoveries"
    advice = ", also with more attempts (max_attempts_per_episode=...)"

    def __init__(
        self,
        source: Path,
        shards: Sequence[Shard],
        config: CollectionConfig,
        num_recoveries: int,
        experts: Callable[[Task], StoredExpert],
        writer: DatasetWriter,
    ) -> None:
        super().__init__(writer, config.num_workers)
        self._source, self._config = source, config
        self._shards = {shard.steps.path: shard for shard in shards}
        self._num_recoveries, self._experts = num_recoveries, lru_cache(1)(experts)
        rows = read_episodes_of(source, shards).select(["shard", "episode_id", "success"])
        self._ids: dict[str, list[str]] = {path: [] for path in self._shards}
        for row in rows.to_pylist():
            if row["success"]:
                self._ids[row["shard"]].append(row["episode_id"])

    def keys(self) -> Sequence[str]:
        return [path for path, ids in self._ids.items() if ids]

    def is_done(self, key: str) -> bool:
        return self.writer.has_part(self._shards[key].task, part_of(key))

    def unit(self, key: str) -> _Unit:
        shard = self._shards[key]
        origins = tuple(map(ShardReader(self._source, shard).read, self._ids[key]))
        what = (origins, part_of(key), self._experts(get_task(shard.task)))
        return _Unit(self._config, self._num_recoveries, *what, self.writer.target)

    @staticmethod
    def run(unit: _Unit, tell: Tell) -> Delivery:
        config, wanted = unit.config, unit.num_recoveries
        scene = load_scene(get_task(unit.origins[0].task), **config.sim.scene())
        episodes, attempts = recover(
            unit.expert.load(),
            scene,
            unit.origins,
            wanted,
            wanted * config.max_attempts_per_episode,
            seed=config.seed,
            sim=config.sim,
            on_episode=count_attempts(tell, wanted * len(unit.origins)),
        )
        if not episodes:
            raise UserError(f"none of {attempts} disturbed episodes reached the goal")
        return unit.target.deliver(NewShard(episodes, unit.part, unit.expert.id, attempts))

    def size(self, key: str) -> int:
        return len(self._ids[key]) * self._num_recoveries

    def label(self, key: str) -> str:
        return f"{self._shards[key].task} shard {part_of(key)}"


def recover_dataset(
    source: Path, config: CollectionConfig, num_recoveries: int, progress: Progress = SILENT
) -> Path:
    """Stores recoveries from each successful episode of a dataset.

    A shard appears whole or not at all, as in ``collect``, and the same call resumes. An episode
    that the expert cannot recover from often enough has fewer.

    Args:
        source: The dataset.
        config: The experts, the new dataset's name, how many attempts each recovery may take.
        num_recoveries: Of each episode.
        progress: Told how far it is.

    Returns:
        The new dataset's folder.

    Raises:
        ConfigError: The dataset has none of the tasks, or none of its tasks has an expert.
        DatasetError: The dataset is damaged, or its episodes do not replay.
        UserError: Some shards could not be made; the others are stored.
    """
    if config.experts is None:
        raise ConfigError(
            "A recovery takes an expert, and experts is not set: give a name such as "
            "experts=campaign or experts=release."
        )
    check_mean(config)
    experts = Experts(config.experts, config.output_dir)
    manifest = read_manifest(source)
    there = {shard.task for shard in manifest.shards}
    wanted = {task.id for task in select_present(config.task or "all", there)}
    known = {task.id for task in experts.tasks(config.task)}
    shards = [shard for shard in manifest.shards if shard.task in wanted & known]
    if not shards:
        raise ConfigError(
            f"{source} has {', '.join(sorted(there))}, and experts={config.experts} none of them "
            "that task selects. Give the experts of its tasks."
        )
    path = Path(config.output_dir, "datasets", config.name)
    identity = _identity(config, num_recoveries, manifest.content_hash)
    with DatasetWriter(path, config={"recover": identity}) as writer:
        job = _Recover(source, shards, config, num_recoveries, experts.read, writer)
        outcome = execute(job, progress)
    write_card(path)
    outcome.check()
    return path


def _identity(config: CollectionConfig, num_recoveries: int, content: str) -> dict[str, Any]:
    """What the new dataset belongs to."""
    kept = {"name", "seed", "sim", "max_attempts_per_episode"}
    settings = config.model_dump(mode="json", include=kept)
    return settings | {"num_recoveries": num_recoveries, "from": content}
