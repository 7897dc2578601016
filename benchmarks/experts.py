"""All 130 experts: what they cost and how good they are.

What it shows: ``run`` is ``rl-datagen campaign run`` with the CPU time of all its processes
counted, over interruptions. ``judge`` takes its finished experts, each on 100 newly drawn init
states that chose nothing and on the 50 shipped ones, its warm start on 50 of the former.
``costs`` takes the rows of expert_cost.py, which has judged its experts in the same way.
``released`` takes the experts in release/, whose weights are in half precision, on the same.
``failures`` says why those of some tasks fail, by the labels of what they did.

How to run it (a day; both resume where they were)::

    python benchmarks/experts.py run --outputs FOLDER [--tasks all] [--at-once 2]
    python benchmarks/experts.py judge --outputs FOLDER
    python benchmarks/experts.py costs --tasks TASK[,TASK...]
    python benchmarks/experts.py released
    python benchmarks/experts.py failures --tasks TASK[,TASK...]

Results to expect: a line per task in docs/results/experts.json, in place of one of another
commit, and the CPU time so far in FOLDER/campaign.seconds; the last line is ``RESULT`` and a JSON
object with ``tasks``, ``reached`` (95 of 100 drawn), ``fewest_successes`` and ``core_hours``, the
sum of the tasks'. ``released`` writes docs/results/released.json; its ``RESULT`` compares with
single precision (``tasks_in_both``, ``successes``, ``successes_single``). Core minutes are those
of the stages' own processes.
"""

import argparse
import json
from pathlib import Path

from common import commit_of, run_counted
from rl_datagen.tasks import select_tasks

COMMANDS = ("run", "judge", "costs", "released", "failures")
NAME = "libero130"
ROWS = Path(__file__).parent.parent / "docs/results/experts.json"
COST = Path(__file__).parent.parent / "docs/results/expert_cost"
RELEASE = Path(__file__).parent.parent / "release/experts"
RELEASED = ROWS.with_name("released.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--outputs", type=Path, default=Path("outputs"))
    parser.add_argument("--tasks", default="all")
    parser.add_argument("--at-once", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(arguments)
        return
    if arguments.command == "released":
        judge_released()
        return
    if arguments.command == "failures":
        explain(arguments.tasks)
        return
    rows = stored_rows(ROWS)
    if arguments.command == "costs":
        add_costs(rows, arguments.tasks)
        return
    for state in sorted((arguments.outputs / "campaigns" / NAME / "trials").glob("*.json")):
        trial = json.loads(state.read_text())
        task = trial["task"]
        if trial["state"] != "finished":
            continue
        commit = commit_of(run_folder(task, arguments.outputs))
        if rows.get(task, {}).get("recipe") != commit:
            rows[task] = row(task, arguments.outputs, commit)
            print(json.dumps(rows[task]), flush=True)
            write_rows(rows)
    print("RESULT", json.dumps(summarise(list(rows.values()))))


def run(arguments: argparse.Namespace) -> None:
    arguments.outputs.mkdir(parents=True, exist_ok=True)
    settings = [f"name={NAME}", f"task={arguments.tasks}", f"output_dir={arguments.outputs}"]
    at_once = f"campaign.max_concurrent_trials={arguments.at_once}"
    run_counted(
        ["campaign", "run", "--retry-failed", "expert_state", "campaign", *settings, at_once],
        arguments.outputs / "campaign.seconds",
        arguments.outputs / "campaign.log",
    )


def judge_released() -> None:
    """The weights that others get; a row that is there stays."""
    from judging import judge_expert

    rows = stored_rows(RELEASED)
    for folder in sorted(path.parent for path in RELEASE.glob("*/*/config.yaml")):
        task = folder.relative_to(RELEASE).as_posix()
        if task not in rows:
            found = judge_expert(task, folder)
            rows[task] = {"task": task} | {
                f"{count}_{states}": found[states][count]
                for states in ("drawn", "shipped")
                for count in ("successes", "n")
            }
            print(json.dumps(rows[task]), flush=True)
            write_rows(rows, RELEASED)
    single = stored_rows(ROWS)
    both = [task for task in rows if task in single]
    print(
        "RESULT",
        json.dumps(
            {
                "tasks": len(rows),
                "reached": sum(row["successes_drawn"] >= 95 for row in rows.values()),
                "fewest_successes": min(row["successes_drawn"] for row in rows.values()),
                "tasks_in_both": len(both),
                "successes": sum(rows[task]["successes_drawn"] for task in both),
                "successes_single": sum(single[task]["success_drawn"] for task in both),
            }
        ),
    )


def explain(tasks: str) -> None:
    from judging import failure_causes

    for task in select_tasks(tasks):
        if (folder := RELEASE / task.id).exists():
            print(task.id, dict(failure_causes(task.id, folder)), flush=True)


def run_folder(task: str, outputs: Path) -> Path:
    return outputs / "runs" / NAME / task.replace("/", "-")


def row(task: str, outputs: Path, commit: str) -> dict:
    from judging import judge

    found = judge(task, outputs / "experts" / task, NAME)
    folder = run_folder(task, outputs)
    stages = {path.stem: json.loads(path.read_text()) for path in folder.glob("stages/*.json")}
    cores = [stage.get("core_seconds") for stage in stages.values()]
    cost = None if None in cores else round(sum(cores) / 60, 2)
    spent = {"core_minutes": cost, "env_steps": stages["dppo"]["env_steps"]}
    return flat(task, found, spent, commit)


def flat(task: str, found: dict, spent: dict, recipe: str) -> dict:
    expert, warm, human = found["expert"], found["warm_start"], found["human"]
    drawn, shipped = expert["drawn"], expert["shipped"]
    by_source = {"human": human, "warm": warm["drawn"], "expert": drawn}
    measures = {"length": "length", "jerk": "mean_squared_jerk", "action_std": "action_std"}
    return {
        "task": task,
        "warm_start": warm["drawn"]["successes"] / warm["drawn"]["n"],
        "expert": drawn["successes"] / drawn["n"],
        "n": drawn["n"],
        "success_drawn": drawn["successes"],
        "success_benchmark": shipped["successes"],
        "n_benchmark": shipped["n"],
        **{
            f"{short}_{source}": values[measure]
            for short, measure in measures.items()
            for source, values in by_source.items()
            if measure in values
        },
        "env_step_ms": drawn["env_step_ms"],
        **spent,
        "recipe": recipe,
    }


def stored_rows(path: Path) -> dict[str, dict]:
    """Rows by task; none: there is no such file yet."""
    return {row["task"]: row for row in json.loads(path.read_text())} if path.exists() else {}


def add_costs(rows: dict[str, dict], tasks: str) -> None:
    """Takes the rows that expert_cost.py has of some tasks, in place of what is there of them."""
    for task in select_tasks(tasks):
        if (path := COST / f"{task.suite}-{task.index}.json").exists():
            cost = json.loads(path.read_text())
            spent = {key: cost[key] for key in ("core_minutes", "env_steps")}
            rows[task.id] = flat(task.id, cost, spent, cost["recipe"])
    write_rows(rows)


def write_rows(rows: dict[str, dict], path: Path = ROWS) -> None:
    lines = [json.dumps(row) for row in rows.values()]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def summarise(rows: list[dict]) -> dict:
    successes = [row["success_drawn"] for row in rows]
    return {
        "tasks": len(rows),
        "reached": sum(number >= 95 for number in successes),
        "fewest_successes": min(successes),
        "core_hours": round(sum(row["core_minutes"] or 0 for row in rows) / 60, 1),
    }


if __name__ == "__main__":
    main()
