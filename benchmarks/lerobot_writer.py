"""LeRobot's own writer and reader, for ``dataset.py`` and ``random_access.py``, beside this file.

Runs where lerobot is installed.

Usage: lerobot_writer.py write video|image FRAMES OUT
       lerobot_writer.py read EXPORT NUM_SAMPLES
       lerobot_writer.py read_chunks EXPORT NUM_WARM NUM_SAMPLES HORIZON torchcodec|pyav
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def write(kind, frames, out):
    """Seconds for the episodes in a folder: images, state and actions as .npy."""
    image = {"dtype": kind, "names": ["height", "width", "channel"]}
    names = sorted(Path(frames).glob("*-action.npy"))
    size = np.load(str(names[0]).replace("action", "agentview"), mmap_mode="r").shape[1:]
    features = {
        "observation.images.image": {**image, "shape": size},
        "observation.images.image2": {**image, "shape": size},
        "observation.state": {"dtype": "float32", "shape": (8,), "names": None},
        "action": {"dtype": "float32", "shape": (7,), "names": None},
    }
    dataset = LeRobotDataset.create(
        "local/bench", 20, features, root=out, use_videos=kind == "video"
    )
    seconds = 0.0
    for name in names:
        keys = {"agentview": 0, "wrist": 1, "proprio": 2, "action": 3}
        arrays = [np.load(str(name).replace("action", key)) for key in keys]
        begin = time.perf_counter()
        for row in zip(*arrays, strict=True):
            dataset.add_frame({**dict(zip(features, row, strict=True)), "task": "bench"})
        dataset.save_episode()
        seconds += time.perf_counter() - begin
    begin = time.perf_counter()
    dataset.finalize()
    return seconds + time.perf_counter() - begin


def read(export, num_samples):
    """Seconds for random frames with both cameras."""
    dataset = LeRobotDataset("local/bench", root=export, video_backend="pyav")
    chosen = np.random.default_rng(0).integers(len(dataset), size=int(num_samples))
    begin = time.perf_counter()
    for index in chosen:
        dataset[int(index)]
    return time.perf_counter() - begin


def read_chunks(export, num_warm, num_samples, horizon, backend):
    """Seconds, and seconds of CPU time, for random frames and the actions from there on."""
    windows = {"action": [step / 20 for step in range(int(horizon))]}
    dataset = LeRobotDataset(
        "local/bench", root=export, video_backend=backend, delta_timestamps=windows
    )
    num_warm, num_samples = int(num_warm), int(num_samples)
    chosen = np.random.default_rng(0).integers(len(dataset), size=num_warm + num_samples)
    for number, index in enumerate(chosen.tolist()):
        if number == num_warm:
            begin = time.perf_counter(), time.process_time()
        dataset[index]
    return time.perf_counter() - begin[0], time.process_time() - begin[1]


if __name__ == "__main__":
    functions = {"write": write, "read": read, "read_chunks": read_chunks}
    seconds = functions[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write(json.dumps({"seconds": seconds}) + "\n")
