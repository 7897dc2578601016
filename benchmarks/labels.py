"""Labels against LIBERO's own predicates, their rate, and failures to be judged.

How to run it::

    python benchmarks/labels.py exactness       # 10 released episodes of each of 10 tasks
    python benchmarks/labels.py failures OUT    # 50 failed episodes: causes, evidence, pictures
"""

import argparse
import json
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import rl_datagen  # noqa: F401

import numpy as np

TASKS = (
    *("libero_goal/0", "libero_goal/4", "libero_goal/7", "libero_spatial/2", "libero_spatial/9"),
    *("libero_object/3", "libero_10/2", "libero_90/4", "libero_90/39", "libero_90/83"),
)
RELEASE = Path(__file__).parent.parent / "release/libero130"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    exact = commands.add_parser("exactness")
    exact.add_argument("--tasks", nargs="+", default=TASKS)
    exact.add_argument("--episodes", type=int, default=10, help="of each task")
    exact.set_defaults(run=exactness)
    failed = commands.add_parser("failures")
    failed.add_argument("out", type=Path, help="folder for a dataset and pictures")
    failed.add_argument("--no-pictures", action="store_true")
    failed.set_defaults(run=failures)
    arguments = parser.parse_args()
    print("RESULT", json.dumps(arguments.run(arguments)))


def exactness(arguments: argparse.Namespace) -> dict:
    rows, differences = [], []
    for task in arguments.tasks:
        row = compare(task, arguments.episodes)
        differences += row.pop("force_differences")
        rows.append(row)
        print(json.dumps(row), flush=True)
    rates = [row["frames_per_cpu_second"] for row in rows]
    total = {
        name: sum(row[name] for row in rows)
        for name in (
            *("episodes", "frames", "predicates", "true", "different"),
            *("live_frames", "goals_identical", "held_identical", "touched_identical"),
        )
    }
    return {
        "tasks": len(rows),
        **total,
        "force_difference_median_%": round(100 * float(np.median(differences)), 3),
        "force_difference_p90_%": round(100 * float(np.quantile(differences, 0.9)), 3),
        "contacts_compared": len(differences),
        "frames_per_cpu_second": round(
            sum(row["frames"] for row in rows) / sum(row["cpu_s"] for row in rows)
        ),
        "slowest_task": min(rates),
        "fastest_task": max(rates),
    }


def compare(task_id: str, num_episodes: int) -> dict:
    """Compares the labels of a task's released episodes with LIBERO's own environment."""
    from rl_datagen.data.compact import read_compact
    from rl_datagen.jobs.hydrate import replay_compact
    from rl_datagen.labels import Labeller
    from rl_datagen.sim import load_scene
    from rl_datagen.sim.libero import make_stock_env
    from rl_datagen.tasks import get_task

    scene = load_scene(get_task(task_id))
    labeller, env = Labeller(scene), make_stock_env(get_task(task_id))
    env.reset()
    compact = islice(read_compact(RELEASE, task_id), num_episodes)
    episodes = [replay_compact(each, scene) for each in compact]
    labeller.label(episodes[0])  # compiles
    begin = time.process_time()
    labels = [labeller.label(episode) for episode in episodes]
    seconds = time.process_time() - begin
    row = {"task": task_id, "episodes": len(episodes), "frames": sum(map(len, episodes))}
    row |= {"predicates": 0, "true": 0, "different": 0}
    for episode, found in zip(episodes, labels, strict=True):
        expected = stock_predicates(env, scene, episode)
        row["predicates"] += expected.size
        row["true"] += int(expected.sum())
        row["different"] += int((expected != found.predicates).sum())
    env.close()
    row |= compare_live(scene, episodes[:2])
    rate = round(row["frames"] / seconds)
    return {**row, "cpu_s": seconds, "frames_per_cpu_second": rate}


def stock_predicates(env, scene, episode) -> np.ndarray:
    """Returns LIBERO's own answer of each statement, ``[T, P]``, each state set and forwarded."""
    model, domain = env.sim.model, env.env
    model.body_pos[scene.fixture_ids] = episode.fixture_poses[:, :3]
    model.body_quat[scene.fixture_ids] = episode.fixture_poses[:, 3:]
    rows = []
    for state in episode.sim_state:
        env.sim.set_state_from_flattened(state)
        env.sim.forward()
        goal = domain.parsed_problem["goal_state"]
        rows.append([bool(domain._eval_predicate(statement)) for statement in goal])
    return np.array(rows)


def compare_live(scene, episodes) -> dict:
    """Compares contacts and forces with what a replay's physics leave, 2 ms before each state."""
    from rl_datagen.labels.observe import Observer
    from rl_datagen.sim import replay
    from rl_datagen.sim.contacts import HandContacts

    contacts, observer = HandContacts(scene), Observer(scene)
    counts, differences = Counter(), []
    for episode in episodes:
        seen = observer.observe(episode)
        goals = controller_goals(scene, episode)
        for step, simulator in enumerate(replay(episode, scene)):
            touched, forces, held = contacts.read(simulator.data)
            names = [contacts.names[each] for each in touched]
            goal = np.concatenate([each.ravel() for each in simulator.goal_pose()])
            counts["live_frames"] += 1
            counts["goals_identical"] += step == 0 or np.array_equal(goal, goals[step])
            counts["held_identical"] += seen.held[step] == (
                "" if held is None else contacts.names[held]
            )
            counts["touched_identical"] += names == seen.contact_objects[step]
            mine = dict(zip(seen.contact_objects[step], seen.contact_forces[step], strict=True))
            live = dict(zip(names, forces, strict=True))
            both = [name for name in mine if live.get(name, 0) > 1]
            differences += [abs(mine[name] - live[name]) / live[name] for name in both]
    return {**counts, "force_differences": differences}


def controller_goals(scene, episode) -> list[np.ndarray]:
    """Returns where labels have the controller drive the hand at each state."""
    from rl_datagen.labels.observe import Observer

    observer = Observer(scene)
    simulator, goals = observer._simulator, []
    look = simulator.look_at

    def spy(state):
        look(state)
        goals.append(np.concatenate([each.ravel() for each in simulator.goal_pose()]))

    simulator.look_at = spy
    observer.observe(episode)
    return goals[1:]  # the first state is looked at once more, to begin


def failures(arguments: argparse.Namespace) -> dict:
    from labels_failures import failures as run

    return run(arguments)


if __name__ == "__main__":
    main()
