"""Is the simulator the same as LIBERO's, and how much faster is it?

What it shows: one mode per claim of docs/results.md about the simulator; ratios are taken between
neighbouring blocks of one run, since a shared machine's speed wanders.

How to run it::

    python benchmarks/sim.py exactness --all      # 130 tasks; resumes; about 15 s a task
    python benchmarks/sim.py speed|reset|memory|scaling|render|soak

Results to expect: the last line of each mode is ``RESULT`` and a JSON object. On two shared CPU
cores: 130 of 130 identical; 5x stock's env step; a reset more than 500x faster.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from rl_datagen.tasks import SUITES, TASKS, get_task
from sim_exactness import exactness, start_both

import numpy as np

TEN_TASKS = [f"{suite}/{index}" for suite in SUITES for index in (0, 5)]
DRAWN_TRAPS = "libero_spatial/3,libero_spatial/4,libero_spatial/6,libero_spatial/7,"
DRAWN_TRAPS += "libero_spatial/9,libero_90/35-37"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=sorted(MODES))
    parser.add_argument("--all", action="store_true", help="exactness: all 130 tasks")
    parser.add_argument("--tasks", default=f"libero_goal,libero_object/0,{DRAWN_TRAPS}")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--log", type=Path, default=Path("outputs/benchmarks/exactness.jsonl"))
    arguments = parser.parse_args()
    print("RESULT", json.dumps(MODES[arguments.mode](arguments)))


# ---------------------------------------------------------------------------- speed


def speed(arguments: argparse.Namespace) -> dict:
    rows = [run_child(f"_speed_of('{task}')") for task in TEN_TASKS]
    ratios = [row["ratio"] for row in rows]
    subproc = run_child("_against_subproc('libero_object/0')")
    return {
        "ratio_median": round(statistics.median(ratios), 2),
        "ratio_wall_median": round(statistics.median(row["ratio_wall"] for row in rows), 2),
        "fast_ratio_median": round(statistics.median(row["fast_ratio"] for row in rows), 2),
        "ratios": dict(zip(TEN_TASKS, ratios, strict=True)),
        "steps_per_second": round(statistics.median(row["steps_per_second"] for row in rows)),
        "ratio_vs_subproc": subproc["ratio"],
        "num_env_steps_each": rows[0]["num_env_steps"],
    }


def _speed_of(task_id: str, num_blocks: int = 6, block: int = 25) -> dict:
    """Times neighbouring blocks of the same actions, observation and success included."""
    from rl_datagen.sim import load_scene
    from rl_datagen.sim.libero import make_stock_env

    task = get_task(task_id)
    scene = load_scene(task)
    exact, env = scene.simulator(), make_stock_env(task)
    init = scene.shipped_state(0)
    env.reset()
    start_both(exact, env, init)

    def ours(simulator):
        def step(action):
            simulator.step(action)
            simulator.observe()

        return step

    steppers = {"exact": ours(exact), "stock": env.step}
    cpu, wall = dict.fromkeys(steppers, 0.0), dict.fromkeys(steppers, 0.0)
    rng = np.random.default_rng(0)
    for number in range(num_blocks + 1):
        actions = rng.uniform(-1, 1, (block, 7))
        for name, step in steppers.items():
            started = time.thread_time(), time.perf_counter()
            for action in actions:
                step(action)
            if number > 0:  # the first block compiles and warms up
                cpu[name] += time.thread_time() - started[0]
                wall[name] += time.perf_counter() - started[1]
    return {
        "ratio": round(cpu["stock"] / cpu["exact"], 2),
        "ratio_wall": round(wall["stock"] / wall["exact"], 2),
        "steps_per_second": num_blocks * block / cpu["exact"],
        "num_env_steps": num_blocks * block,
    }


def _against_subproc(task_id: str, num_envs: int = 4, num_steps: int = 60) -> dict:
    """LIBERO's own SubprocVectorEnv and ours with as many simulators; wall time, two cores."""
    from rl_datagen.sim import LiberoVectorEnv
    from rl_datagen.sim.libero import make_stock_vector_env

    task = get_task(task_id)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (num_steps, num_envs, 7)).astype(np.float32)
    theirs = make_stock_vector_env(task, num_envs)
    theirs.reset()
    theirs.step(actions[0])
    started = time.perf_counter()
    for action in actions:
        theirs.step(action)
    stock = time.perf_counter() - started
    theirs.close()
    ours = LiberoVectorEnv(task, num_envs, 1, max_episode_steps=10**6)
    ours.reset()
    ours.step(actions[0][:, None])
    started = time.perf_counter()
    for action in actions:
        ours.step(action[:, None])
    return {"ratio": round(stock / (time.perf_counter() - started), 2)}


