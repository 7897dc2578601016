"""How much faster is ``lerobot-eval`` on the fast simulator, and are its results the same?

What it shows: lerobot's own evaluation loop (``lerobot.scripts.lerobot_eval.rollout``) over its own
LIBERO environment and over ``rl_datagen.lerobot``, with the same policy, seeds and init states. The
policy repeats what a released expert did, plus noise that is seeded by every pixel and number it
observes: one differing bit anywhere, and the episodes part. Episodes of the two take turns in one
process; the time is lerobot's, policy and resets included.

How to run it, with a Python that has lerobot (docs/vla.md)::

    python benchmarks/lerobot_eval.py [TASK ...] [--episodes 10] [--size 256] [--noise 0.2]

Results to expect: the last line is ``RESULT`` and a JSON object; ``identical`` equals ``episodes``.
"""

# isort: skip_file
import triton  # noqa: F401  its LLVM comes before Mesa's
import robosuite  # noqa: F401  before our import, which would keep GL out of it

import argparse
import json
import logging
import os
import time
import zlib

import lerobot.envs.libero as stock_libero
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from lerobot.envs import make_env_pre_post_processors
from lerobot.envs.configs import LiberoEnv
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.scripts.lerobot_eval import rollout

import rl_datagen as rd
from rl_datagen.lerobot import FastLiberoConfig
from rl_datagen.sim.libero import load_init_states
from rl_datagen.tasks import get_task

FIRST_SEED = 1000  # lerobot-eval's


class Repeat(torch.nn.Module):
    """Repeats recorded actions, with noise that depends on every bit of what it is shown."""

    def __init__(self, actions: np.ndarray, noise: float) -> None:
        super().__init__()
        self._recorded, self._noise = actions, noise
        self.reset()

    def reset(self) -> None:
        self.taken: list[np.ndarray] = []

    def select_action(self, batch: dict) -> torch.Tensor:
        seen = 0
        for key in sorted(key for key in batch if key.startswith("observation.")):
            seen = zlib.crc32(batch[key].contiguous().numpy().tobytes(), seen)
        noise = np.random.default_rng(seen).normal(0, self._noise, 7)
        noise[6] = 0
        step = min(len(self.taken), len(self._recorded) - 1)
        action = np.clip(self._recorded[step] + noise, -1, 1).astype(np.float32)
        self.taken.append(action)
        return torch.from_numpy(action[None])


