"""What else steps LIBERO's physics, and how fast: LIBERO, MuJoCo in batches, this package.

What it shows: env steps per second and core of the same episode. MuJoCo's batched stepping knows
nothing of LIBERO's controller, observations and success: it gets the torques that stock LIBERO
applied, 25 physics steps per env step, on the same model. Blocks of 25 env steps take turns; the
first block is not counted.

How to run it, with Pythons that have NumPy and another MuJoCo::

    python benchmarks/peers.py [PYTHON ...] [--tasks libero_object/0 ...] [--blocks 6]

Results to expect: the last line is ``RESULT`` and a JSON object: rates and ratios to stock, and how
far the joints are from stock's at the end of a block (m or rad).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rl_datagen.sim import load_scene
from rl_datagen.sim.libero import make_stock_env
from rl_datagen.tasks import get_task
from sim_exactness import start_both

import numpy as np

TASKS = ["libero_spatial/0", "libero_object/0", "libero_goal/0", "libero_10/5", "libero_90/0"]
BLOCK = 25  # env steps
RAW = Path(__file__).with_name("raw_physics.py")


class Recorder:
    """Stock LIBERO, whose torques of each physics step are kept."""

    def __init__(self, env) -> None:
        self.env, self._sim = env, env.sim
        self._step, self.control = self._sim.step, []
        self._sim.step = self._record

    def _record(self) -> None:
        self.control.append(self._sim.data.ctrl.copy())
        self._step()

    def block(self, actions: np.ndarray, file: Path) -> float:
        """Runs some env steps and returns their CPU time; writes what it takes to repeat them."""
        model, data = self._sim.model._model, self._sim.data._data
        before = {
            "body_pos": model.body_pos,
            "body_quat": model.body_quat,
            "state": self.env.get_sim_state(),
            "warmstart": data.qacc_warmstart.copy(),
        }
        self.control.clear()
        seconds = timed(self.env.step, actions)
        np.savez(file, control=np.array(self.control), end=self.env.get_sim_state(), **before)
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pythons", nargs="*", help="besides this one, for MuJoCo alone")
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--blocks", type=int, default=6)
    arguments = parser.parse_args()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    pythons = [sys.executable, *arguments.pythons]
    raw = [subprocess.Popen([python, RAW], **pipes) for python in pythons]
    rows = {task: compare(task, raw, arguments.blocks) for task in arguments.tasks}
    result = {name: summary(name, rows) for name in next(iter(rows.values()))}
    result |= {"tasks": arguments.tasks, "env_steps_each": BLOCK * arguments.blocks}
    print("RESULT", json.dumps(result | {"load_average": os.getloadavg()[0]}))


def compare(task_id: str, raw: list[subprocess.Popen], num_blocks: int) -> dict:
    """Returns CPU time of an env step (s) and largest error of each peer."""
    task = get_task(task_id)
    scene, env = load_scene(task), make_stock_env(task)
    simulator, rng = scene.simulator(), np.random.default_rng(0)
    env.reset()
    start_both(simulator, env, scene.shipped_state(0))
    spent, errors = {}, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.xml").write_text(env.env.model.get_xml())
        recorder = Recorder(env)
        for _ in range(num_blocks + 1):
            actions = rng.uniform(-1, 1, (BLOCK, 7))
            ours = timed(lambda action: (simulator.step(action), simulator.observe()), actions)
            stock = recorder.block(actions, folder / "block.npz")
            error = float(np.abs(simulator.sim_state() - env.get_sim_state()).max())
            found = {"stock": (stock, 0.0), "ours": (ours, error)}
            for process in raw:
                for peer, answer in ask(process, folder).items():
                    found[peer] = answer["cpu_s"], answer["error"]
            for peer, (seconds, error) in found.items():
                spent.setdefault(peer, []).append(seconds / BLOCK)
                errors.setdefault(peer, []).append(error)
    row = {p: {"s": statistics.mean(spent[p][1:]), "error": max(errors[p])} for p in spent}
    print(task_id, json.dumps(row), flush=True)
    return row


def ask(process: subprocess.Popen, folder: Path) -> dict:
    print(folder, file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())


def timed(step, actions: np.ndarray) -> float:
    started = time.thread_time()
    for action in actions:
        step(action)
    return time.thread_time() - started


def summary(peer: str, rows: dict) -> dict:
    ratios = [row["stock"]["s"] / row[peer]["s"] for row in rows.values()]
    return {
        "env_steps_per_second": round(
            statistics.median(1 / row[peer]["s"] for row in rows.values())
        ),
        "ratio_to_stock": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "largest_error": max(row[peer]["error"] for row in rows.values()),
    }


if __name__ == "__main__":
    main()
