"""An expert in seven stages; each takes a run, leaves files and returns what it found."""

import os
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
from jaxtyping import Bool

from rl_datagen.algo.bc import warm_start
from rl_datagen.algo.checkpoint import LEARNING_CURVE
from rl_datagen.algo.fine_tune import BEST, fine_tune
from rl_datagen.config import Config
from rl_datagen.core.progress import Progress
from rl_datagen.core.storage import write_json
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.demos import AmplifiedPolicy, load_human_demonstration, replay
from rl_datagen.jobs.amplify import with_time_limit
from rl_datagen.pipeline.engine import Summary
from rl_datagen.pipeline.evaluation import evaluate
from rl_datagen.pipeline.polish import polish
from rl_datagen.pipeline.run import COMPILES, AttemptCounter, Run, report_updates, run_alone
from rl_datagen.pipeline.verdict import score
from rl_datagen.policy import load_expert, load_policy, save_expert
from rl_datagen.rollout import gather, held_back_indices, plan_attempt
from rl_datagen.runtime.cluster import ray_session
from rl_datagen.runtime.room import actors, room_for, settings_of_actors


def demonstrations(run: Run) -> Summary:
    """Stage 1: replays the human demonstration and amplifies it."""
    settings = run.config.demos
    num_episodes = settings.num_episodes * run.scale
    run.progress.start("demonstrations", num_episodes, "episodes")
    run.progress.say(COMPILES)
    scene = run.scene
    human = load_human_demonstration(run.task)
    policy = AmplifiedPolicy([human], scene, settings.action_noise)
    num_after = policy.num_steps_after_success(settings.num_steps_after_success)
    num_shipped = min(settings.num_shipped_init_states, held_back_indices(scene, run.config).start)
    episodes, attempts = gather(
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
    with DatasetWriter(run.demos, config=run.settings) as writer:
        writer.append([replay(human, scene, run.config.sim)], num_attempts=1)
        writer.append(episodes, num_attempts=attempts)
    return {
        "episodes": len(episodes),
        "attempts": attempts,
        "length_mean": float(np.mean([e.num_steps_to_success for e in episodes])),
    }


def clone(run: Run) -> Summary:
    """Stage 2: behaviour cloning of the amplified demonstrations."""
    num_updates = run.config.warm_start.num_updates * run.scale
    run.progress.start("warm_start", num_updates, "gradient steps")
    episodes = _amplified(run)
    section = run.config.warm_start.model_copy(update={"num_updates": num_updates})
    config = run.config.model_copy(update={"warm_start": section})
    policy, stats, metrics = warm_start(
        episodes, config, ignored=_ignored(run), report=report_updates(run.progress)
    )
    save_expert(run.warm_expert, policy, run.config, stats, metrics)
    return dict(metrics)


def _ignored(run: Run) -> Bool[np.ndarray, " Do"] | None:
    """Marks the numbers of objects that are none of the task's business."""
    if run.config.policy.objects == "all":
        return None
    return ~run.scene.state_layout.entries_of(run.scene.objects_of_interest)


def _amplified(run: Run) -> list[Trajectory]:
    return [t for t in read_trajectories(run.demos) if t.source == "amplified"]


def evaluate_before(run: Run) -> Summary:
    """Stage 3: success of the warm start on held-back init states."""
    return _evaluate(run, "before", str(run.warm_expert))


def fine_tune_expert(run: Run) -> Summary:
    """Stage 5: PPO, on env runners that are Ray actors."""
    algo = run.config.algo
    if _is_reliable(run):
        policy, _, stats = load_policy(run.polished, task=run.config.task)
        save_expert(run.expert, policy, run.config, stats, run.markers.summary("polish_before"))
        write_json(run.expert / LEARNING_CURVE, [])
        return {"iterations": 0, "env_steps": 0}
    run.progress.start("dppo", algo.num_iterations, "iterations")
    run.progress.say("starts Ray")
    cores = max(os.cpu_count() or 1, algo.num_env_runners + algo.num_learners)
    with (
        ray_session(run.folder / "ray.log", cores),
        room_for(actors(algo), settings_of_actors(algo)),
    ):
        metrics = fine_tune(
            run.config,
            run.polished,
            run.expert,
            evaluate=lambda policy, iteration: score(run, policy, str(iteration)),
            demonstrations=_amplified(run) if algo.bc_loss_coeff else (),
            report=lambda _, row: run.progress.iteration(row),
            say=run.progress.say if run.is_watched else None,
            should_stop=run.should_stop,
            max_episode_steps=run.time_limit,
        )
    summary = {"iterations": metrics["num_iterations"], "env_steps": metrics["num_env_steps"]}
    return summary | ({"stopped": True} if metrics["stopped"] else {})


def _is_reliable(run: Run) -> bool:
    """Whether the polished warm start needs no fine-tuning, and is the expert as it is."""
    algo = run.config.algo
    if algo.patience != 0 or not algo.evaluation_interval:
        return False
    return run.markers.summary("polish_before").get("verdict") == "reliable"


def polish_before(run: Run) -> Summary:
    """Stage 4: the warm start clones its own best episodes."""
    return polish(run, "polish_before", run.warm_expert, run.polished)


def polish_after(run: Run) -> Summary:
    """Stage 6: so does the fine-tuned policy, if there was fine-tuning."""
    if not run.markers.summary("dppo", "iterations")["iterations"]:
        return {}
    return polish(run, "polish_after", run.expert / BEST, run.expert)


def evaluate_after(run: Run) -> Summary:
    """Stage 7: success of the expert on the same held-back init states."""
    return _evaluate(run, "after", str(run.expert))


def _evaluate(run: Run, moment: str, expert: str) -> Summary:
    run.progress.start(f"evaluate_{moment}", run.config.evaluation.num_episodes, "episodes")
    return asdict(
        evaluate(
            load_expert(expert, task=run.config.task),
            run.scene,
            run.config,
            run.evaluation(moment),
            on_episode=AttemptCounter(run.progress).each,
        )
    )


STAGES: dict[str, Callable[[Run], Summary]] = {
    "demonstrations": demonstrations,
    "warm_start": clone,
    "evaluate_before": evaluate_before,
    "polish_before": polish_before,
    "dppo": fine_tune_expert,
    "polish_after": polish_after,
    "evaluate_after": evaluate_after,
}
"""In their order."""


def train(config: Config, progress: Progress, *, fresh: bool = False) -> Run:
    """Makes an expert.

    Args:
        config: As for ``quickstart``, which can go on from here.
        progress: Told how far the run is.
        fresh: Delete what an earlier run of this name left, its dataset too, and start over.

    Returns:
        The finished run.

    Raises:
        ConfigError: The output folder belongs to another configuration.
        UserError: Another process is at this run.
    """
    run = Run(config, progress)
    run_alone(run, STAGES, fresh=fresh)
    return run
