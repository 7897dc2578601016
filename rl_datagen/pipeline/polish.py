"""Best-of-N self-distillation: an expert clones its own quickest and smoothest successes.

Its noise differs from attempt to attempt, a reset costs nothing, and the mean over what it does
itself is smoother than any of it.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rl_datagen.algo.bc import clone_own
from rl_datagen.algo.selection import Row, best_row, is_reliable, merit
from rl_datagen.core.seeding import derive_seed
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.pipeline.engine import Summary
from rl_datagen.pipeline.run import Run, report_updates
from rl_datagen.pipeline.verdict import score
from rl_datagen.policy import ChunkActor, ChunkPolicy, load_policy, save_expert
from rl_datagen.report import mean_squared_jerk
from rl_datagen.rollout import PlannedEpisode, plan_episode, rollout


def polish(
    run: Run, stage: str, source: Path, target: Path, beside: Sequence[Trajectory] = ()
) -> Summary:
    """Distils a policy until it is reliable, and keeps the best of it and what came of it.

    The verdict looks at what it begins with, too: what is no better than that is not kept.

    Args:
        run: Its ``polish`` says how many rounds there are at most.
        stage: Names the random streams and the progress.
        source: Expert folder to begin with.
        target: Expert folder that is written.
        beside: Episodes that are cloned together with its own: what it was cloned from, of which
            it would forget a part. Attempts go on after success as long as these do.
    """
    settings, num_after = run.config.polish, num_steps_after_success(beside)
    policy, _, stats = load_policy(source, task=run.config.task)
    num_attempts = settings.num_init_states * settings.num_attempts
    policies, rows, num_env_steps = [policy], [], 0
    if settings.num_rounds:
        rows.append(_judged(run, stage, policies))
    for number in range(settings.num_rounds):
        part = f"of round {number + 1}"
        run.progress.start(stage, num_attempts, f"attempts {part}")
        attempts = _attempts(run, policies[-1], f"{stage}-{number}", num_after)
        num_env_steps += sum(len(episode) for episode in attempts)
        chosen = choose(attempts, settings.num_attempts)
        if not chosen:
            break
        run.progress.start(stage, settings.num_updates, f"gradient steps {part}")
        stream, report = f"{stage}-{number}", report_updates(run.progress)
        cloned = [*chosen, *beside]
        policies.append(clone_own(policies[-1], cloned, run.config, stream, report=report))
        rows.append(_judged(run, stage, policies))
        if any(is_reliable(row) for row in rows):
            break
    best: Any = best_row(rows) or {"iteration": 0}
    save_expert(target, policies[best["iteration"]], run.config, stats, {"polish": rows, **best})
    kept = {name.removeprefix("evaluation_"): value for name, value in best.items()}
    return {"round": kept.pop("iteration"), "env_steps": num_env_steps} | kept


def _judged(run: Run, stage: str, policies: Sequence[ChunkPolicy]) -> Row:
    """Returns the verdict on the last policy, whose round is how many came before it."""
    number = len(policies) - 1
    return {"iteration": number, **score(run, policies[-1], f"{stage}-{number}").columns()}


def choose(attempts: list[Trajectory], num_attempts: int) -> list[Trajectory]:
    """Returns the quickest and smoothest success of each init state that has one.

    Args:
        attempts: ``num_attempts`` of the first init state, then of the second, and so on.
        num_attempts: Episodes that start from the same init state.
    """
    groups = [attempts[i : i + num_attempts] for i in range(0, len(attempts), num_attempts)]
    good = [[episode for episode in group if episode.success] for group in groups]
    return [
        max(group, key=lambda e: merit(len(e), mean_squared_jerk(e.ee_pos)))
        for group in good
        if group
    ]


def num_steps_after_success(episodes: Sequence[Trajectory]) -> int:
    """Returns the env steps that most episodes go on after they first succeeded; 0 of none.

    What ends where the goal is first reached is the best of those that only pass through it, and
    whoever clones it aims at the edge.
    """
    after = [len(episode) - episode.num_steps_to_success for episode in episodes]
    return int(np.median(after)) if after else 0


def _attempts(run: Run, policy: ChunkPolicy, stream: str, num_after: int) -> list[Trajectory]:
    """Returns the attempts of one round in the order of their plan."""
    settings = run.config.polish
    plans = [
        _again(plan_episode(run.scene, stream, run.config.seed, n, None), attempt)
        for n in range(settings.num_init_states)
        for attempt in range(settings.num_attempts)
    ]
    limit = run.time_limit and run.time_limit + num_after
    done: dict[str, Trajectory] = {}
    for episode in rollout(
        varied(policy),
        run.scene,
        plans,
        source=run.config.policy.source,
        sim=run.config.sim.model_copy(update={"max_episode_steps": limit}),
        num_steps_after_success=num_after,
    ):
        done[episode.episode_id] = episode
        run.progress.advance(1, f"{sum(e.success for e in done.values())} of {len(done)} succeeded")
    return [done[plan.episode_id] for plan in plans]


def varied(policy: ChunkPolicy) -> ChunkActor:
    """Returns the policy with noise, without which all attempts from an init state are the same."""
    if policy.deterministic:
        return ChunkActor(policy, explore=True)
    warmer = copy(policy)
    warmer.evaluation_temperature = policy.sampling_temperature
    return ChunkActor(warmer)


def _again(plan: PlannedEpisode, attempt: int) -> PlannedEpisode:
    """Returns the same init state with noise of this attempt's own."""
    return replace(
        plan,
        episode_id=f"{plan.episode_id}-{attempt}",
        seed=derive_seed(plan.seed, attempt),
    )
