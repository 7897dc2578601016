"""A shard as a unit of work for Ray: what a worker is given, does and returns."""

import time
from dataclasses import dataclass
from typing import Any

from rl_datagen.collect.amplification import amplified_policy
from rl_datagen.collect.experts import StoredExpert
from rl_datagen.collect.gather import gather_shard
from rl_datagen.config import CollectionConfig
from rl_datagen.core.errors import UserError
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.demos import replay
from rl_datagen.demos.importing import DemonstrationSource
from rl_datagen.rollout import Policy
from rl_datagen.sim import Scene, load_scene
from rl_datagen.tasks import Task

Actor = StoredExpert | DemonstrationSource
"""What the episodes of a task are made from."""

_Episodes = tuple[list[Trajectory], int]


@dataclass
class Tally:
    """What a collection has done since it began.

    Attributes:
        num_attempts: Attempts that have ended.
        num_successes: Those that reached the goal; more than are stored, since attempts run side
            by side.
        num_steps: Env steps of all attempts.
        seconds: Since the beginning.
    """

    num_attempts: int = 0
    num_successes: int = 0
    num_steps: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        """Success and throughput, for a progress bar."""
        success = self.num_successes / max(self.num_attempts, 1)
        rate = self.num_steps / max(self.seconds, 1e-9)
        return f"{self.num_attempts} attempts, {success:.0%} succeeded, {rate:.0f} env steps/s"


class Counter:
    """The Ray actor that workers report their attempts to."""

    def __init__(self) -> None:
        self._tally, self._begin = Tally(), time.monotonic()

    def add(self, success: bool, num_steps: int) -> None:
        """Counts an attempt."""
        self._tally.num_attempts += 1
        self._tally.num_successes += success
        self._tally.num_steps += num_steps

    def read(self) -> Tally:
        """Returns what was counted."""
        self._tally.seconds = time.monotonic() - self._begin
        return self._tally


@dataclass(frozen=True)
class ShardUnit:
    """A shard that is to be collected.

    Attributes:
        config: The job.
        task: The task.
        shard: The shard's number in its task.
        actor: What acts.
        counter: Handle of a ``Counter`` that is told of each attempt.
    """

    config: CollectionConfig
    task: Task
    shard: int
    actor: Actor
    counter: Any

    def report(self, episode: Trajectory) -> None:
        """Counts an attempt."""
        self.counter.add.remote(episode.success, len(episode))


def collect_shard(unit: ShardUnit) -> _Episodes | str:
    """Returns the shard's episodes and the attempts they took, or a sentence that says why not."""
    config = unit.config
    scene = load_scene(unit.task, **config.sim.scene())
    try:
        if config.source == "human":
            return _replay(unit, scene)
        policy, source = _policy(unit, scene)
        return gather_shard(
            policy,
            scene,
            config,
            unit.shard,
            source=source,
            seed=config.seed,
            sim=config.sim,
            on_episode=unit.report,
        )
    except UserError as error:
        return str(error)


def _policy(unit: ShardUnit, scene: Scene) -> tuple[Policy, Source]:
    if isinstance(unit.actor, DemonstrationSource):
        return amplified_policy(unit.actor, scene, unit.config.action_noise), "amplified"
    actor = unit.actor.load()
    return actor, actor.policy.config.source


def _replay(unit: ShardUnit, scene: Scene) -> _Episodes:
    """Replays demonstrations in their order until enough of them have reached the goal."""
    assert isinstance(unit.actor, DemonstrationSource)
    config = unit.config
    demonstrations, _ = unit.actor.read(scene)
    kept: list[Trajectory] = []
    successes = 0
    for number, demonstration in enumerate(demonstrations, 1):
        episode = replay(demonstration, scene, config.sim, config.seed)
        unit.report(episode)
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
