"""A demonstration cut into segments, each attached to the thing it is about.

The demonstration is replayed once. What the hand moves, and when, gives the cuts: a way to the
thing, then its motion, then the way to the next one. A way is attached to the thing it leads to, in
the frame of its *moving part* (a drawer, a door, a knob); the motion of a free object to where it
goes, by the task's goal; the motion of a moving part to that part.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import binary_closing
from scipy.spatial.transform import Rotation

from rl_datagen.demos.human import HumanDemonstration
from rl_datagen.sim import Scene

# Less than this is a bump: m, or rad times the lever below.
_MIN_MOTION = 0.04
_LEVER = 0.1  # m; turns a rotation into a distance
_MIN_SPEED = 0.001  # m per env step (2 cm/s): slower is settling
_MAX_PAUSE = 12  # env steps of rest that do not end a motion
_MIN_SEGMENT = 4  # env steps; a shorter way belongs to what follows


@dataclass(frozen=True, eq=False)
class Segment:
    """A part of a demonstration, attached to one body.

    Attributes:
        reference: Body whose frame the segment is attached to.
        position: The reference's position in the demonstration at the segment's start, m.
        orientation: Its orientation then.
        targets: Controller target positions, m, world frame.
        rotations: Controller target orientations.
        gripper: Gripper command of each step.
    """

    reference: str
    position: Float64[np.ndarray, " 3"]
    orientation: Float64[np.ndarray, "3 3"]
    targets: Float64[np.ndarray, "T 3"]
    rotations: Rotation
    gripper: Float64[np.ndarray, " T"]

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class _Motion:
    """A body on the move from env step ``start`` to ``end``."""

    body: int
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class _Recording:
    """What one replay of the demonstration showed, per env step; bodies by MuJoCo's ids."""

    targets: Float64[np.ndarray, "T 3"]
    rotations: Float64[np.ndarray, "T 3 3"]
    gripper: Float64[np.ndarray, " T"]
    hand: Float64[np.ndarray, "T 3"]
    positions: Float64[np.ndarray, "T Nb 3"]
    quaternions: Float64[np.ndarray, "T Nb 4"]

    def turns(self, body: int) -> Rotation:
        """Returns a body's orientations."""
        return Rotation.from_quat(self.quaternions[:, body], scalar_first=True)

    def distance(self, body: int, step: int) -> float:
        """Returns how far a body is from the hand at an env step, in m."""
        step = min(step, len(self.hand) - 1)
        return float(np.linalg.norm(self.positions[step, body] - self.hand[step]))


def analyse(demonstration: HumanDemonstration, scene: Scene) -> list[Segment]:
    """Replays a demonstration once and cuts it into segments with their references.

    Also what comes after it has succeeded: an episode may have to go a little further.
    """
    recording = _record(demonstration, scene)
    motions = _motions(recording, scene)
    length = len(recording.targets)
    if not motions:
        nearest = _nearest(recording, scene, length - 1)
        return [_segment(recording, scene, nearest, 0, length)]
    segments, begin = [], 0
    for number, motion in enumerate(motions):
        last = number + 1 == len(motions)
        end = length if last else min(motion.end, motions[number + 1].start)
        start = motion.start if motion.start - begin >= _MIN_SEGMENT else begin
        if start > begin:
            segments.append(_segment(recording, scene, motion.body, begin, start))
        if end > start:
            aim = _aim(recording, motions[number:], scene)
            segments.append(_segment(recording, scene, aim, start, end))
        begin = max(end, start)
    return segments


def _record(demonstration: HumanDemonstration, scene: Scene) -> _Recording:
    simulator = scene.simulator()
    simulator.reset(demonstration.place(scene), demonstration.num_settle_steps)
    rows = []
    for action in demonstration.actions:
        bodies = simulator.data.xpos.copy(), simulator.data.xquat.copy()
        simulator.step(action.astype(np.float64))
        rows.append((*simulator.goal_pose(), simulator.ee_pose()[0], *bodies))
    targets, rotations, hand, positions, quaternions = map(np.array, zip(*rows, strict=True))
    gripper = demonstration.actions[: len(rows), 6].astype(np.float64)
    return _Recording(targets, rotations, gripper, hand, positions, quaternions)


