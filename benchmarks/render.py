"""Is the fast renderer exact, and how much faster is it?

What it shows, one subcommand each:

- ``exact``: images of both cameras at 128 and 256 pixels, eight states of each task, by MuJoCo's
  own renderer and by ours: how many are identical in every pixel. States are spread over the human
  demonstration (arm over the scene, object in hand, drawer open), the last with the stove on.
- ``published``: images of all tasks against those of LIBERO on MuJoCo 3.3.2, whose look all
  published data has (rl_datagen/doctor/reference.json).
- ``speed``: CPU time of stock, ours and ours without multisampling (``policy.rendering=plain``),
  taking turns in one process, over consecutive frames of an episode of ten tasks.
- ``soak``: many images of many tasks and sizes in one process: memory, and a sample against stock.

How to run it (``exact --all`` takes about two hours on two cores; finished tasks are kept)::

    python benchmarks/render.py exact [--all | --tasks libero_goal/0 ...] [--rows FILE]
    python benchmarks/render.py published
    python benchmarks/render.py speed [--frames 16]
    python benchmarks/render.py soak [--images 20000]

Results to expect: the last line is ``RESULT`` and a JSON object. On software GL everything is
identical; on a GPU both are MuJoCo's own renderer.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

from rl_datagen.demos.human import load_human_demonstration
from rl_datagen.sim import CAMERAS, load_scene, render
from rl_datagen.tasks import get_task, select_tasks

import numpy as np
import psutil

SPEED_TASKS = (
    *("libero_spatial/0", "libero_spatial/5", "libero_object/0", "libero_object/6"),
    *("libero_goal/1", "libero_goal/8", "libero_10/0", "libero_10/5", "libero_90/30"),
    "libero_90/70",
)
SIZES = (128, 256)
SPEED_SIZES = (84, *SIZES)  # DPPO's cameras, too
NUM_STATES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    exact = commands.add_parser("exact")
    exact.add_argument("--all", action="store_true")
    exact.add_argument("--tasks", nargs="+", default=list(SPEED_TASKS))
    exact.add_argument("--rows", type=Path)
    commands.add_parser("published")
    speed = commands.add_parser("speed")
    speed.add_argument("--tasks", nargs="+", default=list(SPEED_TASKS))
    speed.add_argument("--frames", type=int, default=16)
    soak = commands.add_parser("soak")
    soak.add_argument("--images", type=int, default=20_000)
    arguments = parser.parse_args()
    runs = {"exact": run_exact, "published": run_published, "speed": run_speed, "soak": run_soak}
    print("RESULT", json.dumps(runs[arguments.command](arguments)))


def episode(task: str, count: int | None = None) -> list[tuple]:
    """Poses along the human's demonstration: all, or some, the last with the visual_sites on."""
    scene = load_scene(get_task(task))
    demonstration = load_human_demonstration(scene.task)
    simulator = scene.simulator()
    simulator.reset(demonstration.place(scene), demonstration.num_settle_steps)
    poses = []
    for action in demonstration.actions:
        simulator.step(action.astype(np.float64))
        pose = (simulator._render_qpos.copy(), simulator.init.fixture_poses)
        poses.append((*pose, simulator._sites_on.copy()))
    if count is None:
        return poses
    poses = [poses[i] for i in np.linspace(0, len(poses) - 1, count).astype(int)]
    poses[-1] = (*poses[-1][:2], np.ones_like(poses[-1][2]))
    return poses


def images(task: str, backend: str, poses: list, size: int) -> list[np.ndarray]:
    scene = load_scene(get_task(task), render_backend=backend)
    drawn = [draw(scene, pose, size) for pose in poses]
    return [image[camera] for image in drawn for camera in CAMERAS]


def draw(scene, pose: tuple, size: int) -> dict[str, np.ndarray]:
    return render.render(scene, tuple(CAMERAS), size, size, render.Pose(*pose))


def run_exact(arguments: argparse.Namespace) -> dict:
    tasks = [task.id for task in select_tasks("all")] if arguments.all else arguments.tasks
    rows = {}
    if arguments.rows and arguments.rows.exists():
        rows = json.loads(arguments.rows.read_text())
    for task in tasks:
        if task not in rows:
            rows[task] = exact_task(task)
            print(task, rows[task], flush=True)
            if arguments.rows:
                arguments.rows.write_text(json.dumps(rows, indent=1) + "\n")
    chosen = [rows[task] for task in tasks]
    return {
        "tasks": len(chosen),
        "images": sum(row["images"] for row in chosen),
        "identical": sum(row["identical"] for row in chosen),
        "tasks_identical": sum(row["images"] == row["identical"] for row in chosen),
    }


