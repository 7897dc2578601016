"""How many attempts at an amplified demonstration succeed, and why do the others not?

What it shows: successes of so many attempts from newly drawn init states, their length, jerk and
standard deviation of actions, and the causes of failures, task by task.

How to run it (about a core minute a task)::

    python benchmarks/amplification.py --tasks TASK[,TASK...] [--attempts 30]

Results to expect: docs/results.md, "Demonstrations"; a line per task, and ``RESULT`` with all.
"""

import argparse
import json
from collections import Counter

from judging import quality_of
from rl_datagen.config import load_config
from rl_datagen.demos import AmplifiedPolicy, load_human_demonstration
from rl_datagen.jobs.amplify import with_time_limit
from rl_datagen.labels import Labeller
from rl_datagen.rollout import plan_attempt, rollout
from rl_datagen.sim import load_scene
from rl_datagen.tasks import Task, select_tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--attempts", type=int, default=30)
    arguments = parser.parse_args()
    found = {}
    for task in select_tasks(arguments.tasks):
        found[task.id] = measure(task, arguments.attempts)
        print(task.id, json.dumps(found[task.id]), flush=True)
    print("RESULT", json.dumps(found))


def measure(task: Task, num_attempts: int) -> dict:
    """Returns what became of a task's attempts."""
    config, scene = load_config(["expert_state", f"task={task.id}"]), load_scene(task)
    human = load_human_demonstration(task)
    policy = AmplifiedPolicy([human], scene, config.demos.action_noise)
    num_after = policy.num_steps_after_success(config.demos.num_steps_after_success)
    episodes = list(
        rollout(
            policy,
            scene,
            [plan_attempt(scene, 0, number, num_shipped=0) for number in range(num_attempts)],
            source="amplified",
            sim=with_time_limit(policy, scene, config.sim, num_after),
            num_threads=1,
            num_steps_after_success=num_after,
        )
    )
    good = [episode for episode in episodes if episode.success]
    labeller = Labeller(scene)
    causes = Counter(str(labeller.label(each).failure) for each in episodes if not each.success)
    return {
        "attempts": num_attempts,
        "successes": len(good),
        **quality_of(good),
        "length_human": int(human.success(scene).argmax()) + 1,
        "failures": dict(causes.most_common()),
    }


if __name__ == "__main__":
    main()
