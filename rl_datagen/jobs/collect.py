"""Collection: successful episodes of each task's expert, or of its demonstrations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rl_datagen.config import CollectionConfig
from rl_datagen.core.errors import UserError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.card import write_card
from rl_datagen.data.dataset import read_episodes_of
from rl_datagen.data.files import Delivery, NewShard, Target
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import replay
from rl_datagen.demos.sources import DemonstrationSource, find_sources
from rl_datagen.jobs.amplify import amplified_policy
from rl_datagen.jobs.shards import ShardJob
from rl_datagen.jobs.stored import Experts, StoredExpert
from rl_datagen.jobs.vary import check_patterns, seeing_state, vary_shards
from rl_datagen.rollout import Policy, count_attempts, gather_shard
from rl_datagen.runtime.executor import Tell, execute
from rl_datagen.sim import Scene, load_scene
from rl_datagen.tasks import Task, select_tasks

Actor = StoredExpert | DemonstrationSource
"""What the episodes of a task are made from."""

_Key = tuple[Task, int]  # and the number of a shard


@dataclass(frozen=True)
class ShardUnit:
    """A shard that is to be collected.

    Attributes:
        config: The job.
        task: The task.
        shard: The shard's number in its task.
        actor: What acts.
        target: The dataset.
    """

    config: CollectionConfig
    task: Task
    shard: int
    actor: Actor
    target: Target

    @property
    def size(self) -> int:
        """Successful episodes to collect."""
        return self.config.shard_size(self.shard)


class _Collect(ShardJob[_Key, ShardUnit]):
    """A shard for every few episodes of a task."""

    name = "collect"
    advice = ", also with more attempts (max_attempts_per_episode=...)"

    def __init__(
        self,
        config: CollectionConfig,
        tasks: Sequence[Task],
        actors: Callable[[Task], Actor],
        writer: DatasetWriter,
    ) -> None:
        super().__init__(writer, config.num_workers)
        self._config, self._tasks = config, tasks
        self._actors = lru_cache(1)(actors)  # a task's shards follow one another
        first = {shard.task: shard for shard in reversed(writer.manifest.shards)}
        rows = read_episodes_of(writer.path, first.values()).select(["task", "expert"])
        self._known = {row["task"]: row["expert"] for row in rows.to_pylist()}
        self._same: dict[Task, bool] = {}

    def keys(self) -> Sequence[_Key]:
        return [(task, n) for task in self._tasks for n in range(self._config.num_shards)]

    def is_done(self, key: _Key) -> bool:
        task, shard = key
        return self.writer.has_part(task.id, shard) and self._is_same(task)

    def _is_same(self, task: Task) -> bool:
        """Whether the task's episodes are of the expert that there is now, if there is one."""
        if task not in self._same:
            try:
                expert = _expert_id(self._actors(task))
            except UserError:
                return True
            self._same[task] = expert == self._known.get(task.id, expert)
        return self._same[task]

    def unit(self, key: _Key) -> ShardUnit:
        task, shard = key
        return ShardUnit(self._config, task, shard, self.actor(task), self.writer.target)

    def actor(self, task: Task) -> Actor:
        """Returns what acts in a task.

        Raises:
            UserError: There is none, or the dataset's episodes are of another one.
        """
        actor = self._actors(task)
        if not self._is_same(task):
            raise UserError(
                f"The dataset's episodes are of expert {self._known[task.id]}, and now it is "
                f"{_expert_id(actor)}: collect from that one under another name (name=...)."
            )
        return actor

    @staticmethod
    def run(unit: ShardUnit, tell: Tell) -> Delivery:
        return unit.target.deliver(collect_shard(unit, tell))

    def size(self, key: _Key) -> int:
        return self._config.shard_size(key[1])

    def label(self, key: _Key) -> str:
        return f"{key[0].id} shard {key[1]}"


