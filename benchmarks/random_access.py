"""Random action chunks per second with both cameras: ``rd.Dataset`` beside ``LeRobotDataset``.

This example shows: the same rendered episodes as our shards with JPEG and PNG images, and as
our exports to LeRobot v3.0 with videos and images, each read at the same random env steps: both
images as float [3, H, W] in [0, 1], the state, and the 16 actions from there on, one process, no
loader. LeRobot runs in its own environment, with the faster of its video backends that work there.

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

import numpy as np
import torch
from dataset import LEROBOT, write_shards

import rl_datagen as rd
from rl_datagen.data import read_rendered
from rl_datagen.export import export_lerobot

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
    for name, rate in rates.items():
        print(f"{name:28} {rate:8.1f} chunks/s")
    video = max(rates[f"LeRobot, video, {backend}"] for backend in BACKENDS)
    result = {
        "lossy_ratio": round(rates["ours, jpeg"] / video, 2),
        "lossless_ratio": round(rates["ours, png"] / rates["LeRobot, image, pyav"], 2),
        **{name: round(rate, 1) for name, rate in rates.items()},
    }
    print("RESULT", json.dumps(result))


def read_ours(path: Path) -> float:
    """Chunks per second."""
    data = rd.Dataset(path, action_horizon=HORIZON)
    chosen = np.random.default_rng(0).integers(len(data), size=NUM_WARM + NUM_SAMPLES)
    for number, index in enumerate(chosen.tolist()):
        if number == NUM_WARM:
            begin = time.perf_counter()
        item = data[index]
        for camera in data.cameras:  # as LeRobot gives them
            torch.from_numpy(item[camera]).permute(2, 0, 1).float().div_(255)
    return NUM_SAMPLES / (time.perf_counter() - begin)


def read_lerobot(python: str, export: Path, backend: str) -> float:
    """Chunks per second; 0 if the backend does not work there."""
    script = ROOT / "benchmarks/lerobot_writer.py"
    words = ["read_chunks", export, NUM_WARM, NUM_SAMPLES, HORIZON, backend]
    done = subprocess.run(
        [python, script, *map(str, words)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"{backend} does not work there: {done.stderr.strip().splitlines()[-1]}")
        return 0.0
    return NUM_SAMPLES / json.loads(done.stdout.splitlines()[-1])["seconds"]


if __name__ == "__main__":
    main(*sys.argv[1:])
