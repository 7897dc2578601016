"""How good an expert is, from init states that chose nothing."""

import time
from collections import Counter
from pathlib import Path

from rl_datagen.config import SimConfig
from rl_datagen.demos import load_human_demonstration, replay
from rl_datagen.labels import Labeller
from rl_datagen.policy import load_expert
from rl_datagen.report import measure_sources
from rl_datagen.rollout import Policy, plan_episode, plan_evaluation, rollout
from rl_datagen.sim import Scene, load_scene
from rl_datagen.tasks import get_task

import torch

NUM_DRAWN, NUM_COLLECTED = 100, 50


def judge(task: str, folder: Path, name: str) -> dict:
    """Rolls out an expert, its warm start and the human.

    Args:
        task: The expert's.
        folder: Of the task's experts.
        name: The expert's; ``-warm-start`` is added for the other one.
    """
    scene, drawn, shipped = draw_plans(task)
    human = replay(load_human_demonstration(scene.task), scene, SimConfig())
    return {
        "expert": _judge(folder / name, scene, drawn, shipped),
        "warm_start": {"drawn": _run(folder / f"{name}-warm-start", scene, drawn[:NUM_COLLECTED])},
        "human": _summary([human]),
    }


def judge_shipped(task: str, folder: Path, *, owner: str | None = None) -> dict:
    """Rolls out an expert from the task's shipped init states.

    Args:
        task: Where it acts.
        folder: The expert's.
        owner: Task that it is an expert of, if another one.
    """
    scene, _, shipped = draw_plans(task)
    return _run(folder, scene, shipped, owner)


def judge_expert(task: str, folder: Path) -> dict:
    """Rolls out an expert from newly drawn and from shipped init states."""
    return _judge(folder, *draw_plans(task))


def failure_causes(task: str, folder: Path) -> Counter[str]:
    """Says why an expert fails, where it does, from the newly drawn init states."""
    scene, drawn, _ = draw_plans(task)
    labeller = Labeller(scene)
    episodes = run_episodes(load_expert(folder, task=task), scene, drawn)
    failed = [episode for episode in episodes if not episode.success]
    return Counter(str(labeller.label(episode).failure) for episode in failed)


def _judge(folder: Path, scene: Scene, drawn: list, shipped: list) -> dict:
    return {"drawn": _run(folder, scene, drawn), "shipped": _run(folder, scene, shipped)}


def draw_plans(task: str) -> tuple[Scene, list, list]:
    scene = load_scene(get_task(task), "exact")
    drawn = [plan_episode(scene, "judge", 0, number, None) for number in range(NUM_DRAWN)]
    return scene, drawn, [plan_evaluation(scene, 0, i) for i in range(scene.num_init_states)]


def _run(folder: Path, scene: Scene, plans: list, owner: str | None = None) -> dict:
    actor = load_expert(folder, task=owner or scene.task.id)
    begin = time.process_time()
    episodes = run_episodes(actor, scene, plans)
    seconds = time.process_time() - begin
    step_ms = 1000 * seconds / sum(len(episode) for episode in episodes)
    return _summary(episodes) | {"env_step_ms": round(step_ms, 2)}


def run_episodes(actor: Policy, scene: Scene, plans: list) -> list:
    torch.set_num_threads(1)
    settings = {"source": "diffusion_rl", "sim": SimConfig(), "num_threads": 1}
    return list(rollout(actor, scene, plans, **settings))


def _summary(episodes: list) -> dict:
    """Success, and the quality of the first 50 successes."""
    good = [episode for episode in episodes if episode.success]
    row = {"n": len(episodes), "successes": len(good)}
    return row | quality_of(good[:NUM_COLLECTED])


def quality_of(episodes: list) -> dict[str, float]:
    """Returns length, jerk and the standard deviation of actions of episodes of one source.

    Without any: nothing.
    """
    if not episodes:
        return {}
    (quality,) = measure_sources(episodes)
    measures = ("length", "mean_squared_jerk", "action_std")
    estimates = {measure: quality.estimate(measure) for measure in measures}
    return {name: round(found.mean, 4) for name, found in estimates.items() if found}
