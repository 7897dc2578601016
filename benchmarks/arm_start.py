"""How much does an expert depend on where the arm starts?

What it shows: success of released experts from newly drawn init states and from LIBERO's shipped
ones, as they are and with the arm where LIBERO's reset puts it, which always is the same place.

How to run it (a few core minutes a task)::

    python benchmarks/arm_start.py --tasks TASK[,TASK...]

Results to expect: a line per task, and ``RESULT`` with all of them and ``shipped_spread``: least,
median and largest standard deviation of a joint in a task's shipped init states, of all 130, rad.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from judging import draw_plans, run_episodes
from rl_datagen.policy import load_expert
from rl_datagen.rollout import PlannedEpisode
from rl_datagen.sim import Scene
from rl_datagen.sim.scene import load_init_states
from rl_datagen.tasks import TASKS, select_tasks

import numpy as np

RELEASE = Path(__file__).parent.parent / "release/experts"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", required=True)
    arguments = parser.parse_args()
    found = {task.id: measure(task.id) for task in select_tasks(arguments.tasks)}
    # The time is first in a state, then the arm's joints.
    joints = [load_init_states(task)[:, 1:8].std(axis=0) for task in TASKS]
    spread = [round(float(each(joints)), 4) for each in (np.min, np.median, np.max)]
    print("RESULT", json.dumps({"tasks": found, "shipped_spread": spread}))


def measure(task: str) -> dict[str, list[int]]:
    """Returns successes and episodes by kind of init states."""
    scene, drawn, shipped = draw_plans(task)
    arm = _arm(scene)
    home = scene.placement.draw_next(1)[0][arm]
    kinds = {
        "drawn": drawn,
        "drawn, arm in one place": [_at(plan, arm, home) for plan in drawn],
        "shipped": shipped,
        "shipped, arm in one place": [_at(plan, arm, home) for plan in shipped],
    }
    actor = load_expert(RELEASE / task, task=task)
    found = {}
    for kind, plans in kinds.items():
        episodes = run_episodes(actor, scene, plans)
        found[kind] = [sum(episode.success for episode in episodes), len(episodes)]
    print(task, json.dumps(found), flush=True)
    return found


def _arm(scene: Scene) -> list[int]:
    """Returns where a state has the arm's joints, after the time."""
    model = scene.model
    return [1 + int(model.joint(f"robot0_joint{i}").qposadr[0]) for i in range(1, 8)]


def _at(plan: PlannedEpisode, arm: list[int], joints: np.ndarray) -> PlannedEpisode:
    state = plan.initial.sim_state.copy()
    state[arm] = joints
    return replace(plan, initial=replace(plan.initial, sim_state=state))


if __name__ == "__main__":
    main()
