"""Patterns: for each collected episode one more on each other way than the expert's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rl_datagen.config import CollectionConfig
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.core.progress import Progress
from rl_datagen.data.dataset import ShardReader, read_episodes_of
from rl_datagen.data.files import Delivery, NewShard, Target
from rl_datagen.data.manifest import Shard
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.jobs.shards import ShardJob
from rl_datagen.jobs.stored import StoredExpert
from rl_datagen.rollout import count_attempts, vary
from rl_datagen.runtime.executor import Outcome, Tell, execute
from rl_datagen.sim import load_scene
from rl_datagen.tasks import Task


def vary_shards(
    config: CollectionConfig,
    num_patterns: int,
    tasks: Sequence[Task],
    actor: Callable[[Task], object],
    writer: DatasetWriter,
    progress: Progress,
) -> Outcome:
    """Adds a shard of other patterns for every collected one that has none.

    Args:
        config: The collection.
        num_patterns: The expert's own way included.
        tasks: Whose shards are varied.
        actor: Returns what acts in a task.
        writer: Of the dataset, which has the collected shards.
        progress: Told how far it is.
    """
    return execute(_Vary(config, num_patterns, tasks, actor, writer), progress)


def seeing_state(read: Callable[[Task], StoredExpert]) -> Callable[[Task], StoredExpert]:
    """Returns what reads a task's expert, and refuses one that sees cameras."""

    def checked(task: Task) -> StoredExpert:
        expert = read(task)
        sees = dict(expert.settings.get("policy") or {}).get("encoder", "state")
        if sees != "state":
            raise ConfigError(
                f"{task.id}'s expert sees cameras (policy.encoder={sees}), and only one that sees "
                "the simulator's state takes other ways than its own: give experts in state mode, "
                "or leave --patterns out."
            )
        return expert

    return checked


def check_patterns(config: CollectionConfig, num_patterns: int) -> None:
    """Refuses a number of patterns that there is not.

    Raises:
        ConfigError: It is below one, or what acts has one way only, or none that it keeps to.
    """
    if num_patterns < 1:
        raise ConfigError(f"patterns={num_patterns}: 1 (the expert's own way) or more are allowed.")
    if num_patterns > 1 and config.experts is None:
        raise ConfigError(
            f"patterns={num_patterns} with source={config.source}: only trained experts take other "
            "ways than their own. Give experts=..., such as experts=release, or leave patterns out."
        )
    if num_patterns > 1:
        check_mean(config)


def check_mean(config: CollectionConfig) -> None:
    """Refuses experts that sample, where they go on from others' episodes.

    Raises:
        ConfigError: They are to.
    """
    if config.gaussian_actions != "mean":
        raise ConfigError(
            f"gaussian_actions={config.gaussian_actions!r} is for episodes that an expert makes on "
            "its own, not for recoveries and patterns: leave it out."
        )


_Key = tuple[Task, int]  # and the number of a collected shard


@dataclass(frozen=True, eq=False)
class _Unit:
    """A shard's episodes, to be varied."""

    config: CollectionConfig
    num_patterns: int
    task: Task
    origins: tuple[Trajectory, ...]
    part: int
    expert: StoredExpert
    target: Target


class _Vary(ShardJob[_Key, _Unit]):
    """A shard of other patterns for every collected one, of the same dataset."""

    name = "vary"
    noun = "episodes of other patterns"

    def __init__(
        self,
        config: CollectionConfig,
        num_patterns: int,
        tasks: Sequence[Task],
        actor: Callable[[Task], object],
        writer: DatasetWriter,
    ) -> None:
        super().__init__(writer, config.num_workers)
        self._config, self._num_patterns, self._actor = config, num_patterns, actor
        shards = {(shard.task, shard.part): shard for shard in writer.manifest.shards}
        self._shards: dict[_Key, Shard] = {
            (task, part): shards[task.id, part]
            for task in tasks
            for part in range(config.num_shards)
            if (task.id, part) in shards
        }

    def keys(self) -> Sequence[_Key]:
        return list(self._shards)

    def is_done(self, key: _Key) -> bool:
        return self.writer.has_part(key[0].id, self._part(key))

    def unit(self, key: _Key) -> _Unit:
        expert = self._actor(key[0])
        assert isinstance(expert, StoredExpert)  # check_patterns
        shard = self._shards[key]
        rows = read_episodes_of(self.folder, [shard]).select(["episode_id", "success"]).to_pylist()
        names = [row["episode_id"] for row in rows if row["success"]]
        origins = tuple(map(ShardReader(self.folder, shard).read, names))
        what = (self._config, self._num_patterns, key[0], origins, self._part(key))
        return _Unit(*what, expert, self.writer.target)

    @staticmethod
    def run(unit: _Unit, tell: Tell) -> Delivery:
        wanted = len(unit.origins) * (unit.num_patterns - 1)
        episodes, attempts = vary(
            unit.expert.load(),
            load_scene(unit.task, **unit.config.sim.scene()),
            unit.origins,
            unit.num_patterns,
            sim=unit.config.sim,
            on_episode=count_attempts(tell, wanted),
        )
        if not episodes:
            raise UserError(f"none of {attempts} detoured episodes reached the goal.")
        return unit.target.deliver(NewShard(episodes, unit.part, unit.expert.id, attempts))

    def size(self, key: _Key) -> int:
        return self._config.shard_size(key[1]) * (self._num_patterns - 1)

    def label(self, key: _Key) -> str:
        return f"{key[0].id} shard {self._part(key)}"

    def _part(self, key: _Key) -> int:
        """Their numbers follow those of the collected ones."""
        return self._config.num_shards + key[1]
