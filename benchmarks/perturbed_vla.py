"""Does a VLA that learnt from perturbed scenes too do better there, and no worse elsewhere?

What it shows: two VLAs of the same settings, one on amplified demonstrations of three tasks, the
other on a quarter of these and as many frames of the tasks with objects elsewhere (``_swap``), with
other objects (``_object``) and with a mug in the way (``_with_mug``). Both are evaluated on the
tasks, on these perturbations, and on two that neither saw (``_with_milk``,
``_with_yellow_book``), from shipped init states, which no demonstration started from.

How to run it (about two core hours; what is finished is kept)::

    python benchmarks/perturbed_vla.py --outputs FOLDER

Results to expect: the tables, then ``RESULT`` and a JSON object: frames of both data sets.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rl_datagen.data.manifest import read_manifest

TASKS = "2,6,7"
LEARNT = ("_swap", "_object", "_with_mug")
UNSEEN = ("_with_milk", "_with_yellow_book")
NUM_EPISODES = 15  # of each task and kind in the mixture
NUM_UPDATES = 4000
NUM_EVALUATED = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=Path, required=True)
    outputs = parser.parse_args().outputs
    perturbed = amplify(outputs, "perturbed", LEARNT, NUM_EPISODES)
    few = amplify(outputs, "few", ("",), NUM_EPISODES)
    share = num_frames(perturbed, few) / num_frames(few)
    clean = amplify(outputs, "clean", ("",), round(share * NUM_EPISODES))
    datasets = {"clean": (clean,), "mixed": (perturbed, few)}
    with ThreadPoolExecutor() as pool:  # each learns on one core
        list(pool.map(lambda name: train(outputs, name, *datasets[name]), datasets))
    evaluations = [evaluate(outputs, name) for name in datasets]
    rl_datagen("tables", *evaluations, "--out", outputs / "tables")
    print((outputs / "tables/tables.md").read_text())
    frames = {"clean": num_frames(clean), "mixed": num_frames(perturbed, few)}
    print("RESULT", json.dumps({"frames": frames}))


def amplify(outputs: Path, name: str, kinds: tuple[str, ...], num_episodes: int) -> Path:
    """Returns a rendered dataset of demonstrations from newly drawn init states."""
    rl_datagen(
        *("demos", "amplify", f"task={select(kinds)}", f"name={name}", f"output_dir={outputs}"),
        *(f"num_episodes={num_episodes}", "num_shipped_init_states=0"),
    )
    dataset = outputs / "demos" / name
    rl_datagen("dataset", "render", dataset, "--size", 64, "--encoding", "jpeg")
    return dataset


def train(outputs: Path, name: str, *datasets: Path) -> None:
    rl_datagen(
        *("vla", "train", "vla/tiny", f"name={name}", f"output_dir={outputs}"),
        *(f"datasets=[{','.join(map(str, datasets))}]", f"model.num_updates={NUM_UPDATES}"),
    )


def evaluate(outputs: Path, name: str) -> Path:
    rl_datagen(
        *("evaluate", outputs / "vlas" / name, f"name={name}", f"output_dir={outputs}"),
        *(f"task={select(('', *LEARNT, *UNSEEN))}", f"num_episodes={NUM_EVALUATED}"),
    )
    return outputs / "evaluations" / name


def select(kinds: tuple[str, ...]) -> str:
    return ",".join(f"libero_goal{kind}/{TASKS}" for kind in kinds)


def num_frames(*datasets: Path) -> int:
    shards = [shard for dataset in datasets for shard in read_manifest(dataset).shards]
    return sum(shard.steps.num_rows for shard in shards)


def rl_datagen(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "rl_datagen", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
