"""Demonstrations for many tasks from one human demonstration each, as Ray tasks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rl_datagen.cluster import map_units, ray_session
from rl_datagen.collect.gather import gather, plan_episode
from rl_datagen.config import AmplifyConfig, SimConfig
from rl_datagen.core.errors import SimulatorError, UserError
from rl_datagen.data.card import write_card
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import AmplifiedPolicy
from rl_datagen.demos.importing import DemonstrationSource, find_sources
from rl_datagen.rollout import PlannedEpisode
from rl_datagen.sim import Scene, load_scene


@dataclass(frozen=True)
class AmplifiedTask:
    """What became of one task.

    Attributes:
        task: Task id.
        num_episodes: Successful episodes stored.
        num_attempts: Episodes run for them.
    """

    task: str
    num_episodes: int
    num_attempts: int


def amplify(
    config: AmplifyConfig,
    *,
    on_start: Callable[[int], None] = lambda _: None,
    on_task: Callable[[AmplifiedTask], None] = lambda _: None,
) -> Path:
    """Makes ``num_episodes`` successful episodes of each task, one shard per task.

    A task's shard appears whole or not at all and depends on the configuration alone, so a job that
    was killed continues with the tasks that are missing.

    Args:
        config: The job.
        on_start: Called with the number of tasks that are still to do.
        on_task: Called after each task.

    Returns:
        The dataset's folder.

    Raises:
        UserError: Some task has fewer episodes than asked for; the others are stored.
    """
    path = Path(config.output_dir, "demos", config.name)
    # Selecting further tasks later, or other workers, continues the same dataset.
    identity = config.model_dump(mode="json", exclude={"task", "num_workers", "output_dir"})
    with DatasetWriter(path, config={"demos amplify": identity}) as writer:
        done = {shard.task for shard in writer.manifest.shards}
        sources, _ = find_sources(config.task, config.demonstrations)
        missing = [source for source in sources if source.task.id not in done]
        on_start(len(missing))
        errors = _run(config, missing, writer, on_task) if missing else []
        shards = writer.manifest.shards
    write_card(path)
    short = [f"{s.task} ({s.num_episodes})" for s in shards if s.num_episodes < config.num_episodes]
    if short or errors:
        few = f"have fewer than {config.num_episodes} successful episodes: {', '.join(short)}. "
        raise UserError(
            f"{len(short) + len(errors)} task(s) are incomplete; the others are in {path}. "
            f"{f'{len(short)} {few}' if short else ''}{' '.join(errors)} Allow more attempts "
            "under another name (max_attempts_per_episode=..., name=...), or import more human "
            "demonstrations of these tasks."
        )
    return path


def _run(
    config: AmplifyConfig,
    missing: list[DemonstrationSource],
    writer: DatasetWriter,
    on_task: Callable[[AmplifiedTask], None],
) -> list[str]:
    """Amplifies the tasks that are missing; returns a sentence for each that failed."""
    errors: list[str] = []
    with ray_session(writer.path / ".ray.log", config.num_workers):
        units = [(config, source) for source in missing]
        for (_, source), result in map_units(amplify_task, units, config.num_workers):
            task = source.task.id
            if isinstance(result, SimulatorError):
                errors.append(f"{task} failed: {result.message}.")
            else:
                episodes, num_attempts = result
                if episodes:
                    writer.append(episodes, num_attempts=num_attempts)
                else:
                    errors.append(f"{task}: none of {num_attempts} attempts succeeded.")
                on_task(AmplifiedTask(task, len(episodes), num_attempts))
    return errors


def amplify_task(unit: tuple[AmplifyConfig, DemonstrationSource]) -> tuple[list[Trajectory], int]:
    """Returns the successful episodes of one task, and the attempts they took."""
    config, source = unit
    scene = load_scene(source.task, **config.sim.scene())
    policy = amplified_policy(source, scene, config.action_noise)
    num_after = policy.num_steps_after_success(config.num_steps_after_success)
    return gather(
        policy,
        scene,
        lambda number: plan_attempt(
            scene, config.seed, number, num_shipped=config.num_shipped_init_states
        ),
        num_episodes=config.num_episodes,
        max_attempts=config.num_episodes * config.max_attempts_per_episode,
        source="amplified",
        sim=with_time_limit(policy, scene, config.sim, num_after),
        allow_fewer=True,
        num_steps_after_success=num_after,
    )


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


def plan_attempt(scene: Scene, seed: int, number: int, *, num_shipped: int) -> PlannedEpisode:
    """Returns an attempt: from a shipped init state and from a newly drawn one in turn.

    Args:
        scene: The task.
        seed: Of the job.
        number: Of the attempt, from 0.
        num_shipped: Shipped init states that may serve, once each: the first ones.
    """
    index, drawn = divmod(number, 2)
    shipped = None if drawn or index >= num_shipped else index
    return plan_episode(scene, "amplified", seed, number, shipped)
