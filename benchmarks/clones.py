"""How good is the clone of a task's amplified demonstrations, before anything else?

What it shows: attempts that the demonstrations took, and of their clone success, length, jerk and
standard deviation of actions from 100 newly drawn init states, by temperature of the sampler.

How to run it (4 core minutes a task)::

    python benchmarks/clones.py [SETTING=VALUE ...] --tasks TASK[,TASK...] [--temperatures 0 0.5]

Results to expect: docs/decisions/0024-smooth-and-quick-demonstrations.md; a line per task and
temperature, and ``RESULT`` with all.
"""

import argparse
import json
import tempfile

from judging import quality_of
from rl_datagen.config import Config, load_config
from rl_datagen.core.progress import Silent
from rl_datagen.pipeline.expert import clone, demonstrations
from rl_datagen.pipeline.run import Run
from rl_datagen.policy import ChunkActor, load_policy
from rl_datagen.rollout import plan_episode, rollout
from rl_datagen.tasks import select_tasks

import torch

NUM_EPISODES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0, 0.5])
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for task in select_tasks(arguments.tasks):
        with tempfile.TemporaryDirectory() as folder:
            overrides = [f"task={task.id}", f"output_dir={folder}", *arguments.settings]
            config = load_config(["expert_state", *overrides])
            for row in measure(config, arguments.temperatures):
                rows.append(row)
                print(json.dumps(row), flush=True)
    print("RESULT", json.dumps(rows))


def measure(config: Config, temperatures: list[float]) -> list[dict]:
    """Returns what a clone does at each temperature."""
    run = Run(config, Silent())
    run.folder.mkdir(parents=True, exist_ok=True)
    made = demonstrations(run)
    clone(run)
    policy, *_ = load_policy(run.warm_expert)
    scene, source = run.scene, config.policy.source
    plans = [plan_episode(scene, "clones", config.seed, n, None) for n in range(NUM_EPISODES)]
    rows = []
    for temperature in temperatures:
        policy.evaluation_temperature = temperature
        episodes = rollout(ChunkActor(policy), scene, plans, source=source, sim=config.sim)
        good = [episode for episode in episodes if episode.success]
        row = {
            "task": config.task,
            "attempts": made["attempts"],
            "demonstrations": made["episodes"],
        }
        row |= {"temperature": temperature, "n": len(plans), "successes": len(good)}
        rows.append(row | quality_of(good))
    return rows


if __name__ == "__main__":
    main()
