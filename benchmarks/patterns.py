"""Patterns: whether an expert succeeds on other ways than its own, and how far apart they are.

What it shows: a released expert runs from newly drawn init states, once more from the same with
other noise (how far apart episodes of one pattern are), and then once on each other pattern from
each init state where it succeeded. No attempt is repeated.

How to run it (some minutes a task)::

    python benchmarks/patterns.py [--tasks libero_object/3,libero_goal/0] [--patterns 4]

Results to expect: for each task a line per pattern (0: the expert's own way), with the successes
and their 95 % Wilson interval, those kept as different, the mean distance to the own way from the
same init state, length and mean squared jerk; then its coverage, alone and with the other
patterns. The last line is ``RESULT`` and a JSON object: ``tasks``, ``reached`` (tasks of which each
of three or more patterns succeeds in 90 % or more), and each task's coverage.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

from rl_datagen import load_expert
from rl_datagen.config import SimConfig
from rl_datagen.core.curves import path_distance
from rl_datagen.core.intervals import wilson_interval
from rl_datagen.data.patterns import pattern_of
from rl_datagen.report import measure_sources
from rl_datagen.report.coverage import coverages
from rl_datagen.report.metrics import mean_squared_jerk
from rl_datagen.report.plots import hand_paths
from rl_datagen.rollout import plan_episode, rollout, vary
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

TASKS = "libero_object/3,libero_goal/0,libero_90/74"
OWN = {"source": "diffusion_rl", "sim": SimConfig(), "num_threads": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--patterns", type=int, default=4, help="the expert's own way included")
    parser.add_argument("--episodes", type=int, default=50, help="of the own way, all attempts")
    parser.add_argument("--figures", type=Path, help="receives a figure of each task's paths")
    arguments = parser.parse_args()
    tasks = {task: measure(task, arguments) for task in arguments.tasks.split(",")}
    reached = sum(row["reached"] for row in tasks.values())
    print("RESULT", json.dumps({"tasks": len(tasks), "reached": reached, **tasks}))


def measure(task: str, arguments: argparse.Namespace) -> dict:
    scene, expert = load_scene(get_task(task)), load_expert(f"release/{task}")
    plans = [plan_episode(scene, "patterns", 0, n, None) for n in range(arguments.episodes)]
    own = {episode.episode_id: episode for episode in rollout(expert, scene, plans, **OWN)}
    origins = [own[plan.episode_id] for plan in plans if own[plan.episode_id].success]
    again = [replace(plan, seed=plan.seed + 1) for plan in plans if own[plan.episode_id].success]
    noise = [
        path_distance(episode.ee_pos, own[episode.episode_id].ee_pos)
        for episode in rollout(expert, scene, again, **OWN)
        if episode.success
    ]
    attempted = []
    kept, _ = vary(
        expert, scene, origins, arguments.patterns, sim=SimConfig(), on_episode=attempted.append
    )
    rows = [describe(task, 0, list(own.values()), origins, own)]
    for number in range(1, arguments.patterns):
        mine = [each for each in attempted if pattern_of(each.episode_id).number == number]
        different = [each for each in kept if pattern_of(each.episode_id).number == number]
        rows.append(describe(task, number, mine, different, own))
    sources = measure_sources([*origins, *kept])
    covered = {row.label: row for row in coverages(sources) if row.scope == task}
    if arguments.figures:
        hand_paths(sources, f"patterns-{task.replace('/', '-')}").save(arguments.figures)
    good = [row["kept"] >= 0.9 * row["n"] for row in rows]
    found = {
        "reached": bool(sum(good) >= 3),
        "other_noise_m": [round(fmean(noise), 4), round(max(noise), 4)],
        "approaches": covered["Diffusion RL and Other patterns"].num_approaches,
        "coverage": {label: asdict(row)["distance"] for label, row in covered.items()},
    }
    print(task, json.dumps(found), flush=True)
    return found | {"kept": [row["kept"] for row in rows], "n": [row["n"] for row in rows]}


def describe(task: str, number: int, attempted: list, kept: list, own: dict) -> dict:
    """Prints one pattern of a task."""
    successes = sum(episode.success for episode in attempted)
    low, high = wilson_interval(successes, len(attempted))
    to_own = [
        path_distance(each.ee_pos, own[pattern_of(each.episode_id).origin].ee_pos) for each in kept
    ]
    row = {
        "pattern": number,
        "n": len(attempted),
        "successes": successes,
        "interval": [round(low, 3), round(high, 3)],
        "kept": len(kept),
        "to_own_way_m": round(fmean(to_own), 4),
        "nearest_to_own_way_m": round(min(to_own), 4),
        "length": round(fmean(len(each) for each in kept), 1),
        "jerk": round(fmean(mean_squared_jerk(each.ee_pos) for each in kept), 1),
    }
    print(task, json.dumps(row), flush=True)
    return row


if __name__ == "__main__":
    main()
