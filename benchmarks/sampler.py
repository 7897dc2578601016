"""How much noise should an expert sample with when it is evaluated and when it collects?

What it shows: success, and length, jerk and standard deviation of actions of the successful
episodes, of one expert for several ``evaluation_temperature`` and ``evaluation_eta``, from the same
newly drawn init states.

How to run it::

    python benchmarks/sampler.py EXPERT [--episodes 100] [--temperatures 0 0.5 1] [--etas 0 1]

Results to expect: docs/decisions/0010-low-temperature.md; the last line is ``RESULT`` and a JSON
list of the rows.
"""

import argparse
import json
from collections.abc import Iterable
from itertools import product

from judging import quality_of
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.policy import ChunkActor, load_policy
from rl_datagen.rollout import plan_episode, rollout
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("expert")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0, 0.5, 1])
    parser.add_argument("--etas", type=float, nargs="+", default=[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    policy, config, _ = load_policy(arguments.expert)
    scene = load_scene(get_task(config.task), config.sim.backend)
    plans = [
        plan_episode(scene, "sampler", 0, scene.num_init_states + number, None)
        for number in range(arguments.episodes)
    ]
    rows = []
    for eta, temperature in product(arguments.etas, arguments.temperatures):
        policy.evaluation_eta, policy.evaluation_temperature = eta, temperature
        row = {"eta": eta, "temperature": temperature}
        actor, source = ChunkActor(policy), config.policy.source
        rows.append(row | summary(rollout(actor, scene, plans, source=source, sim=config.sim)))
        print(rows[-1], flush=True)
    print("RESULT", json.dumps(rows))


def summary(trajectories: Iterable[Trajectory]) -> dict:
    episodes = list(trajectories)
    good = [episode for episode in episodes if episode.success]
    return {"n": len(episodes), "success": len(good) / len(episodes)} | quality_of(good)


if __name__ == "__main__":
    main()
