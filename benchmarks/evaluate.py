"""What does an evaluation spend its time on?

What it shows: env steps per second of one worker with 1, 2 and 4 simulators that share one VLA,
and which part of the time goes to rendering, policy and simulation. The rates take turns in one
run, since a shared machine's speed wanders.

How to run it::

    python benchmarks/evaluate.py [--vla FOLDER] [--rounds 3] [--steps 48] [--image-size 256]

Without ``--vla`` the built-in VLA has new weights, which take as long; with ``--compact`` it is the
small one of the overlay vla/tiny.

Results to expect: the last line is ``RESULT`` and a JSON object. On a CPU, rendering takes most of
the time; sharing the policy saves part of the rest.
"""

import argparse
import json
import os
import statistics
import time
from collections import Counter
from pathlib import Path

from rl_datagen.config import SimConfig, load_config
from rl_datagen.config.vla import VlaConfig
from rl_datagen.data.normalization import NormStats
from rl_datagen.jobs.stored import find_policy
from rl_datagen.rollout import plan_evaluation, rollout
from rl_datagen.sim import Simulator, load_scene
from rl_datagen.tasks import get_task
from rl_datagen.vla.network import SmallVla
from rl_datagen.vla.policy import VlaPolicy

import numpy as np
import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vla", type=Path)
    parser.add_argument("--compact", action="store_true")
    parser.add_argument("--task", default="libero_object/0")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=48, help="env steps of each episode")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--simulators", type=int, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # as in a Ray worker with one core
    policy = trained(arguments.vla) if arguments.vla else untrained(arguments)
    scene, clock = load_scene(get_task(arguments.task)), Counter()
    watch(Simulator, "images", clock, "rendering")
    watch(Simulator, "step", clock, "simulation")
    watch(policy, "act", clock, "policy")
    rates, shares = {}, {}
    episode(policy, scene, 1, arguments.steps)  # compiles and warms up
    for _ in range(arguments.rounds):
        for count in arguments.simulators:
            clock.clear()
            started = time.perf_counter()
            steps = episode(policy, scene, count, arguments.steps)
            seconds = time.perf_counter() - started
            rates.setdefault(count, []).append(steps / seconds)
            for part, spent in clock.items():
                shares.setdefault(count, {}).setdefault(part, []).append(spent / seconds)
    result = {
        "env_steps_per_second": {n: round(statistics.median(v), 1) for n, v in rates.items()},
        "share": {
            n: {part: round(statistics.median(v), 3) for part, v in parts.items()}
            for n, parts in shares.items()
        },
        "image_size": policy.image_size,
        "action_steps": policy.action_steps,
        "num_parameters": sum(p.numel() for p in policy.network.parameters()),
        "rounds": arguments.rounds,
        "env_steps_each": arguments.steps,
        "load_average": os.getloadavg()[0],
    }
    print("RESULT", json.dumps(result))


def episode(policy, scene, num_simulators: int, steps: int) -> int:
    """Runs one episode in each simulator; returns their env steps, without those of settling."""
    plans = [plan_evaluation(scene, 0, index) for index in range(num_simulators)]
    done = rollout(
        policy,
        scene,
        plans,
        source="diffusion_rl",
        sim=SimConfig(max_episode_steps=steps),
        num_simulators=num_simulators,
        num_threads=1,
    )
    return sum(len(trajectory) for trajectory in done)


def watch(owner, name: str, clock: Counter, part: str) -> None:
    """Adds up the time that a method takes."""
    method = getattr(owner, name)

    def timed(*arguments, **options):
        started = time.perf_counter()
        try:
            return method(*arguments, **options)
        finally:
            clock[part] += time.perf_counter() - started

    setattr(owner, name, timed)


def trained(folder: Path):
    return find_policy(str(folder)).load()


def untrained(arguments: argparse.Namespace) -> VlaPolicy:
    overlays = ["vla/tiny"] if arguments.compact else []
    config = load_config([*overlays, "datasets=none"], model=VlaConfig).model
    stats = NormStats.from_arrays(
        np.random.default_rng(0).uniform(-1, 1, (50, 7)).astype(np.float32),
        {"proprio": np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)},
    )
    instruction = get_task(arguments.task).instruction
    embeddings = {instruction: torch.zeros(384)}
    return VlaPolicy(SmallVla(config, stats, 384), embeddings, arguments.image_size)


if __name__ == "__main__":
    main()
