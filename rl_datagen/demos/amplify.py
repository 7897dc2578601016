"""One demonstration to many: object-centric replay, after MimicGen (Mandlekar et al. 2023).

The demonstration is replayed once and the controller's target poses are recorded. It is cut where
the gripper command changes, and each segment is attached to the object it ends at. In a new
initial state the targets are carried along with that object and tracked in closed loop; the caller
keeps the episodes that succeed.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64
from scipy.spatial.transform import Rotation

from rl_datagen.demos.human import HumanDemonstration
from rl_datagen.sim import Scene, Simulator

POSITION_SCALE = 0.05  # m per unit of action, LIBERO's OSC_POSE controller
ROTATION_SCALE = 0.5  # rad per unit of action

# A target further away than one action reaches is waited for, so that a longer way than the
# demonstration's is walked rather than cut short; at most this many env steps in a row.
_WAIT_DISTANCE = 1.5 * POSITION_SCALE
_MAX_WAIT = 20
# How far the approach may deviate sideways from the demonstration's, m; it fades to zero before
# the segment's second half, where contact happens.
_APPROACH_SPREAD = 0.02
# Share of the action noise that is carried over to the next env step. Noise that wanders moves the
# hand off the path without shaking it, so the episodes stay smooth.
_PERSISTENCE = 0.9
# Beyond this turn an object is taken for one without a front, such as a can that has rolled.
_MAX_YAW = np.deg2rad(60)


@dataclass(frozen=True, eq=False)
class Segment:
    """A part of a demonstration with one gripper command.

    Attributes:
        reference: Object whose frame the segment is attached to; None: the world.
        position: The reference's position in the demonstration at the segment's start, m.
        orientation: Its orientation then.
        targets: Controller target positions, m, world frame.
        rotations: Controller target orientations.
        gripper: Gripper command of each step.
    """

    reference: str | None
    position: Float64[np.ndarray, " 3"]
    orientation: Float64[np.ndarray, "3 3"]
    targets: Float64[np.ndarray, "T 3"]
    rotations: Rotation
    gripper: Float64[np.ndarray, " T"]

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, eq=False)
class _Recording:
    """What one replay of the demonstration showed, per env step."""

    targets: Float64[np.ndarray, "T 3"]
    rotations: Float64[np.ndarray, "T 3 3"]
    hand: Float64[np.ndarray, "T 3"]
    positions: dict[str, Float64[np.ndarray, "T 3"]]
    orientations: dict[str, Float64[np.ndarray, "T 3 3"]]


def analyse(demonstration: HumanDemonstration, scene: Scene) -> list[Segment]:
    """Replays a demonstration once and cuts it into segments with their reference objects."""
    recording = _record(demonstration, scene)
    actions = demonstration.actions[: len(recording.targets)]
    cuts = [0, *(np.flatnonzero(np.diff(np.sign(actions[:, 6]))) + 1), len(actions)]
    segments: list[Segment] = []
    held: str | None = None
    for start, end in itertools.pairwise(cuts):
        closed = actions[start, 6] > 0
        reference = _nearest(recording, end - 1, exclude=held if closed else None)
        segments.append(
            Segment(
                reference=reference,
                position=recording.positions[reference][start] if reference else np.zeros(3),
                orientation=recording.orientations[reference][start] if reference else np.eye(3),
                targets=recording.targets[start:end],
                rotations=Rotation.from_matrix(recording.rotations[start:end]),
                gripper=actions[start:end, 6].astype(np.float64),
            )
        )
        held = None if closed else reference
    return segments


def _record(demonstration: HumanDemonstration, scene: Scene) -> _Recording:
    simulator = scene.simulator()
    simulator.reset(demonstration.initial(scene), demonstration.num_settle_steps)
    names = scene.objects_of_interest
    targets, rotations, hand = [], [], []
    objects: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in names}
    for action in demonstration.actions:
        for name in names:
            objects[name].append(_pose(simulator, name))
        success = simulator.step(action.astype(np.float64))
        position, rotation = simulator.goal_pose()
        targets.append(position.copy())
        rotations.append(rotation.copy())
        hand.append(simulator.ee_pose()[0].copy())
        if success:
            break
    return _Recording(
        np.array(targets),
        np.array(rotations),
        np.array(hand),
        {name: np.array([position for position, _ in poses]) for name, poses in objects.items()},
        {name: np.array([matrix for _, matrix in poses]) for name, poses in objects.items()},
    )


def _nearest(recording: _Recording, step: int, exclude: str | None) -> str | None:
    """Returns the object nearest to the hand at a step, other than the one it holds.

    Where there is no other object, the held one (such as a drawer being pulled) is all there is.
    """
    names = list(recording.positions)
    others = [name for name in names if name != exclude] or names
    hand = recording.hand[step]
    return min(
        others,
        key=lambda name: float(np.linalg.norm(recording.positions[name][step] - hand)),
        default=None,
    )


def _pose(
    simulator: Simulator, name: str
) -> tuple[Float64[np.ndarray, " 3"], Float64[np.ndarray, "3 3"]]:
    position, quaternion = simulator.body_pose(name)
    return position.copy(), Rotation.from_quat(quaternion, scalar_first=True).as_matrix()


def _yaw(turn: Float64[np.ndarray, "3 3"]) -> float:
    """Returns the angle about the vertical that comes nearest to a rotation, rad."""
    return float(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))


class _Episode:
    """Where one amplified episode is in its demonstration."""

    def __init__(self, simulator: Simulator, segments: list[Segment], seed: int) -> None:
        self.simulator = simulator
        self.segments = segments
        self.rng = np.random.default_rng(seed)
        self.index = 0
        self.step = 0
        self.waited = 0
        self.shift = np.zeros(3)
        self.turn = Rotation.identity()
        self.pivot = np.zeros(3)
        self.noise = np.zeros(6)
        self._enter()

    def _enter(self) -> None:
        """Attaches the segment that begins to its reference as it is now."""
        segment = self.segments[self.index]
        self.before = (self.pivot, self.shift, self.turn)
        self.approach = self.rng.normal(0, _APPROACH_SPREAD, 3)
        if segment.reference is None:
            return
        position, orientation = _pose(self.simulator, segment.reference)
        yaw = _yaw(orientation @ segment.orientation.T)
        self.pivot = segment.position
        self.shift = position - segment.position
        self.turn = Rotation.from_euler("z", yaw if abs(yaw) <= _MAX_YAW else 0.0)

    def disturb(self) -> Float64[np.ndarray, " 6"]:
        """Returns the next value of a slowly wandering noise of unit variance (AR(1))."""
        fresh = self.rng.normal(size=6)
        self.noise = _PERSISTENCE * self.noise + np.sqrt(1 - _PERSISTENCE**2) * fresh
        return self.noise

    def target(self) -> tuple[Float64[np.ndarray, " 3"], Rotation, float]:
        """Returns the current target position, orientation and gripper command."""
        segment = self.segments[self.index]
        step = min(self.step, len(segment) - 1)
        position, rotation = segment.targets[step], segment.rotations[step]
        # Over the first half of a segment the old frame blends into the new one.
        weight = min(1.0, 2.0 * (step + 1) / len(segment))
        old = _carry(position, *self.before)
        new = _carry(position, self.pivot, self.shift, self.turn)
        bump = self.approach * np.sin(np.pi * weight) if weight < 1 else np.zeros(3)
        turn = self.before[2] * (self.before[2].inv() * self.turn) ** weight
        blended = (1 - weight) * old + weight * new + bump
        return blended, turn * rotation, float(segment.gripper[step])

    def advance(self, distance: float) -> None:
        """Moves on by one step, unless the hand is still too far behind."""
        if distance > _WAIT_DISTANCE and self.waited < _MAX_WAIT:
            self.waited += 1
            return
        self.waited = 0
        self.step += 1
        if self.step >= len(self.segments[self.index]) and self.index + 1 < len(self.segments):
            self.index += 1
            self.step = 0
            self._enter()


def _carry(
    position: Float64[np.ndarray, " 3"],
    pivot: Float64[np.ndarray, " 3"],
    shift: Float64[np.ndarray, " 3"],
    turn: Rotation,
) -> Float64[np.ndarray, " 3"]:
    return pivot + shift + turn.apply(position - pivot)


class AmplifiedPolicy:
    """Acts out a demonstration's segments around the objects of the episode at hand.

    Args:
        segments: From ``analyse``.
        action_noise: Standard deviation of the slowly wandering noise on the actions; the closed
            loop corrects it afterwards, which is what teaches a clone to recover.
    """

    action_steps = 1

    def __init__(self, segments: list[Segment], action_noise: float) -> None:
        self._segments = segments
        self._noise = action_noise
        self._episodes: dict[int, _Episode] = {}

    def start(self, episode: int, simulator: Simulator, seed: int) -> None:
        """Begins an episode in the simulator's present state."""
        self._episodes[episode] = _Episode(simulator, self._segments, seed)

    def act(
        self, observation: dict[str, Float[np.ndarray, "N _"]], episodes: Sequence[int]
    ) -> Float32[np.ndarray, "N 1 7"]:
        """Returns the next action of each episode."""
        return np.stack([self._next(self._episodes[number]) for number in episodes])[:, None]

    def _next(self, episode: _Episode) -> Float32[np.ndarray, " 7"]:
        target, rotation, gripper = episode.target()
        position, matrix = episode.simulator.ee_pose()
        offset = target - position
        turn = (rotation * Rotation.from_matrix(matrix).inv()).as_rotvec()
        move = np.concatenate([offset / POSITION_SCALE, turn / ROTATION_SCALE])
        move += self._noise * episode.disturb()
        episode.advance(float(np.linalg.norm(offset)))
        return np.append(np.clip(move, -1, 1), gripper).astype(np.float32)