def exact_task(task: str) -> dict:
    poses = episode(task, NUM_STATES)
    drawn = {
        backend: [image for size in SIZES for image in images(task, backend, poses, size)]
        for backend in ("stock", "culled")
    }
    equal = [np.array_equal(a, b) for a, b in zip(drawn["stock"], drawn["culled"], strict=True)]
    return {"images": len(equal), "identical": sum(equal)}


def run_published(_: argparse.Namespace) -> dict:
    from rl_datagen.doctor import measure
    from rl_datagen.doctor.compare import read_reference

    reference = read_reference()
    found, equal = 0, 0
    for task, expected in reference["tasks"].items():
        drawn = measure.draw(load_scene(get_task(task)))
        found += len(drawn)
        equal += sum(drawn[name] == image for name, image in expected["images"].items())
        print(task, f"{equal} of {found}", flush=True)
    same_gl = render.describe_gl() == reference["gl"]
    tasks = len(reference["tasks"])
    return {"tasks": tasks, "images": found, "identical": equal, "same_gl": same_gl}


def run_speed(arguments: argparse.Namespace) -> dict:
    rows = []
    for task in arguments.tasks:
        for size in SPEED_SIZES:
            rows.append(speed_row(task, size, arguments.frames))
            print(json.dumps(rows[-1]), flush=True)
    result = {}
    for size in SPEED_SIZES:
        some = [row for row in rows if row["size"] == size]
        for name in ("both", "agentview", "wrist"):
            ratios = [row["stock"][name] / row["ours"][name] for row in some]
            result[f"ratio_{name}_{size}"] = round(statistics.median(ratios), 2)
            result[f"range_{name}_{size}"] = [round(min(ratios), 2), round(max(ratios), 2)]
        plainer = [row["ours"]["both"] / row["plain"]["both"] for row in some]
        result[f"ratio_plain_{size}"] = round(statistics.median(plainer), 2)
        result[f"range_plain_{size}"] = [round(min(plainer), 2), round(max(plainer), 2)]
        result[f"ms_per_image_{size}"] = {
            kind: round(statistics.median(row[kind]["both"] / 2 for row in some), 1)
            for kind in ("stock", "ours", "plain")
        }
    return result


def speed_row(task: str, size: int, num_frames: int) -> dict:
    """CPU milliseconds of each camera's image, of all threads, medians over consecutive frames."""
    from rl_datagen.sim.render.culled import CulledRenderer
    from rl_datagen.sim.render.stock import StockRenderer
    from rl_datagen.sim.render.thread import _make_gl_context

    poses = episode(task)
    first = len(poses) // 3
    render.close()
    gl, scene = _make_gl_context(), load_scene(get_task(task))
    renderers = {
        "stock": StockRenderer(scene, gl),
        "ours": CulledRenderer(scene, gl),
        "plain": CulledRenderer(scene, gl, plain=True),
    }
    times = {kind: {camera: [] for camera in CAMERAS} for kind in renderers}
    for step, pose in enumerate(poses[first : first + num_frames + 3]):
        for kind, renderer in renderers.items():
            for camera in CAMERAS:
                begin = time.process_time()
                renderer.draw((camera,), size, size, render.Pose(*pose))
                if step > 2:  # compiled, and one simulator's layer drawn
                    times[kind][camera].append(1e3 * (time.process_time() - begin))
    for renderer in renderers.values():
        renderer.free()
    gl.free()
    row = {"task": task, "size": size, "frames": num_frames}
    for kind, by_camera in times.items():
        # Means: a layer is drawn anew once in a while, and that is part of the cost.
        row[kind] = {camera: statistics.mean(values) for camera, values in by_camera.items()}
        row[kind]["both"] = sum(row[kind].values())
    return row


def run_soak(arguments: argparse.Namespace) -> dict:
    sizes, tasks = (64, 96, 128, 224, 256), [task.id for task in select_tasks("all")][::6][:20]
    process, sampled, identical, memory, done = psutil.Process(os.getpid()), 0, 0, [], 0
    while done < arguments.images:
        for task in tasks:
            poses = episode(task)
            for size in sizes:
                few = poses[done % 7 :: 7][: max(1, arguments.images // (2 * len(tasks) * 10))]
                drawn = images(task, "culled", few, size)
                done += len(drawn)
                plain = images(task, "stock", few[-1:], size)
                sampled += len(plain)
                identical += sum(map(np.array_equal, plain, drawn[-len(plain) :]))
            memory.append(process.memory_info().rss // 2**20)
            print(f"{done} images, {memory[-1]} MiB, {identical} of {sampled}", flush=True)
            if done >= arguments.images:
                break
    half = memory[len(memory) // 2 :]
    return {
        "images": done,
        "sampled": sampled,
        "identical": identical,
        "mib_first_half": max(memory[: len(memory) // 2] or memory),
        "mib_second_half": max(half),
    }


if __name__ == "__main__":
    main()