def collect(
    config: CollectionConfig, progress: Progress = SILENT, *, num_patterns: int = 1
) -> Path:
    """Stores ``num_episodes`` successful episodes of each task, on one or several ways.

    A shard appears whole or not at all, and depends on the configuration, the task and its number
    alone: a job that was killed continues with the shards that are missing, and ends with the same
    files as one that was not.

    Args:
        config: The job.
        progress: Told how far it is.
        num_patterns: Ways through free space, the expert's own included: for each of its episodes
            one more on each other way, if that succeeds and differs.

    Returns:
        The dataset's folder.

    Raises:
        ConfigError: Patterns of something else than experts in state mode.
        UserError: Some shards could not be filled; the others are stored.
    """
    check_patterns(config, num_patterns)
    if config.source == "human":  # its episodes are given, not planned: one shard holds them
        config = config.model_copy(update={"num_episodes_per_shard": config.num_episodes})
    path = Path(config.output_dir, "datasets", config.name)
    if config.experts:
        experts = Experts(config.experts, config.output_dir)
        tasks = experts.tasks(config.task)
        actors = seeing_state(experts.read) if num_patterns > 1 else experts.read
    else:
        tasks, actors = select_tasks(config.task or "all"), _demonstrations(config)
    with DatasetWriter(path, config=_identity(config, num_patterns)) as writer:
        job = _Collect(config, tasks, actors, writer)
        outcomes = [execute(job, progress)]
        if num_patterns > 1:
            outcomes.append(vary_shards(config, num_patterns, tasks, job.actor, writer, progress))
    write_card(path)
    for outcome in outcomes:
        outcome.check()
    return path


def collect_shard(unit: ShardUnit, tell: Tell) -> NewShard:
    """Returns the shard's episodes and the attempts they took.

    Raises:
        UserError: Too few attempts succeed, or what is to act is damaged.
    """
    config = unit.config
    scene = load_scene(unit.task, **config.sim.scene())
    on_episode = count_attempts(tell, unit.size)
    if config.source == "human":
        episodes, attempts = _replay(unit, scene, on_episode)
    else:
        policy, source = _policy(unit, scene)
        episodes, attempts = gather_shard(
            policy,
            scene,
            config,
            unit.shard,
            source=source,
            seed=config.seed,
            sim=config.sim,
            on_episode=on_episode,
        )
    return NewShard(episodes, unit.shard, _expert_id(unit.actor), attempts)


def _identity(config: CollectionConfig, num_patterns: int) -> dict[str, Any]:
    """What a dataset belongs to; its episodes say themselves which expert acted."""
    free = {"task", "experts", "num_workers", "output_dir", "max_attempts_per_episode"}
    if config.gaussian_actions == "mean":  # datasets of before say nothing of it
        free.add("gaussian_actions")
    own = {"collect": config.model_dump(mode="json", exclude=free)}
    return own | ({"num_patterns": num_patterns} if num_patterns > 1 else {})


def _expert_id(actor: Actor) -> str | None:
    return actor.id if isinstance(actor, StoredExpert) else None


def _demonstrations(config: CollectionConfig) -> Callable[[Task], Actor]:
    sources, _ = find_sources(config.task or "all", config.demonstrations)
    found = {source.task: source for source in sources}

    def read(task: Task) -> Actor:
        if task not in found:
            raise UserError(f"{task.id} has no human demonstration in '{config.demonstrations}'.")
        return found[task]

    return read


def _policy(unit: ShardUnit, scene: Scene) -> tuple[Policy, Source]:
    if isinstance(unit.actor, DemonstrationSource):
        return amplified_policy(unit.actor, scene, unit.config.action_noise), "amplified"
    actor = unit.actor.load()
    source = actor.policy.config.source
    if source == "gaussian_rl" and unit.config.gaussian_actions == "sampled":
        return unit.actor.load(explore=True), "gaussian_rl_sampled"
    return actor, source


def _replay(
    unit: ShardUnit, scene: Scene, on_episode: Callable[[Trajectory], None]
) -> tuple[list[Trajectory], int]:
    """Replays demonstrations in their order until enough of them have reached the goal."""
    assert isinstance(unit.actor, DemonstrationSource)
    config = unit.config
    demonstrations, _ = unit.actor.read_own(scene)
    kept: list[Trajectory] = []
    successes = 0
    for number, demonstration in enumerate(demonstrations, 1):
        episode = replay(demonstration, scene, config.sim, config.seed)
        on_episode(episode)
        successes += episode.success
        if episode.success or config.keep_failed:
            kept.append(episode)
        if successes == config.num_episodes:
            return kept, number
    raise UserError(
        f"Only {successes} of {len(demonstrations)} human demonstrations of {unit.task.id} reach "
        f"the goal in this simulator, and {config.num_episodes} are needed. Ask for fewer with "
        "num_episodes, or make more of them with source=amplified."
    )
