"""Random action chunks per second with both cameras: ``rd.Dataset`` beside ``LeRobotDataset``.

This example shows: the same rendered episodes as our shards with JPEG and PNG images, and as
our exports to LeRobot v3.0 with videos and images, each read at the same random env steps: both
images as float [3, H, W] in [0, 1], the state, and the 16 actions from there on, one process, no
loader. LeRobot runs in its own environment, with each of its video backends that work there. Rates
are by the clock and by CPU time, which other processes of the machine change less.

How to run this script: ``.venv/bin/python benchmarks/random_access.py [LEROBOT_PYTHON [DATASET
[NUM_EPISODES]]]``: the Python of an environment that has lerobot, 0.4 or later (without it, that of
``make .venv-lerobot/.installed``), and a rendered dataset (without it, 20 episodes of two tasks are
made and rendered first).

Results to expect: docs/results.md; the last line is the summary as JSON.
"""

import json
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import rl_datagen as rd
from dataset import LEROBOT, write_shards
from rl_datagen.data import read_rendered
from rl_datagen.export import export_lerobot

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
NUM_SAMPLES, HORIZON, NUM_WARM = 400, 16, 20
BACKENDS = ("torchcodec", "pyav")


def main(python: str = str(LEROBOT), dataset: str = "", num_episodes: str = "20") -> None:
    outputs = ROOT / "outputs"
    outputs.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=outputs) as name:
        folder = Path(name)
        if not dataset:
            dataset = f"{folder}/made"
            script = ROOT / "tests/formats/make_dataset.py"
            subprocess.run([sys.executable, script, dataset, num_episodes], check=True)
        rendered = (pair for pair in read_rendered(Path(dataset)) if pair[1])
        chosen = islice(rendered, int(num_episodes))
        pairs = [(t, r) for t, r in chosen if r]
        for encoding in ("jpeg", "png"):
            write_shards(folder / encoding, pairs, encoding)
        for images in ("video", "image"):
            export_lerobot(folder / "png", folder / images, images=images)
        rates = {f"ours, {encoding}": read_ours(folder / encoding) for encoding in ("jpeg", "png")}
        for images, backends in (("video", BACKENDS), ("image", BACKENDS[-1:])):
            for backend in backends:
                rates[f"LeRobot, {images}, {backend}"] = read_lerobot(
                    python, folder / images, backend
                )
        height, width = pairs[0][1].agentview.shape[1:3]
    print(f"{len(pairs)} episodes, {height} x {width}, {NUM_SAMPLES} random chunks of {HORIZON}")
    print(f"{'':28} {'chunks/s':>9} {'per CPU s':>9}")
    for name, (clock, cpu) in rates.items():
        print(f"{name:28} {clock:9.1f} {cpu:9.1f}")
    result = {}
    for number, measure in enumerate(("clock", "cpu")):
        video = max(rates[f"LeRobot, video, {backend}"][number] for backend in BACKENDS)
        image = rates["LeRobot, image, pyav"][number]
        result[f"lossy_ratio_{measure}"] = round(rates["ours, jpeg"][number] / video, 2)
        result[f"lossless_ratio_{measure}"] = round(rates["ours, png"][number] / image, 2)
    print("RESULT", json.dumps(result))


def read_ours(path: Path) -> tuple[float, float]:
    """Chunks per second, and per second of CPU time."""
    data = rd.Dataset(path, action_horizon=HORIZON)
    chosen = np.random.default_rng(0).integers(len(data), size=NUM_WARM + NUM_SAMPLES)
    begin = (0.0, 0.0)
    for number, index in enumerate(chosen.tolist()):
        if number == NUM_WARM:
            begin = time.perf_counter(), time.process_time()
        item = data[index]
        for camera in data.cameras:  # as LeRobot gives them
            torch.from_numpy(item[camera]).permute(2, 0, 1).float().div_(255)
    clock, cpu = time.perf_counter() - begin[0], time.process_time() - begin[1]
    return NUM_SAMPLES / clock, NUM_SAMPLES / cpu


def read_lerobot(python: str, export: Path, backend: str) -> tuple[float, float]:
    """The same; 0 if the backend does not work there."""
    script = ROOT / "benchmarks/lerobot_writer.py"
    words = ["read_chunks", export, NUM_WARM, NUM_SAMPLES, HORIZON, backend]
    done = subprocess.run(
        [python, script, *map(str, words)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"{backend} does not work there: {done.stderr.strip().splitlines()[-1]}")
        return 0.0, 0.0
    clock, cpu = json.loads(done.stdout.splitlines()[-1])["seconds"]
    return NUM_SAMPLES / clock, NUM_SAMPLES / cpu


if __name__ == "__main__":
    main(*sys.argv[1:])