# ---------------------------------------------------------------------------- the others


def reset(arguments: argparse.Namespace) -> dict:
    rows = [run_child(f"_reset_of('{task}')") for task in TEN_TASKS]
    keys = ("ratio", "ratio_drawn", "stock_ms", "shipped_ms", "drawn_ms")
    return {key: round(statistics.median(row[key] for row in rows), 3) for key in keys}


def _reset_of(task_id: str) -> dict:
    from rl_datagen.sim import load_scene
    from rl_datagen.sim.libero import make_stock_env

    task = get_task(task_id)
    scene = load_scene(task)
    simulator, env = scene.simulator(), make_stock_env(task)
    init = scene.shipped_state(0)

    def mean_ms(function, count: int) -> float:
        function(0)
        started = time.thread_time()
        for i in range(count):
            function(i)
        return (time.thread_time() - started) / count * 1e3

    stock = mean_ms(lambda _: (env.reset(), env.set_init_state(init.sim_state)), 3)
    shipped = mean_ms(lambda _: simulator.reset(init, 0), 100)
    drawn = mean_ms(lambda i: simulator.reset(scene.draw_state(i), 0), 100)
    return {
        "ratio": stock / shipped,
        "ratio_drawn": stock / drawn,
        "stock_ms": stock,
        "shipped_ms": shipped,
        "drawn_ms": drawn,
    }


def memory(arguments: argparse.Namespace) -> dict:
    return run_child("_memory_of('libero_object/0', 64)")


def _memory_of(task_id: str, num_envs: int) -> dict:
    from rl_datagen.sim import LiberoVectorEnv

    before = rss_mb()
    env = LiberoVectorEnv(get_task(task_id), 1, 1)
    one = rss_mb()
    env.close()
    started = time.perf_counter()
    env = LiberoVectorEnv(get_task(task_id), num_envs, 1)
    seconds = time.perf_counter() - started
    env.reset()
    for _ in range(3):
        env.step(env.action_space.sample())
    return {
        "rss_gb": round(rss_mb() / 1024, 3),
        "num_simulators": num_envs,
        "imports_mb": round(before),
        "one_simulator_mb": round(one),
        "ms_per_simulator": round(seconds / num_envs * 1e3, 1),
    }


def scaling(arguments: argparse.Namespace) -> dict:
    return run_child("_scaling_of('libero_object/0')")