class Watched:
    """A vector environment whose resets are timed."""

    def __init__(self, env: SyncVectorEnv) -> None:
        self._env = env

    def __getattr__(self, name: str):
        return getattr(self._env, name)

    def reset(self, **options):
        started = time.process_time()
        observation = self._env.reset(**options)
        self.reset_cpu_s = time.process_time() - started
        return observation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=["libero_object/3", "libero_goal/7"])
    parser.add_argument("--episodes", type=int, default=10, help="of each task")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=100, help="time limit in env steps")
    parser.add_argument("--noise", type=float, default=0.2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    rows = [row for task in arguments.tasks for row in compare(task, arguments)]
    print("RESULT", json.dumps(summary(rows) | {"load_average": os.getloadavg()[0]}))


def compare(task_id: str, arguments: argparse.Namespace) -> list[dict]:
    """Returns a row for each episode: what it took and how it ended, in either environment."""
    task = get_task(task_id)
    settings = {
        "task": task.suite,
        "task_ids": [task.index],
        "episode_length": arguments.steps,
        "observation_height": arguments.size,
        "observation_width": arguments.size,
    }
    # lerobot reads init states in another format than this release of LIBERO has.
    stock_libero.get_task_init_states = lambda *_, **__: load_init_states(task)
    configs = {
        "stock": LiberoEnv(**settings),
        "fast": FastLiberoConfig(**settings, appearance="mujoco"),
    }
    envs, built = {}, {}
    for name, config in configs.items():
        started = time.process_time(), time.perf_counter()
        envs[name] = config.create_envs(1)[task.suite][task.index]
        envs[name].envs[0].unwrapped._ensure_env()
        built[name] = time.process_time() - started[0], time.perf_counter() - started[1]
    rows = []
    for episode, actions in enumerate(record(task_id, arguments)):
        row = {"task": task_id, "episode": episode}
        for name in sorted(envs, reverse=bool(episode % 2)):
            row[name] = run(envs[name], configs[name], Repeat(actions, arguments.noise), episode)
        if not rows:
            row["built"] = built
        rows.append(row)
        print(json.dumps(row), flush=True)
    for env in envs.values():
        env.close()
    return rows


def run(env: SyncVectorEnv, config: LiberoEnv, policy: Repeat, episode: int) -> dict:
    """Returns what lerobot's rollout of one episode took, and how it ended."""
    same = lambda value: value  # noqa: E731
    before, after = make_env_pre_post_processors(config, ACTConfig())
    assert env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    started = time.process_time(), time.perf_counter()
    watched = Watched(env)
    result = rollout(watched, policy, before, after, same, same, seeds=[FIRST_SEED + episode])
    return {
        "reset_cpu_s": round(watched.reset_cpu_s, 3),
        "cpu_s": round(time.process_time() - started[0], 3),
        "wall_s": round(time.perf_counter() - started[1], 3),
        "success": bool(result["success"].any()),
        "steps": len(policy.taken),
        "actions": zlib.crc32(np.array(policy.taken).tobytes()),
    }


def record(task_id: str, arguments: argparse.Namespace) -> list[np.ndarray]:
    """Returns what the released expert of a task does from each init state, ``[T, 7]`` each."""
    expert, task = rd.load_expert(f"release/{task_id}"), get_task(task_id)
    config = FastLiberoConfig(task=task.suite, task_ids=[task.index])
    env = config.create_envs(1)[task.suite][task.index].envs[0].unwrapped
    recorded = []
    for episode in range(arguments.episodes):
        env.reset(seed=FIRST_SEED + episode)
        expert.reset(seed=episode)
        simulator, actions = env._env._simulator, []
        while len(actions) < arguments.steps and not simulator.success():
            for action in expert.predict(simulator.observe()):
                actions.append(action)
                simulator.step(action)
        recorded.append(np.array(actions, np.float32))
    env.close()
    return recorded


def summary(rows: list[dict]) -> dict:
    def total(name: str, key: str, index: int) -> float:
        spent = sum(row[name][key] for row in rows)
        return spent + sum(row["built"][name][index] for row in rows if "built" in row)

    def step_ms(name: str) -> float:
        spent = sum(row[name]["cpu_s"] - row[name]["reset_cpu_s"] for row in rows)
        return round(spent / sum(row[name]["steps"] for row in rows) * 1e3, 1)

    keys = ("success", "steps", "actions")
    return {
        "episodes": len(rows),
        "identical": sum(all(r["stock"][k] == r["fast"][k] for k in keys) for r in rows),
        "successes": {name: sum(r[name]["success"] for r in rows) for name in ("stock", "fast")},
        "env_steps": sum(row["stock"]["steps"] for row in rows),
        "cpu_ratio": round(total("stock", "cpu_s", 0) / total("fast", "cpu_s", 0), 2),
        "wall_ratio": round(total("stock", "wall_s", 1) / total("fast", "wall_s", 1), 2),
        "cpu_ratio_of_tasks": {
            task: round(
                sum(r["stock"]["cpu_s"] for r in rows if r["task"] == task)
                / sum(r["fast"]["cpu_s"] for r in rows if r["task"] == task),
                2,
            )
            for task in dict.fromkeys(row["task"] for row in rows)
        },
        "cpu_ms_per_env_step": {name: step_ms(name) for name in ("stock", "fast")},
        "cpu_s_per_reset": {
            name: round(sum(row[name]["reset_cpu_s"] for row in rows) / len(rows), 3)
            for name in ("stock", "fast")
        },
        "cpu_s": {name: round(total(name, "cpu_s", 0), 1) for name in ("stock", "fast")},
        "wall_s": {name: round(total(name, "wall_s", 1), 1) for name in ("stock", "fast")},
    }


if __name__ == "__main__":
    main()