def _motions(recording: _Recording, scene: Scene) -> list[_Motion]:
    """Returns what the hand moves, in order: the goal's objects and any moving part."""
    found: list[_Motion] = []
    moved = [scene.body_ids[statement[1]] for statement in scene.goal.statements]
    for body in dict.fromkeys([*moved, *_things(scene, "joint")]):
        edges = np.flatnonzero(np.diff(np.pad(_moving(recording, body).astype(int), 1)))
        for start, end in edges.reshape(-1, 2).tolist():
            if _displacement(recording, body, start, end) >= _MIN_MOTION:
                found.append(_Motion(body, start, end))
    found.sort(key=lambda motion: motion.start)
    alone: list[_Motion] = []
    for motion in found:
        if alone and motion.start < alone[-1].end - _MIN_SEGMENT:
            alone[-1] = _merged(recording, alone[-1], motion)
        else:
            alone.append(motion)
    return alone


def _merged(recording: _Recording, one: _Motion, other: _Motion) -> _Motion:
    """Two motions at once are one of the body the hand holds: the other rides along."""
    begin, end = max(one.start, other.start), min(one.end, other.end)
    body = min(one.body, other.body, key=lambda b: recording.distance(b, (begin + end) // 2))
    return _Motion(body, one.start, max(one.end, other.end))


def _moving(recording: _Recording, body: int) -> Bool[np.ndarray, " T"]:
    turns = recording.turns(body)
    shift = np.linalg.norm(np.diff(recording.positions[:, body], axis=0), axis=1)
    moving = shift + _LEVER * (turns[1:] * turns[:-1].inv()).magnitude() > _MIN_SPEED
    padded = np.pad(np.append(moving, False), _MAX_PAUSE)
    return binary_closing(padded, np.ones(_MAX_PAUSE))[_MAX_PAUSE:-_MAX_PAUSE]


def _displacement(recording: _Recording, body: int, start: int, end: int) -> float:
    """Returns how far a body gets between two env steps, in m."""
    positions, turns = recording.positions[start : end + 1, body], recording.turns(body)
    turned = (turns[start : end + 1] * turns[start].inv()).magnitude()
    return float((np.linalg.norm(positions - positions[0], axis=1) + _LEVER * turned).max())


def _aim(recording: _Recording, motions: list[_Motion], scene: Scene) -> int:
    """Returns the body that decides where the first of these motions goes."""
    motion, *later = motions
    again = any(other.body == motion.body for other in later)
    if again or motion.body in _things(scene, "joint"):
        return motion.body
    for _, *names in scene.goal.statements:
        if len(names) == 2 and scene.body_ids[names[0]] == motion.body:
            return scene.body_ids[names[1]]
    return _nearest(recording, scene, motion.end, exclude=motion.body)


def _things(scene: Scene, *kinds: str) -> list[int]:
    """Returns the bodies of a scene's objects, fixtures or moving parts (``joint``)."""
    parts = zip(scene.sample_layout.bodies, scene.state_layout.parts, strict=True)
    return [int(body) for body, part in parts if part.kind in kinds]


def _nearest(recording: _Recording, scene: Scene, step: int, exclude: int | None = None) -> int:
    """Returns the body nearest to the hand at an env step."""
    bodies = [b for b in _things(scene, "object", "fixture", "joint") if b != exclude]
    return min(bodies, key=lambda body: recording.distance(body, step))


def _segment(recording: _Recording, scene: Scene, reference: int, start: int, end: int) -> Segment:
    return Segment(
        reference=scene.model.body(reference).name,
        position=recording.positions[start, reference],
        orientation=recording.turns(reference)[start].as_matrix(),
        targets=recording.targets[start:end],
        rotations=Rotation.from_matrix(recording.rotations[start:end]),
        gripper=recording.gripper[start:end],
    )
