"""What is each part of the recipe worth? It is left out, alone, on tasks it was tuned on.

What it shows: core minutes from nothing to an expert, iterations and env steps of PPO, and of the
expert's 100 newly drawn init states success, length, jerk and action deviation: with the whole
recipe, and without one lever at a time.

How to run it (five minutes a run on a quiet core; finished runs are left alone)::

    python benchmarks/levers.py [--tasks libero_90/48 ...] [--levers polishing ...] [--seeds 0 1]
    python benchmarks/levers.py --table

Results to expect: a file per run in docs/results/levers/; ``--table`` prints them, summed up by
lever, as Markdown. The last line is ``RESULT`` and a JSON object with ``runs``.
"""

import argparse
import json
import statistics
from pathlib import Path

from common import run_again
from expert_cost import make, write_row

TASKS = ("libero_90/48", "libero_90/24", "libero_object/1")
LEVERS = {
    "nothing": (),
    "the second 60 demonstrations": ("demos.num_episodes=60", "warm_start.num_updates=2000"),
    "going on after success": ("demos.num_steps_after_success=0",),
    "quiet demonstrations": ("demos.action_noise=0.08",),
    "objects of interest": ("policy.objects=all",),
    "acting without noise": ("policy.evaluation_temperature=0.5",),
    "polishing": ("polish.num_rounds=0",),
}
"""What leaves each out."""
RESULTS = Path(__file__).parent.parent / "docs/results/levers"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--levers", nargs="+", default=list(LEVERS), choices=list(LEVERS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"))
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        task, lever, seed = arguments.one
        measure(task, lever, int(seed), arguments.outputs)
        return
    if arguments.table:
        print_table()
    else:
        run_missing(arguments)
    print("RESULT", json.dumps({"runs": len(stored_rows())}))


def run_missing(arguments: argparse.Namespace) -> None:
    left = [
        (task, lever, seed)
        for seed in arguments.seeds
        for task in arguments.tasks
        for lever in arguments.levers
        if not row_path(task, lever, seed).exists()
    ]
    options = ("--outputs", str(arguments.outputs))
    parts = [(*options, "--one", *map(str, run)) for run in left]
    run_again(__file__, parts, arguments.at_once)


def row_path(task: str, lever: str, seed: int) -> Path:
    name = f"{task.replace('/', '-')}-without-{lever.replace(' ', '-')}-{seed}"
    return RESULTS / f"{name}.json"


def stored_rows() -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]


def measure(task: str, lever: str, seed: int, outputs: Path) -> None:
    """Makes one expert, judges it, and writes its row."""
    path = row_path(task, lever, seed)
    made = make(task, (*LEVERS[lever], f"seed={seed}"), path.stem, outputs)
    write_row({"task": task, "lever": lever, "seed": seed, **made}, path)


def print_table() -> None:
    rows = stored_rows()
    print("| without | runs | core minutes | PPO iterations | successes | length | jerk |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for lever in LEVERS:
        if chosen := [row for row in rows if row["lever"] == lever]:
            print(f"| {lever} | {' | '.join(cells(chosen))} |")


def cells(rows: list[dict]) -> list[str]:
    drawn = [row["expert"]["drawn"] for row in rows]
    successes, n = (sum(each[key] for each in drawn) for key in ("successes", "n"))
    return [
        str(len(rows)),
        f"{statistics.mean(row['core_minutes'] for row in rows):.1f}",
        str(sum(row["iterations"] for row in rows)),
        f"{successes} of {n}",
        f"{statistics.geometric_mean(each['length'] for each in drawn):.0f}",
        f"{statistics.geometric_mean(each['mean_squared_jerk'] for each in drawn):.0f}",
    ]


if __name__ == "__main__":
    main()
