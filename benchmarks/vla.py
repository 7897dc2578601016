"""How fast does the built-in VLA learn?

What it shows: gradient steps per second of ``rl-datagen vla train``'s own loop, batches and
augmentation included, in float32 and in bf16, which take turns. The frames are random and in
memory; real ones are mapped from disk.

How to run it::

    python benchmarks/vla.py [vla/small] [--device cuda] [--updates 100] [--rounds 3]

Results to expect: the last line is ``RESULT`` and a JSON object with the median of
``updates_per_second`` by precision. The study's estimate (``costs.vla_updates_per_second``) is for
the overlay vla/small on one GPU.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from rl_datagen.config import SmallVlaConfig, VlaConfig, load_config
from rl_datagen.data.schema import CAMERAS
from rl_datagen.vla.frames import Frames
from rl_datagen.vla.learner import Place, fit, make_learner
from rl_datagen.vla.network import SmallVla

import numpy as np
import torch

INSTRUCTIONS = ["open the drawer", "close the drawer"]
NUM_FRAMES, LANGUAGE_SIZE = 2000, 384


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overlay", nargs="?", default="vla/small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rates: dict[str, list[float]] = {"float32": [], "bf16": []}
    for number in range(arguments.rounds + 1):
        for precision, found in rates.items():
            settings = [f"model.precision={precision}", f"model.num_updates={arguments.updates}"]
            config = load_config([arguments.overlay, "datasets=none", *settings], model=VlaConfig)
            rate = measure(config.model, arguments.device)
            if number:  # the first round warms up
                found.append(rate)
                print(f"round {number}: {precision} {rate:.2f} updates/s", flush=True)
    medians = {precision: round(statistics.median(found), 2) for precision, found in rates.items()}
    print("RESULT", json.dumps({"updates_per_second": medians, "device": arguments.device}))


def measure(model: SmallVlaConfig, device: str) -> float:
    """Returns gradient steps per second of a training from new weights."""
    seen = frames(model.image_size)
    network, place = SmallVla(model, seen.stats(), LANGUAGE_SIZE), Place(device=device)
    learner = make_learner(network, model, place)
    embeddings = {sentence: torch.randn(LANGUAGE_SIZE) for sentence in INSTRUCTIONS}
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        fit(learner, model, place, seen, embeddings, seed=0, checkpoint=Path(folder, "checkpoint"))
        return model.num_updates / (time.monotonic() - begin)


def frames(image_size: int) -> Frames:
    rng = np.random.default_rng(0)
    shape = (NUM_FRAMES, image_size, image_size, 3)
    return Frames(
        images={camera: rng.integers(0, 256, shape, np.uint8) for camera in CAMERAS},
        proprio=rng.normal(size=(NUM_FRAMES, 8)).astype(np.float32),
        action=rng.uniform(-1, 1, (NUM_FRAMES, 7)).astype(np.float32),
        last=np.full(NUM_FRAMES, NUM_FRAMES - 1),
        instruction=rng.integers(len(INSTRUCTIONS), size=NUM_FRAMES),
        instructions=INSTRUCTIONS,
        info={},
    )


if __name__ == "__main__":
    main()
