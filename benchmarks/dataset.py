"""Write and read throughput and size of our shards beside LeRobot's and LIBERO's files.

This example shows: the same rendered episodes written by us (shards with JPEG and with PNG), by
LeRobot's own writer (``LeRobotDataset.add_frame`` and ``save_episode``, in its own environment), by
our export to LeRobot v3.0, and by our export to LIBERO's HDF5; then random frames of each. Both
sides begin with decoded frames, so that like is compared with like: lossy files (JPEG beside video)
and lossless ones (PNG beside PNG). The exports read a dataset first, which is in their time.

How to run this script: ``make .venv-lerobot/.installed`` (Python 3.12), then
``.venv/bin/python benchmarks/dataset.py [DATASET [NUM_EPISODES]]``; without DATASET, 50 episodes of
two tasks are made and rendered first.

Results to expect: docs/results.md; the last line is the summary as JSON.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import groupby, islice
from pathlib import Path

from rl_datagen.data import Dataset, DatasetWriter, RenderedEpisode, Trajectory, read_rendered
from rl_datagen.export import export_hdf5, export_lerobot

import h5py
import numpy as np

ROOT = Path(__file__).parents[1]
LEROBOT = ROOT / ".venv-lerobot/bin/python"
NUM_SAMPLES = 300

Pairs = list[tuple[Trajectory, RenderedEpisode]]


def main(dataset: Path | None = None, num_episodes: int = 50) -> None:
    outputs = ROOT / "outputs"  # a disk that has room, which /tmp may not be
    outputs.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=outputs) as name:
        folder = Path(name)
        if dataset is None:
            dataset = folder / "made"
            script = ROOT / "tests/formats/make_dataset.py"
            subprocess.run([sys.executable, script, dataset, str(num_episodes)], check=True)
        chosen = islice((pair for pair in read_rendered(dataset) if pair[1]), num_episodes)
        pairs: Pairs = [(t, r) for t, r in chosen if r]
        frames = sum(len(trajectory) for trajectory, _ in pairs)
        print(f"{len(pairs)} episodes, {frames} frames, {pairs[0][1].agentview.shape[1:3]}")
        seconds = write_all(folder, pairs)
        samples = read_all(folder)
        size = {name: folder_bytes(folder / name) / len(pairs) for name in seconds}
        columns = ("", "frames/s", "episodes/s", "MB/s", "kB/episode", "samples/s")
        print("{:22} {:>9} {:>11} {:>7} {:>11} {:>10}".format(*columns))
        for name, took in seconds.items():
            rates = f"{frames / took:9.1f} {len(pairs) / took:11.2f}"
            rates += f" {size[name] * len(pairs) / took / 1e6:7.2f} {size[name] / 1e3:11.0f}"
            print(f"{name:22} {rates} {samples.get(name, float('nan')):10.1f}")
        lossy = seconds["lerobot-video"] / seconds["shards-jpeg"]
        lossless = seconds["lerobot-image"] / seconds["shards-png"]
        result = {
            "write_ratio_vs_lerobot": round(min(lossy, lossless), 2),
            "write_ratio_lossy": round(lossy, 2),
            "write_ratio_lossless": round(lossless, 2),
            "samples_per_second": round(samples["shards-jpeg"], 1),
            "bytes_per_episode": round(size["shards-jpeg"]),
            "episodes": len(pairs),
        }
        print("RESULT", json.dumps(result))


def write_all(folder: Path, pairs: Pairs) -> dict[str, float]:
    """Seconds of each writer, by the name of the folder it wrote."""
    raw = folder / "raw"
    raw.mkdir()
    for number, (trajectory, rendered) in enumerate(pairs):
        for key in ("agentview", "wrist"):
            np.save(raw / f"{number:04d}-{key}.npy", getattr(rendered, key))
        for key in ("proprio", "action"):
            np.save(raw / f"{number:04d}-{key}.npy", getattr(trajectory, key))
    seconds = {}
    for encoding in ("jpeg", "png"):
        path = folder / f"shards-{encoding}"
        seconds[path.name] = timed(lambda path=path, e=encoding: write_shards(path, pairs, e))
    for kind in ("video", "image"):
        out = folder / f"lerobot-{kind}"
        seconds[out.name] = lerobot("write", kind, raw, out)
    shutil.rmtree(raw)
    source = folder / "shards-png"
    export = folder / "export-lerobot-video"
    seconds[export.name] = timed(lambda: export_lerobot(source, export))
    files = folder / "export-hdf5"
    seconds[files.name] = timed(lambda: export_hdf5(source, files))
    return seconds


def write_shards(path: Path, pairs: Pairs, encoding: str) -> None:
    with DatasetWriter(path, config={}) as writer:
        for _, group in groupby(pairs, key=lambda pair: pair[0].task):
            part = list(group)
            writer.append([trajectory for trajectory, _ in part])
            images = (
                RenderedEpisode(r.episode_id, r.agentview, r.wrist, encoding) for _, r in part
            )
            writer.append_images(images, shard=writer.shard_of(part[0][0].episode_id))


def read_all(folder: Path) -> dict[str, float]:
    """Random frames with both cameras, per second, one process."""
    rates = {}
    for encoding in ("jpeg", "png"):
        frames = Dataset(folder / f"shards-{encoding}")
        chosen = np.random.default_rng(0).integers(len(frames), size=NUM_SAMPLES)
        took = timed(lambda f=frames, c=chosen: [f[int(index)] for index in c])
        rates[f"shards-{encoding}"] = NUM_SAMPLES / took
    for name in ("lerobot-video", "lerobot-image", "export-lerobot-video"):
        rates[name] = NUM_SAMPLES / lerobot("read", folder / name, NUM_SAMPLES)
    rates["export-hdf5"] = NUM_SAMPLES / timed(lambda: read_hdf5(folder / "export-hdf5"))
    return rates


def read_hdf5(folder: Path) -> None:
    files = [h5py.File(path) for path in sorted(folder.rglob("*.hdf5"))]
    demos = [demo for file in files for demo in file["data"].values()]
    random = np.random.default_rng(0)
    for _ in range(NUM_SAMPLES):
        demo = demos[random.integers(len(demos))]
        step = random.integers(demo.attrs["num_samples"])
        for key in ("actions", "obs/ee_states", "obs/agentview_rgb", "obs/eye_in_hand_rgb"):
            demo[key][step]


def lerobot(*arguments: object) -> float:
    command = [LEROBOT, ROOT / "benchmarks/lerobot_writer.py", *arguments]
    done = subprocess.run(
        [str(word) for word in command], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])["seconds"]


def timed(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]), *map(int, sys.argv[2:3]))