def _scaling_of(task_id: str, num_steps: int = 25, num_rounds: int = 4) -> dict:
    from rl_datagen.sim import LiberoVectorEnv

    rates: dict[str, list[float]] = {}
    setups = [(1, 1), (2, 1), (2, 2), (4, 2), (8, 2), (8, 1)]
    envs = {}
    for num_envs, num_threads in setups:
        env = LiberoVectorEnv(
            get_task(task_id), num_envs, 8, num_threads=num_threads, max_episode_steps=10**6
        )
        env.reset()
        envs[f"{num_envs} simulators, {num_threads} threads"] = env
    rng = np.random.default_rng(0)
    for _ in range(num_rounds):
        for name, env in envs.items():
            actions = rng.uniform(-1, 1, (num_steps, env.num_envs, 8, 7)).astype(np.float32)
            started = time.perf_counter()
            for action in actions[: max(2, num_steps // env.num_envs)]:
                env.step(action)
            steps = max(2, num_steps // env.num_envs) * env.num_envs * 8
            rates.setdefault(name, []).append(steps / (time.perf_counter() - started))
    best = {name: round(max(values)) for name, values in rates.items()}
    pairs = zip(rates["2 simulators, 2 threads"], rates["2 simulators, 1 threads"], strict=True)
    return {
        "two_threads": round(statistics.median(two / one for two, one in pairs), 2),
        "eight_simulators": round(
            best["8 simulators, 2 threads"] / best["8 simulators, 1 threads"], 2
        ),
        "env_steps_per_second": best,
        "load_average": os.getloadavg()[0],
    }


def render(arguments: argparse.Namespace) -> dict:
    tasks = [f"{suite}/2" for suite in SUITES]
    rows = [run_child(f"_render_of('{task}')") for task in tasks]
    return {
        "identical": sum(row["identical"] for row in rows),
        "images": sum(row["images"] for row in rows),
        "max_difference": max(row["max_difference"] for row in rows),
        "ms_per_image": round(statistics.median(row["ms_per_image"] for row in rows), 1),
        "stock_ms_per_image": round(statistics.median(row["stock_ms"] for row in rows), 1),
        "images_per_iteration_ratio": run_child("_images_of('libero_object/0')")["ratio"],
        "tasks": tasks,
    }


def _images_of(task_id: str, num_decisions: int = 6) -> dict:
    """Counts the images of some decisions in pixel mode; stock renders both cameras every step."""
    from rl_datagen.sim import LiberoVectorEnv, render

    calls = []
    draw = render.render
    render.render = lambda scene, cameras, *rest: (
        calls.extend(cameras) or draw(scene, cameras, *rest)
    )
    env = LiberoVectorEnv(get_task(task_id), 1, 8, mode="pixel", image_size=64)
    env.reset()
    calls.clear()
    for _ in range(num_decisions):
        env.step(np.zeros((1, 8, 7)))
    return {"images": len(calls), "ratio": len(calls) / (num_decisions * 8 * 2)}


def _render_of(task_id: str) -> dict:
    os.environ["MUJOCO_GL"] = "egl"
    import robosuite  # noqa: F401  before our import, which would keep GL out of it

    # isort: split
    from rl_datagen.sim import load_scene
    from rl_datagen.sim.libero import make_stock_env

    task = get_task(task_id)
    scene = load_scene(task, appearance="mujoco")  # as the stock environment draws here
    simulator, init = scene.simulator(), scene.shipped_state(1)
    result = {"identical": 0, "images": 0, "max_difference": 0}
    ours, theirs = [], []
    for size in (128, 256):
        env = make_stock_env(task, image_size=size)
        env.reset()
        start_both(simulator, env, init)
        rng = np.random.default_rng(0)
        for _ in range(4):
            started = time.perf_counter()
            observation = env.step(action := rng.uniform(-1, 1, 7))[0]
            theirs.append(time.perf_counter() - started)
            simulator.step(action)
            for ours_name, name in (("agentview", "agentview"), ("wrist", "robot0_eye_in_hand")):
                started = time.perf_counter()
                image = simulator.render(ours_name, size, size)
                ours.append(time.perf_counter() - started)
                stock = observation[f"{name}_image"][::-1]
                result["images"] += 1
                result["identical"] += bool(np.array_equal(image, stock))
                difference = int(np.abs(image.astype(int) - stock.astype(int)).max())
                result["max_difference"] = max(result["max_difference"], difference)
        env.close()
    result["ms_per_image"] = statistics.median(ours) * 1e3
    result["stock_ms"] = statistics.median(theirs) / 2 * 1e3
    return result


def soak(arguments: argparse.Namespace) -> dict:
    return run_child("_soak(200_000, 20)")


def _soak(num_env_steps: int, num_tasks: int, num_envs: int = 8) -> dict:
    """Goes through the same tasks twice: scenes differ in size, so only like is compared."""
    from rl_datagen.sim import LiberoVectorEnv

    tasks = TASKS[:: len(TASKS) // num_tasks][:num_tasks]
    history, steps, errors = [], 0, 0
    for task in [*tasks, *tasks]:
        env = LiberoVectorEnv(task, num_envs, 8)
        env.reset(seed=0)
        for _ in range(num_env_steps // num_tasks // num_envs // 8 // 2 + 1):
            env.step(env.action_space.sample())
            steps += num_envs * 8
        errors += env.num_errors
        env.close()
        history.append(rss_mb())
        print(task, round(history[-1]), flush=True)
    first, second = history[:num_tasks], history[num_tasks:]
    growth = [after - before for before, after in zip(first, second, strict=True)]
    warm = growth[len(growth) // 4 :]  # the first scenes of the first round filled the caches
    return {
        "rss_growth_mb": round(statistics.mean(warm)),
        "rss_growth_max_mb": round(max(warm)),
        "rss_mb": [round(value) for value in history],
        "num_env_steps": steps,
        "errors": errors,
        "threads": threading.active_count(),
        "children": len(multiprocessing.active_children()),
    }


def rss_mb() -> float:
    """Resident memory of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def run_child(expression: str) -> dict:
    """Evaluates a call in a fresh process, so that no measurement inherits another's memory."""
    code = f"import json, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import sim\n"
    code += f"print('CHILD', json.dumps(sim.{expression}))"
    output = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, text=True
    )
    line = next(line for line in output.stdout.splitlines() if line.startswith("CHILD "))
    print(expression, line, flush=True)
    return json.loads(line.removeprefix("CHILD "))


MODES = {
    "exactness": exactness,
    "speed": speed,
    "reset": reset,
    "memory": memory,
    "scaling": scaling,
    "render": render,
    "soak": soak,
}

if __name__ == "__main__":
    main()
