"""Failed episodes made on purpose, their causes and the evidence; run as ``labels.py failures``.

Released experts are made weak in four ways: noise on their actions, a gripper that opens now and
then, too little time, and the expert of another task in the same scene. What was done to an
episode is not what decides its cause: a noisy one may drop, miss or run out of time.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rl_datagen.config import SimConfig
from rl_datagen.core.seeding import derive_seed
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.jobs.stored import find_policy
from rl_datagen.labels import Labeller
from rl_datagen.labels.observe import Observer
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import InitialState, load_scene
from rl_datagen.sim.compiled import CompiledSimulator
from rl_datagen.tasks import get_task

import numpy as np
from PIL import Image, ImageDraw

# task, expert's task, how it is made weak, how strongly, failures wanted
RUNS = (
    ("libero_goal/6", "libero_goal/6", "noise", 0.35, 4),
    ("libero_goal/8", "libero_goal/8", "noise", 0.35, 4),
    ("libero_object/3", "libero_object/3", "noise", 0.4, 4),
    ("libero_spatial/2", "libero_spatial/2", "noise", 0.4, 4),
    ("libero_90/55", "libero_90/55", "noise", 0.4, 3),
    ("libero_goal/7", "libero_goal/7", "noise", 0.6, 3),
    ("libero_10/2", "libero_10/2", "noise", 0.3, 2),
    ("libero_goal/6", "libero_goal/6", "opens", 0.25, 3),
    ("libero_spatial/9", "libero_spatial/9", "opens", 0.25, 4),
    ("libero_object/3", "libero_object/3", "opens", 0.25, 3),
    ("libero_90/55", "libero_90/55", "opens", 0.25, 2),
    ("libero_goal/8", "libero_goal/8", "time", 0.7, 2),
    ("libero_goal/0", "libero_goal/0", "time", 0.85, 2),
    ("libero_90/4", "libero_90/4", "time", 0.6, 2),
    ("libero_goal/8", "libero_goal/6", "swapped", 0, 2),
    ("libero_goal/6", "libero_goal/8", "swapped", 0, 2),
    ("libero_goal/5", "libero_goal/6", "swapped", 0, 2),
    ("libero_goal/4", "libero_goal/6", "swapped", 0, 2),
)
_STEPS = 220  # an expert needs 80 to 200


class Weak:
    """An expert whose actions are changed on their way."""

    def __init__(self, expert, way: str, strength: float) -> None:
        self._expert, self._way, self._strength = expert, way, strength
        self.action_steps = expert.action_steps
        self._random: dict[int, np.random.Generator] = {}

    def start(self, episode: int, simulator, seed: int) -> None:
        self._random[episode] = np.random.default_rng(seed)
        self._expert.start(episode, simulator, seed)

    def act(self, observation, episodes: Sequence[int]) -> np.ndarray:
        actions = np.array(self._expert.act(observation, episodes))
        for row, episode in zip(actions, episodes, strict=True):
            random = self._random[episode]
            if self._way == "noise":
                row[:, :3] += self._strength * random.normal(size=3)
            elif self._way == "opens" and random.random() < self._strength:
                row[:, 6] = -1
        return actions


def failures(arguments: argparse.Namespace) -> dict:
    dataset = arguments.out / "dataset"
    with DatasetWriter(dataset, config={"benchmark": "failures"}) as writer:
        for number, (task, expert, way, strength, count) in enumerate(RUNS):
            if not any(f"-{number:02d}-" in name for name in writer.episode_ids):
                writer.append(collect(number, task, expert, way, strength, count))
                print(number, task, way, flush=True)
    causes, ways = Counter(), Counter()
    for number, trajectory in enumerate(sorted(read_trajectories(dataset), key=_place)):
        labels = Labeller(load_scene(get_task(trajectory.task))).label(trajectory)
        way = RUNS[int(trajectory.episode_id.split("-")[1])][2]
        causes[labels.failure] += 1
        ways[f"{way}: {labels.failure}"] += 1
        print(json.dumps({"number": number, **evidence(trajectory, labels)}), flush=True)
        if not arguments.no_pictures:
            draw(trajectory, labels, arguments.out / f"{number:02d}.png")
    return {"episodes": sum(causes.values()), "causes": dict(causes), "ways": dict(ways)}


def _place(trajectory) -> tuple[str, str]:
    return trajectory.task, trajectory.episode_id


def collect(number: int, task: str, expert: str, way: str, strength: float, count: int) -> list:
    """Returns so many failed episodes of one row of ``RUNS``."""
    scene = load_scene(get_task(task))
    actor = find_policy(f"release/{expert}").load()
    policy = actor if way in ("time", "swapped") else Weak(actor, way, strength)
    steps = _STEPS if task != "libero_10/2" else 2 * _STEPS
    plans = []
    for index in range(8 * count):
        seed = derive_seed("failures", number, index)
        name = f"failure-{number:02d}-{index:02d}"
        plans.append(PlannedEpisode(name, scene.draw_state(seed), seed))
    if way == "time":
        first = next(_run(policy, scene, plans[:1], steps))
        steps = int(strength * len(first))
    found = []
    for trajectory in _run(policy, scene, plans, steps):
        if not trajectory.success:
            found.append(trajectory)
        if len(found) == count:
            break
    return found


def _run(policy, scene, plans, steps: int):
    sim = SimConfig(max_episode_steps=steps)
    return rollout(
        policy, scene, plans, source="diffusion_rl", sim=sim, num_simulators=2, num_threads=1
    )


def evidence(trajectory, labels) -> dict:
    """Returns what a person needs to judge an episode's cause."""
    scene = load_scene(get_task(trajectory.task))
    seen = Observer(scene).observe(trajectory)
    begin, held = 0, []
    for name, group in groupby(labels.held):
        length = len(list(group))
        if name and length >= 2:
            height = seen.track.positions[:, scene.body_ids.get(name, 0), 2]
            rise = round(100 * float(height[begin : begin + length].max() - height[0]))
            held.append(f"{name} {begin}-{begin + length - 1} up {rise} cm")
        begin += length
    subtasks = [f"{text} ({len(list(group))})" for text, group in groupby(labels.subtask)]
    missing = [
        text
        for text, holds in zip(labels.statements, labels.predicates[-1], strict=True)
        if not holds
    ]
    return {
        "episode": trajectory.episode_id,
        "task": f"{trajectory.task} {scene.task.instruction}",
        "cause": labels.failure,
        "steps": len(trajectory),
        "missing": missing,
        "held": held,
        "held_at_end": labels.held[-1],
        "touched_at_end": labels.contact_objects[-1],
        "subtasks": subtasks,
        "closed_steps": int((trajectory.action[:, 6] > 0).sum()),
        "distance_at_end": round(float(labels.goal_distance[-1]), 3),
        "progress": round(float(labels.progress[-1]), 2),
    }


def draw(trajectory, labels, path: Path, num: int = 12, size: int = 160) -> None:
    """Writes evenly spaced frames of the outer camera in two rows, each with its env step."""
    simulator = CompiledSimulator(load_scene(get_task(trajectory.task)))
    simulator.reset(InitialState(trajectory.init_state, trajectory.fixture_poses), 0)
    sheet = Image.new("RGB", (size * (num // 2), 2 * size + 16))
    pen = ImageDraw.Draw(sheet)
    pen.text(
        (2, 2), f"{trajectory.episode_id} {simulator.scene.task.instruction}: {labels.failure}"
    )
    for place, step in enumerate(np.linspace(0, len(trajectory) - 1, num).round().astype(int)):
        simulator.set_state(trajectory.sim_state[step])
        at = (size * (place % (num // 2)), 16 + size * (place // (num // 2)))
        sheet.paste(Image.fromarray(simulator.images(size)["agentview"]), at)
        pen.text((at[0] + 3, at[1] + 2), f"{step} {labels.held[step]}", fill="white")
    sheet.save(path)
