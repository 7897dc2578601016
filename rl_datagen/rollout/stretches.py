"""Where an episode's hand is in free space: far from what it touches before and after."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.spatial.transform import Rotation

from rl_datagen.data.trajectory import Trajectory
from rl_datagen.sim import Scene
from rl_datagen.sim.motions import Motion, Track, find_motions

_CLEARANCE = 0.08  # m: so near to where something begins or ends to move, the way is as it is
_LIFT = 0.03  # m: what is carried is in free space from so high above where it stood
_MIN_STEPS = 16  # env steps, 0.8 s: less is no room for a detour
_SLIP = 0.02  # m: what the hand carries moves by less than that in the hand's frame


@dataclass(frozen=True)
class Stretch:
    """A part of an episode in which the hand is in free space.

    Attributes:
        start: First env step.
        end: Env step after the last one.
        carried: Names of the objects that the hand has with it.
    """

    start: int
    end: int
    carried: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return self.end - self.start


def find_stretches(episode: Trajectory, scene: Scene) -> list[Stretch]:
    """Returns an episode's stretches in free space, in order.

    They are the ways to what is moved next, and those of what is carried through the air, without
    their last centimetres. What is pushed, pulled or turned is not in free space.

    Args:
        episode: In state mode's observations.
        scene: Its task.
    """
    track, found, begin = _track(episode, scene), list[Stretch](), 0
    last = len(episode) - 1
    for motion in find_motions(track, scene):
        start, end = min(motion.start, last), min(motion.end, last)
        found += _on_the_way(track, begin, _grips(episode, begin, start))
        shown = Motion(motion.body, start, _grips(episode, start, end))
        found += _carrying(track, episode, scene, shown)
        begin = end
    return found


def _grips(episode: Trajectory, begin: int, end: int) -> int:
    """Returns where the gripper is last told to open or close between two env steps, or the end.

    It closes before what it grips moves, and opens before that is at rest.
    """
    changes = np.flatnonzero(np.diff(np.sign(episode.action[begin : end + 1, 6])))
    return begin + int(changes[-1]) if len(changes) else end


def _on_the_way(track: Track, begin: int, end: int) -> Iterator[Stretch]:
    """Between two motions, or before the first one, which begins in free space."""
    free = _away_from(track.hand, end)
    if begin > 0:
        free &= _away_from(track.hand, begin)
    run = _longest_run(free, begin, end)
    if len(run) >= _MIN_STEPS:
        yield run


def _carrying(track: Track, episode: Trajectory, scene: Scene, motion: Motion) -> Iterator[Stretch]:
    """While a thing is moved: where it is off what it stood on."""
    height = track.positions[:, motion.body, 2]
    free = (height >= height[motion.start] + _LIFT) & _away_from(track.hand, motion.end)
    run = _longest_run(free, motion.start, motion.end)
    carried = _carried(episode, scene, run) if len(run) >= _MIN_STEPS else {}
    if motion.body in carried:
        yield Stretch(run.start, run.end, frozenset(carried.values()))


def _carried(episode: Trajectory, scene: Scene, run: Stretch) -> dict[int, str]:
    """Returns the objects that stay where they are in the hand's frame: name by body."""
    found = {}
    for body, part in zip(scene.sample_layout.bodies, scene.state_layout.parts, strict=True):
        there = episode.object_state[run.start : run.end, part.start : part.start + 3]
        if part.kind == "object" and np.ptp(there, axis=0).max() < _SLIP:
            found[int(body)] = part.name
    return found


def _away_from(hand: Float64[np.ndarray, "T 3"], step: int) -> Bool[np.ndarray, " T"]:
    return np.linalg.norm(hand - hand[step], axis=1) >= _CLEARANCE


def _longest_run(free: Bool[np.ndarray, " T"], begin: int, end: int) -> Stretch:
    edges = np.flatnonzero(np.diff(np.pad(free[begin:end].astype(int), 1))).reshape(-1, 2)
    if not len(edges):
        return Stretch(begin, begin)
    start, stop = edges[np.argmax(edges[:, 1] - edges[:, 0])].tolist()
    return Stretch(begin + start, begin + stop)


def _track(episode: Trajectory, scene: Scene) -> Track:
    """Returns where the hand and the things are, as the expert has seen them."""
    hand = episode.proprio[:, :3].astype(np.float64)
    frame = Rotation.from_rotvec(episode.proprio[:, 3:6])
    shape = (len(episode), scene.model.nbody)
    positions, quaternions = np.zeros((*shape, 3)), np.tile([1.0, 0, 0, 0], (*shape, 1))
    for body, part in zip(scene.sample_layout.bodies, scene.state_layout.parts, strict=True):
        pose = episode.object_state[:, part.slice][:, -9:].astype(np.float64)
        first, second = pose[:, 3:6], pose[:, 6:]
        turns = np.stack([first, second, np.cross(first, second)], axis=2)
        positions[:, body] = hand + frame.apply(pose[:, :3])
        turned = frame * Rotation.from_matrix(turns)
        quaternions[:, body] = turned.as_quat(scalar_first=True)
    return Track(hand=hand, positions=positions, quaternions=quaternions)
