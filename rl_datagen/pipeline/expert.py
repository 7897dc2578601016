"""An expert in seven stages; each takes a run, leaves files and returns what it found."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Bool

from rl_datagen.algo.bc import warm_start
from rl_datagen.algo.checkpoint import LEARNING_CURVE
from rl_datagen.algo.fine_tune import BEST, fine_tune
from rl_datagen.config import Config
from rl_datagen.core.compare import difference_lines
from rl_datagen.core.errors import UserError
from rl_datagen.core.progress import Progress
from rl_datagen.core.storage import write_json
from rl_datagen.data.normalization import NormStats
from rl_datagen.pipeline.demonstrations import cloned_episodes, demonstrations
from rl_datagen.pipeline.engine import Summary
from rl_datagen.pipeline.evaluation import evaluate
from rl_datagen.pipeline.polish import polish
from rl_datagen.pipeline.run import AttemptCounter, Run, report_updates
from rl_datagen.pipeline.tracked import run_alone
from rl_datagen.pipeline.verdict import score
from rl_datagen.policy import ChunkPolicy, load_expert, load_policy, save_expert
from rl_datagen.policy.release import released
from rl_datagen.runtime.cluster import ray_session
from rl_datagen.runtime.room import actors, room_for, settings_of_actors


def clone(run: Run) -> Summary:
    """Stage 2: behaviour cloning of the demonstrations."""
    num_updates = run.config.warm_start.num_updates * run.scale
    run.progress.start("warm_start", num_updates, "gradient steps")
    episodes = cloned_episodes(run)
    if run.config.policy.mode == "pixel":
        run.progress.say("draws the images to learn from")
    section = run.config.warm_start.model_copy(update={"num_updates": num_updates})
    config = run.config.model_copy(update={"warm_start": section})
    policy, stats, metrics = warm_start(
        episodes,
        config,
        ignored=_ignored(run),
        positions=run.scene.state_layout.positions,
        initial=_initial(run),
        report=report_updates(run.progress),
        checkpoint=run.folder / "warm_start.pt",
    )
    save_expert(run.warm_expert, policy, run.config, stats, metrics)
    return dict(metrics)


def _initial(run: Run) -> tuple[ChunkPolicy, NormStats] | None:
    """Returns the policy that cloning begins with, if it is not a new one."""
    if (name := run.config.warm_start.expert) is None:
        return None
    policy, config, stats = load_policy(released(name))
    if lines := difference_lines(_network(config), _network(run.config)):
        raise UserError(
            f"warm_start.expert='{name}' has another policy than this configuration: "
            f"{'; '.join(lines)}. Set these as the expert has them, or give another expert."
        )
    return policy, stats


def _network(config: Config) -> dict[str, Any]:
    """Returns what weights are made for; how much noise they act with is another matter."""
    noise = {"sampling_eta", "sampling_temperature", "evaluation_eta", "evaluation_temperature"}
    return {"policy": config.policy.model_dump(mode="json", exclude=noise)}


def _ignored(run: Run) -> Bool[np.ndarray, " Do"] | None:
    """Marks the numbers of objects that are none of the task's business."""
    if run.config.policy.objects == "all":
        return None
    return ~run.scene.state_layout.entries_of(run.scene.objects_of_interest)


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
            demonstrations=cloned_episodes(run) if algo.bc_loss_coeff else (),
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
    """Stage 4: the warm start clones its own best episodes, and the demonstrations again."""
    demos = cloned_episodes(run)
    return polish(run, "polish_before", run.warm_expert, run.polished, beside=demos)


def polish_after(run: Run) -> Summary:
    """Stage 6: so does the fine-tuned policy, if there was any, without the demonstrations.

    What it does has left them behind.
    """
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


def train(
    config: Config, progress: Progress, *, fresh: bool = False, track: Sequence[str] = ()
) -> Run:
    """Makes an expert.

    Args:
        config: As for ``quickstart``, which can resume from here.
        progress: Told how far the run is.
        fresh: Delete what an earlier run of this name left, its dataset too, and start over.
        track: Some of ``runtime.tracking.TRACKERS``.

    Returns:
        The finished run.

    Raises:
        ConfigError: The output folder belongs to another configuration.
        UserError: Another process is at this run.
    """
    run = Run(config, progress)
    run_alone(run, STAGES, fresh=fresh, track=track)
    return run
