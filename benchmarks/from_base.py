"""Does a perturbed task's expert that begins with the base task's come to anything?

What it shows: for some perturbed tasks, successes from the 50 shipped init states of the released
expert of the task that they perturb, of what ``rl-datagen train`` makes of it
(``warm_start.expert``), and, with ``--from-nothing``, of what it makes of nothing; and the CPU time
of either.

How to run it (some ten core minutes per expert; finished ones are kept)::

    python benchmarks/from_base.py [TASK ...] --outputs FOLDER [--from-nothing]

Results to expect: a line per task, then ``RESULT`` and a JSON object.
"""

import argparse
import json
from pathlib import Path

from common import run_counted
from judging import judge_shipped
from rl_datagen.policy.release import released
from rl_datagen.tasks import get_task

TASKS = ("libero_spatial_swap/2", "libero_object_swap/5", "libero_goal_swap/8")
MEASURES = ("successes", "n", "length", "mean_squared_jerk")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--outputs", type=Path, required=True)
    parser.add_argument("--from-nothing", action="store_true")
    arguments = parser.parse_args()
    names = ["from-base", *["from-nothing"] * arguments.from_nothing]
    rows = {}
    for task in arguments.tasks:
        rows[task] = measure(task, arguments.outputs, names)
        print(task, json.dumps(rows[task]), flush=True)
    print("RESULT", json.dumps(rows))


def measure(task: str, outputs: Path, names: list[str]) -> dict:
    """Returns what the base task's expert does here, and what comes of it, or of nothing."""
    base = f"release/{get_task(task).base.id}"
    settings = {"from-base": [f"warm_start.expert={base}"], "from-nothing": []}
    path = outputs / "from_base" / f"{task.replace('/', '-')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    row = json.loads(path.read_text()) if path.exists() else {}
    if not row:
        before = judge_shipped(task, Path(released(base)), owner=get_task(task).base.id)
        row["before"] = kept(before)
    for name in (name for name in names if name not in row):
        spent, log = (path.with_suffix(f".{name}.{kind}") for kind in ("seconds", "log"))
        run = f"{name}-{path.stem}"
        place = (f"task={task}", f"name={run}", f"output_dir={outputs}")
        seconds = run_counted(["train", "expert_state", *place, *settings[name]], spent, log)
        after = judge_shipped(task, outputs / "experts" / task / run)
        row[name] = kept(after) | {"core_minutes": round(seconds / 60, 1)}
    path.write_text(json.dumps(row))
    return row


def kept(row: dict) -> dict:
    return {measure: row[measure] for measure in MEASURES if measure in row}


if __name__ == "__main__":
    main()
