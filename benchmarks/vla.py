"""How fast does the built-in VLA learn?

What it shows: gradient steps per second of ``rl-datagen vla train``'s own loop, batches and
augmentation included, in float32 and in bf16, which take turns. The frames are random and in
memory, or those of a dataset, as a training keeps them on disk.

How to run it::

    python benchmarks/vla.py [vla/small] [--device cuda] [--updates 100] [--rounds 3]
        [--dataset DATASET [--encoded]]

Results to expect: the last line is ``RESULT`` and a JSON object with the median of
``updates_per_second`` by precision. The study's estimate (``costs.vla_updates_per_second``) is for
the overlay vla/small on one GPU. With a dataset also ``core_ms_per_frame`` of writing its frames
(both cameras), ``kb_per_frame`` on disk beside ``raw_kb_per_frame``, and ``core_ms_per_sample`` of
reading one.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from rl_datagen.config import SmallVlaConfig, VlaConfig, load_config
from rl_datagen.data.schema import CAMERAS
from rl_datagen.vla import frames_format
from rl_datagen.vla.frames import Frames, read_frames
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
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--encoded", action="store_true", help="its frames as if they were many")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(arguments, Path(folder))


def run(arguments: argparse.Namespace, folder: Path) -> None:
    model = load_config([arguments.overlay, "datasets=none"], model=VlaConfig).model
    if arguments.encoded:
        frames_format._MAX_PIXEL_BYTES = 0
    seen, costs = random_frames(model.image_size), {}
    if arguments.dataset:
        seen, costs = stored_frames(folder / "frames", arguments.dataset, model.image_size)
    rates: dict[str, list[float]] = {"float32": [], "bf16": []}
    for number in range(arguments.rounds + 1):
        for precision, found in rates.items():
            settings = [f"model.precision={precision}", f"model.num_updates={arguments.updates}"]
            config = load_config([arguments.overlay, "datasets=none", *settings], model=VlaConfig)
            rate = measure(config.model, seen, arguments.device)
            if number:  # the first round warms up
                found.append(rate)
                print(f"round {number}: {precision} {rate:.2f} updates/s", flush=True)
    medians = {precision: round(statistics.median(found), 2) for precision, found in rates.items()}
    result = {"updates_per_second": medians, "device": arguments.device, **costs}
    print("RESULT", json.dumps(result))


def measure(model: SmallVlaConfig, seen: Frames, device: str) -> float:
    """Returns gradient steps per second of a training from new weights."""
    network, place = SmallVla(model, seen.stats(), LANGUAGE_SIZE), Place(device=device)
    learner = make_learner(network, model, place)
    embeddings = {sentence: torch.randn(LANGUAGE_SIZE) for sentence in seen.instructions}
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        fit(learner, model, place, seen, embeddings, seed=0, checkpoint=Path(folder, "checkpoint"))
        return model.num_updates / (time.monotonic() - begin)


def stored_frames(folder: Path, dataset: Path, image_size: int) -> tuple[Frames, dict[str, float]]:
    """Returns a dataset's frames, and what they cost."""
    begin = time.process_time()
    frames_format.write_frames(
        folder, dataset, tasks="all", drop_noops=False, image_size=image_size, num_workers=1
    )
    written = time.process_time() - begin
    seen = read_frames(folder)
    index = np.random.default_rng(0).integers(len(seen), size=1000)
    begin = time.process_time()
    shown = seen.observation(index)
    read = time.process_time() - begin
    num_bytes = sum(path.stat().st_size for path in folder.glob("*.bin"))
    raw = sum(images[0].numel() for name, images in shown.items() if name in CAMERAS)
    costs = {
        "frames": len(seen),
        "core_ms_per_frame": 1000 * written / len(seen),
        "core_ms_per_sample": 1000 * read / len(index),
        "kb_per_frame": num_bytes / len(seen) / 1000,
        "raw_kb_per_frame": raw / 1000,
    }
    return seen, {name: round(value, 3) for name, value in costs.items()}


def random_frames(image_size: int) -> Frames:
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
