"""What the states of an episode show, read one by one without stepping."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from rl_datagen.core.errors import DatasetError
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.sim import SETTLE_ACTION, InitialState, Scene
from rl_datagen.sim.compiled import CompiledSimulator
from rl_datagen.sim.contacts import HandContacts
from rl_datagen.sim.motions import TouchTrack, Track


@dataclass(frozen=True, eq=False)
class Observed:
    """An episode as its states show it.

    Attributes:
        track: Where hand and bodies are.
        joints: Positions of the moving parts' joints, m or rad, in the order of
            ``scene.sample_layout.joint_qpos``.
        predicates: Whether each of the goal's statements holds.
        distances: How far it is to each of them; see ``Goal.distances``.
        contact_objects: What the hand touches.
        contact_forces: How hard, N.
        held: What the hand holds; empty: nothing.
    """

    track: Track
    joints: Float64[np.ndarray, "T Nj"]
    predicates: Bool[np.ndarray, "T P"]
    distances: Float64[np.ndarray, "T P"]
    contact_objects: list[list[str]]
    contact_forces: list[list[float]]
    held: list[str]


class Observer:
    """Looks at states of one task's episodes.

    Args:
        scene: The task.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._simulator = CompiledSimulator(scene)  # whatever stepped the episode
        self._contacts = HandContacts(scene)

    def observe(self, trajectory: Trajectory) -> Observed:
        """Returns what an episode's states show.

        Raises:
            DatasetError: They are not states of this scene.
        """
        scene, simulator = self._scene, self._simulator
        self._start(trajectory)
        data, goal, names = simulator.data, scene.goal, self._contacts.names
        site, qpos = scene.robot.ee_site, scene.sample_layout.joint_qpos
        length, num_bodies = len(trajectory), scene.model.nbody
        hand, joints = np.empty((length, 3)), np.empty((length, len(qpos)))
        positions, turns = np.empty((length, num_bodies, 3)), np.empty((length, num_bodies, 4))
        predicates, distances, contacts = [], [], []
        actions = trajectory.action.astype(np.float64)
        for step, (state, action) in enumerate(zip(trajectory.sim_state, actions, strict=True)):
            simulator.look_at(state)
            hand[step], joints[step] = data.site_xpos[site], data.qpos[qpos]
            positions[step], turns[step] = data.xpos, data.xquat
            predicates.append(goal.holding(data))
            distances.append(goal.distances(data))
            contacts.append(self._contacts.read(data))
            simulator.follow(action)
        return Observed(
            track=TouchTrack(
                hand=hand,
                positions=positions,
                quaternions=turns,
                touches=np.array([self._contacts.mark(touched) for touched, *_ in contacts]),
            ),
            joints=joints,
            predicates=np.array(predicates, bool),
            distances=np.array(distances, np.float64),
            contact_objects=[[names[each] for each in touched] for touched, _, _ in contacts],
            contact_forces=[forces for _, forces, _ in contacts],
            held=["" if held is None else names[held] for _, _, held in contacts],
        )

    def _start(self, trajectory: Trajectory) -> None:
        """Places the fixtures, and has the controller hold the hand as settling leaves it."""
        model = self._scene.model
        width = 1 + model.nq + model.nv
        if trajectory.sim_state.shape[1] != width:
            raise DatasetError(
                f"Episode {trajectory.episode_id} has states of {trajectory.sim_state.shape[1]} "
                f"numbers, and the installed LIBERO's scene of {trajectory.task} has {width}: "
                "install the versions that the dataset's manifest names."
            )
        initial = InitialState(trajectory.init_state, trajectory.fixture_poses)
        self._simulator.reset(initial, num_settle_steps=0)
        self._simulator.look_at(trajectory.sim_state[0])
        for _ in range(trajectory.num_settle_steps):
            self._simulator.follow(SETTLE_ACTION)
