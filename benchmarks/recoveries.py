"""Recoveries: whether a policy can take over anywhere on the way of a recorded episode.

What it shows: released episodes are followed to env steps drawn at random, every state on the way
is compared with the record bit for bit, and the released expert takes over, at once or after a
push.

How to run it (some minutes)::

    python benchmarks/recoveries.py --tasks 10 --episodes 50

Results to expect: a line per task, and a last line ``RESULT`` with a JSON object: ``branches``,
``bit_identical`` (of them), ``takeover`` and ``takeover_pushed`` (successes of as many branches
each), and their 95 % Wilson intervals. A state that differs ends it with an error.
"""

import argparse
import json
from pathlib import Path

from rl_datagen import load_expert
from rl_datagen.config import SimConfig
from rl_datagen.core.intervals import wilson_interval
from rl_datagen.data.branches import branch_of
from rl_datagen.data.compact import read_compact, read_compact_manifest
from rl_datagen.jobs.hydrate import replay_compact
from rl_datagen.rollout import recover
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

RELEASE = Path(__file__).parent.parent / "release"
KINDS = {"takeover": False, "takeover_pushed": True}  # and whether the hand is pushed before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=10, help="the first ones of the release")
    parser.add_argument("--episodes", type=int, default=50, help="of each, with a branch each")
    arguments = parser.parse_args()
    files = read_compact_manifest(RELEASE / "libero130").files
    total = dict.fromkeys(KINDS, 0)
    branches = 0
    for task in [file.task for file in files][: arguments.tasks]:
        counts, num = measure(task, arguments.episodes)
        branches += num
        total = {kind: total[kind] + counts[kind] for kind in KINDS}
        print(task, json.dumps(counts | {"branches_of_each": num}), flush=True)
    intervals = {f"{kind}_ci": wilson_interval(total[kind], branches) for kind in KINDS}
    found = {"branches": 2 * branches, "bit_identical": 2 * branches}
    print("RESULT", json.dumps(found | total | intervals))


def measure(task: str, num_episodes: int) -> tuple[dict[str, int], int]:
    """Returns the successes of each kind, and of how many branches."""
    scene = load_scene(get_task(task))
    episodes = list(read_compact(RELEASE / "libero130", task))[:num_episodes]
    origins = [replay_compact(episode, scene) for episode in episodes]
    expert = load_expert(f"release/{task}")
    counts = {}
    for kind, pushes in KINDS.items():
        settings = {"seed": 0, "sim": SimConfig(), "pushes": pushes}
        found, attempts = recover(expert, scene, origins, 1, 1, **settings)
        assert attempts == len(origins)
        assert all(branch_of(episode.episode_id) for episode in found)
        counts[kind] = len(found)
    return counts, len(origins)


if __name__ == "__main__":
    main()
