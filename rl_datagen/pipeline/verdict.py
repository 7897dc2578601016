"""Rolls a policy out until it is known to be reliable, or not to be."""

from collections.abc import Sequence

import numpy as np

from rl_datagen.algo.selection import Score
from rl_datagen.core.statistics import SequentialTest
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.pipeline.run import Run
from rl_datagen.policy import ChunkActor, ChunkPolicy
from rl_datagen.report import mean_squared_jerk
from rl_datagen.rollout import plan_episode, rollout

_WAVE = 12  # episodes side by side; a weak policy is found out by the first ones


def score(run: Run, policy: ChunkPolicy, stream: str) -> Score:
    """Returns what the sequential test says of a policy, and how quick and smooth it is.

    Episodes run in complete waves: those that end first are the short, successful ones. None of
    their init states is trained or evaluated on.

    Args:
        run: Its ``verdict`` says when a policy is reliable.
        policy: Acts with the sampler that collects.
        stream: Names the init states. Every verdict has its own, so that no policy is kept for
            those that it was lucky on.
    """
    settings, scene = run.config.verdict, run.scene
    episodes: list[Trajectory] = []
    while len(episodes) < settings.max_episodes:
        numbers = range(len(episodes), min(len(episodes) + _WAVE, settings.max_episodes))
        plans = [
            plan_episode(scene, f"verdict-{stream}", run.config.seed, n, None) for n in numbers
        ]
        for episode in rollout(
            ChunkActor(policy),
            scene,
            plans,
            source=run.config.policy.source,
            sim=run.config.sim,
            num_simulators=_WAVE,
        ):
            episodes.append(episode)
            good = sum(each.success for each in episodes)
            run.progress.say(f"judges the policy: {good} of {len(episodes)} episodes succeeded")
        if score_of(episodes, settings.test).verdict != "undecided":
            break
    return score_of(episodes, settings.test)


def score_of(episodes: Sequence[Trajectory], test: SequentialTest) -> Score:
    """Returns what some episodes of a policy say of it."""
    good = [episode for episode in episodes if episode.success]
    return Score(
        success_rate=len(good) / len(episodes),
        num_episodes=len(episodes),
        verdict=test.verdict(len(good), len(episodes)),
        success_len_mean=float(np.mean([len(episode) for episode in good])) if good else None,
        jerk=float(np.mean([mean_squared_jerk(e.ee_pos) for e in good])) if good else None,
    )
