"""Reads a rendered dataset as Hugging Face's ``datasets`` does, by its card.

Runs in an environment that has ``datasets``, and imports nothing of this package.

Usage: check_datasets.py DATASET
"""

import sys
from collections import defaultdict
from tempfile import TemporaryDirectory

import datasets
import numpy as np
import stored


def main(dataset: str) -> None:
    with TemporaryDirectory() as cache:
        parts = {
            name: datasets.load_dataset(dataset, name, split="train", cache_dir=cache)
            for name in ("steps", "episodes", "images")
        }
        frames = defaultdict(list)
        for row in parts["images"]:
            frames[row["episode_id"]].append([np.asarray(row[c]) for c in ("agentview", "wrist")])
    count = 0
    for episode in stored.read(dataset):
        for camera, name in enumerate(("agentview", "wrist")):
            found = np.stack([images[camera] for images in frames[episode["id"]]])
            assert np.array_equal(found, episode[name]), episode["id"]
            count += len(found)
    lengths = ", ".join(f"{len(part)} {name}" for name, part in parts.items())
    sys.stdout.write(
        f"datasets {datasets.__version__}: {lengths}; {count} images decoded and equal\n"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
