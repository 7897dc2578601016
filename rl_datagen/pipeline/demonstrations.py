"""What an expert clones: amplified demonstrations, or the episodes of a dataset."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from rl_datagen.core.errors import UserError
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import AmplifiedPolicy, load_human_demonstration, replay
from rl_datagen.jobs.amplify import with_time_limit
from rl_datagen.pipeline.engine import Summary
from rl_datagen.pipeline.run import COMPILES, AttemptCounter, Run
from rl_datagen.rollout import gather, held_back_indices, plan_attempt


def demonstrations(run: Run) -> Summary:
    """Stage 1: replays and amplifies the human demonstration, or takes a dataset's episodes."""
    num_episodes = run.config.demos.num_episodes * run.scale
    run.progress.start("demonstrations", num_episodes, "episodes")
    run.progress.say(COMPILES)
    dataset = run.config.demos.dataset
    with DatasetWriter(run.demos, config=run.settings) as writer:
        if dataset is None:
            human = replay(load_human_demonstration(run.task), run.scene, run.config.sim)
            writer.append([human], num_attempts=1)
            episodes, attempts = _amplify(run, num_episodes)
        else:
            episodes = _take(run, Path(dataset), num_episodes)
            attempts = len(episodes)
        writer.append(episodes, num_attempts=attempts)
    return {
        "episodes": len(episodes),
        "attempts": attempts,
        "length_mean": float(np.mean([e.num_steps_to_success for e in episodes])),
    }


def cloned_episodes(run: Run) -> list[Trajectory]:
    """Returns what stage 1 has left to be cloned."""
    taken = run.config.demos.dataset is not None
    return [t for t in read_trajectories(run.demos) if taken or t.source == "amplified"]


def _num_shipped(run: Run) -> int:
    """The first so many shipped init states are none of those that evaluation starts from."""
    held_back = held_back_indices(run.scene, run.config)
    return min(run.config.demos.num_shipped_init_states, held_back.start)


def _amplify(run: Run, num_episodes: int) -> tuple[Sequence[Trajectory], int]:
    settings, scene, num_shipped = run.config.demos, run.scene, _num_shipped(run)
    policy = AmplifiedPolicy([load_human_demonstration(run.task)], scene, settings.action_noise)
    num_after = policy.num_steps_after_success(settings.num_steps_after_success)
    return gather(
        policy,
        scene,
        lambda number: plan_attempt(scene, run.config.seed, number, num_shipped=num_shipped),
        num_episodes=num_episodes,
        max_attempts=num_episodes * settings.max_attempts_per_episode,
        source="amplified",
        sim=with_time_limit(policy, scene, run.config.sim, num_after),
        on_episode=AttemptCounter(run.progress).until(num_episodes),
        num_steps_after_success=num_after,
    )


def _take(run: Run, dataset: Path, num_episodes: int) -> Sequence[Trajectory]:
    """Returns the first successes of a dataset that start from no init state of the evaluation.

    Raises:
        UserError: There are too few.
    """
    num_shipped = _num_shipped(run)
    usable = (
        episode
        for episode in read_trajectories(dataset, task=run.task.id)
        if episode.success
        and (episode.init_state_index is None or episode.init_state_index < num_shipped)
    )
    episodes = list(islice(usable, num_episodes))
    if len(episodes) < num_episodes:
        raise UserError(
            f"demos.dataset={dataset} has {len(episodes)} successful episodes of {run.task.id} "
            f"that start from none of the init states that the evaluation starts from, and "
            f"{num_episodes} are to be cloned. Collect more (`rl-datagen collect`, "
            "init_states=drawn), or lower demos.num_episodes."
        )
    for episode in episodes:
        run.progress.advance(1, episode.episode_id)
    return episodes
