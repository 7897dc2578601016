"""A demonstration cut into segments, each attached to the thing it is about.

The demonstration is replayed once. What the hand moves, and when, gives the cuts: a way to the
thing, then its motion, then the way to the next one. A way is attached to the thing it leads to, in
the frame of its *moving part* (a drawer, a door, a knob); the motion of a free object to where it
goes, by the task's goal; the motion of a moving part to that part.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from rl_datagen.demos.human import HumanDemonstration
from rl_datagen.demos.parts import MovingPart
from rl_datagen.sim import Scene
from rl_datagen.sim.contacts import HandContacts
from rl_datagen.sim.motions import (
    MIN_SEGMENT,
    Motion,
    TouchTrack,
    aim_of,
    find_motions,
    nearest_body,
    things,
)

# Standard deviation of the filter over the controller's targets, env steps: the hand's tremor goes,
# and twice as much would cut the corner at which it grasps.
_SMOOTHING = 4
_NUDGE = 0.02  # m; an object that is moved by less may not be in the hand yet
# Env steps that the fingers take to close or open, whatever the hand's pace.
_FINGER_STEPS = 12
_GRASP_STEPS = 15  # env steps over which the hand comes to a grasp


@dataclass(frozen=True, eq=False)
class Segment:
    """A part of a demonstration, attached to one body.

    Attributes:
        reference: Body whose frame the segment is attached to.
        position: The reference's position in the demonstration at the segment's start, m. Of one
            that ends on another object, as far beside it as what is put there, so that it is put in
            the middle.
        orientation: The reference's orientation then.
        targets: Controller target positions, smoothed over time, m, world frame.
        rotations: Controller target orientations, smoothed alike.
        gripper: Gripper command of each step.
        hands: Where the hand was then, m: it lags behind its target.
        fingers_move: Whether the command has changed so lately that the fingers are on their way.
        grasps: Whether the hand is about to close, or closes.
        joint: Position of the reference's joint at each step, rad or m, where the segment is the
            motion of a moving part; else None.
    """

    reference: str
    position: Float64[np.ndarray, " 3"]
    orientation: Float64[np.ndarray, "3 3"]
    targets: Float64[np.ndarray, "T 3"]
    rotations: Rotation
    gripper: Float64[np.ndarray, " T"]
    hands: Float64[np.ndarray, "T 3"]
    fingers_move: Bool[np.ndarray, " T"]
    grasps: Bool[np.ndarray, " T"]
    joint: Float64[np.ndarray, " T"] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def target(self, progress: float) -> tuple[Float64[np.ndarray, " 3"], Rotation, float]:
        """Returns target position, orientation and gripper command between two steps.

        Args:
            progress: Steps since the segment's start, not necessarily whole ones.
        """
        before = self._step(progress)
        after = self._step(before + 1)
        share = progress - int(progress)
        position = (1 - share) * self.targets[before] + share * self.targets[after]
        turn = self.rotations[before].inv() * self.rotations[after]
        return position, self.rotations[before] * turn**share, float(self.gripper[before])

    def pace(self, progress: float, wanted: float) -> float:
        """Returns the steps to go on by, at most one while the fingers move."""
        return min(1.0, wanted) if self.fingers_move[self._step(progress)] else wanted

    def is_grasp(self, progress: float) -> bool:
        """Returns whether the hand is about to close there, or closes."""
        return bool(self.grasps[self._step(progress)])

    def hand_at_closing(
        self, progress: float, following: float
    ) -> Float64[np.ndarray, " 3"] | None:
        """Returns where the hand was if it began to close between two steps, else None."""
        before, after = self._step(progress), self._step(following)
        closes = self.gripper[after] > self.gripper[before]
        return self.hands[after] if closes else None

    def _step(self, progress: float) -> int:
        return min(int(progress), len(self) - 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Recording(TouchTrack):
    """What one replay of the demonstration showed, per env step."""

    targets: Float64[np.ndarray, "T 3"]
    rotations: Float64[np.ndarray, "T 3 3"]
    gripper: Float64[np.ndarray, " T"]
    fingers_move: Bool[np.ndarray, " T"]
    grasps: Bool[np.ndarray, " T"]
    joints: Float64[np.ndarray, "T Nq"]


def analyse(demonstration: HumanDemonstration, scene: Scene) -> list[Segment]:
    """Replays a demonstration once and cuts it into segments with their references.

    Also what comes after it has succeeded: an episode may have to go a little further.
    """
    recording = _record(demonstration, scene)
    motions = find_motions(recording, scene)
    length = len(recording.targets)
    if not motions:
        nearest = nearest_body(recording, scene, length - 1)
        return [_segment(recording, scene, nearest, 0, length)]
    segments, begin = [], 0
    for number, motion in enumerate(motions):
        last = number + 1 == len(motions)
        end = length if last else min(motion.end, motions[number + 1].start)
        taken = _taken(recording, scene, motion, end)
        start = taken if taken - begin >= MIN_SEGMENT else begin
        if start > begin:
            segments.append(_segment(recording, scene, motion.body, begin, start))
        if end > start:
            aim = aim_of(recording, motions[number:], scene)
            segments.append(_segment(recording, scene, aim, start, end, motion.body))
        begin = max(end, start)
    return segments


def _record(demonstration: HumanDemonstration, scene: Scene) -> _Recording:
    simulator = scene.simulator()
    simulator.reset(demonstration.place(scene), demonstration.num_settle_steps)
    contacts, rows = HandContacts(scene), []
    for action in demonstration.actions:
        bodies = simulator.data.xpos.copy(), simulator.data.xquat.copy()
        joints = simulator.data.qpos.copy()
        touched, *_ = contacts.read(simulator.data)
        simulator.step(action.astype(np.float64))
        hand = simulator.ee_pose()[0]
        rows.append((*simulator.goal_pose(), hand, *bodies, contacts.mark(touched), joints))
    columns = map(np.array, zip(*rows, strict=True))
    targets, rotations, hand, positions, quaternions, touches, joints = columns
    targets, rotations = (_smooth(each) for each in (targets, rotations))
    gripper = demonstration.actions[: len(rows), 6].astype(np.float64)
    return _Recording(
        hand=hand,
        positions=positions,
        quaternions=quaternions,
        touches=touches,
        targets=targets,
        rotations=rotations,
        gripper=gripper,
        fingers_move=_near(_changes(gripper) != 0, before=0, after=_FINGER_STEPS),
        grasps=_near(_changes(gripper) > 0, before=_GRASP_STEPS, after=_FINGER_STEPS),
        joints=joints,
    )


def _changes(gripper: Float64[np.ndarray, " T"]) -> Float64[np.ndarray, " T"]:
    return np.diff(gripper, prepend=gripper[:1])


def _near(events: Bool[np.ndarray, " T"], *, before: int, after: int) -> Bool[np.ndarray, " T"]:
    """Marks the steps from so many before an event until so many after its beginning."""
    return np.convolve(events, np.ones(before + after))[before : before + len(events)] > 0


def _smooth(values: Float64[np.ndarray, "T ..."]) -> Float64[np.ndarray, "T ..."]:
    """Filters over time; matrices are made rotations again by ``Rotation.from_matrix``."""
    return gaussian_filter1d(values, _SMOOTHING, axis=0, mode="nearest")


def _segment(
    recording: _Recording,
    scene: Scene,
    reference: int,
    start: int,
    end: int,
    moved: int | None = None,
) -> Segment:
    position = recording.positions[start, reference].copy()
    joint = None
    name = scene.model.body(reference).name
    if moved == reference and (part := MovingPart.of(scene, name)):
        joint = recording.joints[start:end, part.address]
    if moved is not None and _is_put_on(moved, reference, scene):
        # LIBERO wants it within 3 cm of the middle; many demonstrations succeed by millimetres.
        place, below = recording.positions[end - 1, [moved, reference]]
        position[:2] += (place - below)[:2]
    return Segment(
        reference=name,
        position=position,
        orientation=recording.turns(reference)[start].as_matrix(),
        targets=recording.targets[start:end],
        rotations=Rotation.from_matrix(recording.rotations[start:end]),
        gripper=recording.gripper[start:end],
        hands=recording.hand[start:end],
        fingers_move=recording.fingers_move[start:end],
        grasps=recording.grasps[start:end],
        joint=joint,
    )


def _taken(recording: _Recording, scene: Scene, motion: Motion, end: int) -> int:
    """Returns the env step at which a motion is one to its goal: a nudge is part of the way.

    Otherwise the frame would begin to turn into the goal's while the fingers still close.
    """
    if motion.body not in things(scene, "object"):
        return motion.start
    lay = recording.positions[motion.start, motion.body]
    positions = recording.positions[motion.start : end, motion.body]  # none, if another is at once
    away = np.linalg.norm(positions - lay, axis=1) > _NUDGE
    return motion.start + int(away.argmax()) if away.any() else motion.start


def _is_put_on(moved: int, reference: int, scene: Scene) -> bool:
    """Whether the goal wants one thing on the other, an object; a region is wide."""
    goals = [(name, *(scene.body_ids[each] for each in it)) for name, *it in scene.goal.statements]
    return ("on", moved, reference) in goals and reference in things(scene, "object")
