"""What does an expert cost, from nothing, and how good is it?

What it shows: for thirteen tasks, a tenth of LIBERO that nothing was tuned on, the CPU time of all
processes of ``rl-datagen train`` (demonstrations, cloning, fine-tuning, verdicts, evaluations,
imports and compilation), and then, not counted, the expert on 100 newly drawn init states that
chose nothing and on the 50 shipped ones: success, and length, jerk and action deviation of its
episodes beside those of its warm start and of the human.

How to run it (hours; finished tasks are left alone)::

    python benchmarks/expert_cost.py [--tasks libero_goal/0 ...] [--kind gaussian] [--at-once 2]

Results to expect: a JSON file per task in docs/results/expert_cost/; the last line is ``RESULT``
and a JSON object with ``tasks``, ``reached`` (95 of 100), ``core_minutes_median`` and
``core_minutes_total``. CPU time depends on the machine: ``env_step_ms`` says how fast it was.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

from common import commit_of, run_again, run_counted
from judging import judge

TASKS = (
    *("libero_spatial/2", "libero_spatial/9", "libero_object/3", "libero_goal/0", "libero_goal/5"),
    *("libero_10/2", "libero_10/8", "libero_90/4", "libero_90/27", "libero_90/39", "libero_90/55"),
    *("libero_90/74", "libero_90/83"),
)
KINDS = {"diffusion": (), "gaussian": ("ablation/gaussian",)}
RESULTS = Path(__file__).parent.parent / "docs/results/expert_cost"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--kind", choices=sorted(KINDS), default="diffusion")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure_task(arguments.one, arguments.kind, arguments.outputs)
        return
    left = [task for task in arguments.tasks if not row_path(task, arguments.kind).exists()]
    options = ("--kind", arguments.kind, "--outputs", str(arguments.outputs))
    run_again(__file__, [("--one", task, *options) for task in left], arguments.at_once)
    rows = [read_row(task, arguments.kind) for task in arguments.tasks]
    print("RESULT", json.dumps(summarise([row for row in rows if row])))


def row_path(task: str, kind: str) -> Path:
    suffix = "" if kind == "diffusion" else f"-{kind}"
    return RESULTS / f"{task.replace('/', '-')}{suffix}.json"


def read_row(task: str, kind: str) -> dict | None:
    path = row_path(task, kind)
    return json.loads(path.read_text()) if path.exists() else None


def summarise(rows: list[dict]) -> dict:
    minutes = [row["core_minutes"] for row in rows]
    drawn = [row["expert"]["drawn"]["successes"] for row in rows]
    return {
        "tasks": len(rows),
        "reached": sum(successes >= 95 for successes in drawn),
        "fewest_successes": min(drawn, default=None),
        "core_minutes_median": round(statistics.median(minutes), 1) if rows else None,
        "core_minutes_total": round(sum(minutes), 1),
    }


def measure_task(task: str, kind: str, outputs: Path) -> None:
    name = f"cost-{kind}-{task.replace('/', '-')}"
    row = {"task": task, "kind": kind, **make(task, KINDS[kind], name, outputs)}
    write_row(row, row_path(task, kind))


def make(task: str, settings: tuple[str, ...], name: str, outputs: Path) -> dict:
    """Makes an expert and returns what it took, which commit made it, and how good it is."""
    spent = train(task, settings, name, outputs)
    spent["recipe"] = commit_of(outputs / "runs" / name)
    return spent | judge(task, outputs / "experts" / task, name)


def write_row(row: dict, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(row), flush=True)


def train(task: str, settings: tuple[str, ...], name: str, outputs: Path) -> dict:
    """Makes the expert and returns what it took; a run that was cut off resumes."""
    log = outputs / "expert_cost" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        *("train", "expert_state", *settings, f"task={task}", f"name={name}"),
        *(f"output_dir={outputs}", "algo.num_env_runners=0"),
    ]
    begin = time.monotonic()
    seconds = run_counted(command, log.with_suffix(".seconds"), log)
    stages = {
        path.stem: json.loads(path.read_text())
        for path in (outputs / "runs" / name / "stages").glob("*.json")
    }
    return {
        "core_minutes": round(seconds / 60, 2),
        "wall_minutes": round((time.monotonic() - begin) / 60, 2),
        "iterations": stages["dppo"]["iterations"],
        "env_steps": stages["dppo"]["env_steps"],
        "stages": {stage: values["seconds"] for stage, values in stages.items()},
        "verdict": last_verdict(stages),
    }


def last_verdict(stages: dict[str, dict]) -> dict:
    after, before = stages["polish_after"], stages["polish_before"]
    values = after if "verdict" in after else before
    return {key: values.get(key) for key in ("round", "verdict", "num_episodes")}


if __name__ == "__main__":
    main()
