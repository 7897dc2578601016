"""Amplification: many demonstrations of a task from one human demonstration, for many tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_datagen.config import AmplifyConfig, SimConfig
from rl_datagen.core.errors import UserError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.card import write_card
from rl_datagen.data.files import Delivery, NewShard, Target
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import AmplifiedPolicy
from rl_datagen.demos.sources import DemonstrationSource, find_sources
from rl_datagen.jobs.shards import ShardJob
from rl_datagen.rollout import count_attempts, gather, plan_attempt
from rl_datagen.runtime.executor import Tell, execute
from rl_datagen.sim import Scene, load_scene


@dataclass(frozen=True)
class _Unit:
    config: AmplifyConfig
    source: DemonstrationSource
    target: Target


class _Amplify(ShardJob[DemonstrationSource, _Unit]):
    """A shard for each task; with fewer episodes than asked for if attempts were used up."""

    name = "amplify"

    def __init__(self, config: AmplifyConfig, writer: DatasetWriter) -> None:
        super().__init__(writer, config.num_workers)
        self._config = config
        self._sources, _ = find_sources(config.task, config.demonstrations)

    def keys(self) -> Sequence[DemonstrationSource]:
        return self._sources

    def is_done(self, key: DemonstrationSource) -> bool:
        return self.writer.has_part(key.task.id, 0)

    def unit(self, key: DemonstrationSource) -> _Unit:
        return _Unit(self._config, key, self.writer.target)

    @staticmethod
    def run(unit: _Unit, tell: Tell) -> Delivery:
        return unit.target.deliver(amplify_task(unit.config, unit.source, tell))

    def size(self, key: DemonstrationSource) -> int:
        return self._config.num_episodes

    def label(self, key: DemonstrationSource) -> str:
        return key.task.id


def amplify(config: AmplifyConfig, progress: Progress = SILENT) -> Path:
    """Makes ``num_episodes`` successful episodes of each task, one shard per task.

    A task's shard appears whole or not at all and depends on the configuration alone, so a job that
    was killed continues with the tasks that are missing.

    Args:
        config: The job.
        progress: Told how far it is.

    Returns:
        The dataset's folder.

    Raises:
        UserError: Some task has fewer episodes than asked for; the others are stored.
    """
    path = Path(config.output_dir, "demos", config.name)
    # Selecting further tasks later, or other workers, continues the same dataset.
    identity = config.model_dump(mode="json", exclude={"task", "num_workers", "output_dir"})
    with DatasetWriter(path, config={"demos amplify": identity}) as writer:
        failed = execute(_Amplify(config, writer), progress).problems
        shards = writer.manifest.shards
    write_card(path)
    short = [f"{s.task} ({s.num_episodes})" for s in shards if s.num_episodes < config.num_episodes]
    if short or failed:
        few = f"have fewer than {config.num_episodes} successful episodes: {', '.join(short)}. "
        raise UserError(
            f"{len(short) + len(failed)} task(s) are incomplete; the others are in {path}. "
            f"{f'{len(short)} {few}' if short else ''}{' '.join(failed)} Allow more attempts "
            "under another name (max_attempts_per_episode=..., name=...), or import more human "
            "demonstrations of these tasks."
        )
    return path


def amplify_task(config: AmplifyConfig, source: DemonstrationSource, tell: Tell) -> NewShard:
    """Returns the successful episodes of one task.

    Raises:
        UserError: No attempt succeeded, or no demonstration is sound.
    """
    scene = load_scene(source.task, **config.sim.scene())
    policy = amplified_policy(source, scene, config.action_noise)
    num_after = policy.num_steps_after_success(config.num_steps_after_success)
    episodes, num_attempts = gather(
        policy,
        scene,
        lambda number: plan_attempt(
            scene, config.seed, number, num_shipped=config.num_shipped_init_states
        ),
        num_episodes=config.num_episodes,
        max_attempts=config.num_episodes * config.max_attempts_per_episode,
        source="amplified",
        sim=with_time_limit(policy, scene, config.sim, num_after),
        on_episode=count_attempts(tell, config.num_episodes),
        allow_fewer=True,
        num_steps_after_success=num_after,
    )
    if not episodes:
        raise UserError(f"None of {num_attempts} attempts succeeded.")
    return NewShard(episodes, part=0, num_attempts=num_attempts)


def with_time_limit(
    policy: AmplifiedPolicy, scene: Scene, sim: SimConfig, num_steps_after_success: int
) -> SimConfig:
    """Returns the settings with the time limit that attempts need, at most the benchmark's."""
    benchmark = sim.max_episode_steps or scene.task.max_episode_steps
    limit = policy.time_limit(benchmark, num_steps_after_success)
    return sim.model_copy(update={"max_episode_steps": limit})


def amplified_policy(
    source: DemonstrationSource, scene: Scene, action_noise: float
) -> AmplifiedPolicy:
    """Returns what acts out a task's human demonstrations in new init states.

    Raises:
        UserError: None of them is sound.
    """
    demonstrations, problems = source.read(scene)
    if not demonstrations:
        raise UserError(
            f"{source.task.id} has no sound demonstration: {' '.join(problems[:3])} Put "
            f"{source.path} right, or take demonstrations=bundled."
        )
    return AmplifiedPolicy(demonstrations, scene, action_noise)
