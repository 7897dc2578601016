"""What the hand moves in an episode, when, and where to: the cuts between its segments.

Amplification cuts demonstrations here, and labels cut episodes into subtasks here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.ndimage import binary_closing
from scipy.spatial.transform import Rotation

from rl_datagen.sim.scene import Scene

# Less than this is a bump: m, or rad times the lever below.
_MIN_MOTION = 0.04
_LEVER = 0.1  # m; turns a rotation into a distance
_MIN_SPEED = 0.001  # m per env step (2 cm/s): slower is settling
MAX_PAUSE = 12
"""Env steps of rest that do not end a motion."""
MIN_SEGMENT = 4
"""Env steps; a shorter way belongs to what follows."""


@dataclass(frozen=True)
class Motion:
    """A body on the move from env step ``start`` to ``end``."""

    body: int
    start: int
    end: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Track:
    """Where hand and bodies are at each env step; bodies by MuJoCo's ids.

    Attributes:
        hand: Grip site's position, m, world frame.
        positions: Of the bodies, m, world frame.
        quaternions: Likewise, (w, x, y, z).
    """

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

    def apart(self, body: int, begin: int, end: int) -> tuple[float, ...]:
        """Returns what is least for the body that the hand is at between two env steps."""
        return (self.distance(body, (begin + end) // 2),)


@dataclass(frozen=True, eq=False, kw_only=True)
class TouchTrack(Track):
    """Where hand and bodies are, and what the hand touches.

    Attributes:
        touches: Whether the hand touches a body, which is a thing's.
    """

    touches: Bool[np.ndarray, "T Nb"]

    def apart(self, body: int, begin: int, end: int) -> tuple[float, ...]:
        """Returns what is least for the body that the hand touches between two env steps."""
        count = int(self.touches[begin : end + 1, body].sum())
        return (-count, *super().apart(body, begin, end))


def find_motions(track: Track, scene: Scene, also: Iterable[int] = ()) -> list[Motion]:
    """Returns what the hand moves, in order: the goal's objects and any moving part.

    Args:
        track: Of an episode.
        scene: Its task.
        also: Other bodies whose motions count.
    """
    found: list[Motion] = []
    moved = [scene.body_ids[statement[1]] for statement in scene.goal.statements]
    for body in dict.fromkeys([*moved, *things(scene, "joint"), *also]):
        edges = np.flatnonzero(np.diff(np.pad(_moving(track, body).astype(int), 1)))
        for start, end in edges.reshape(-1, 2).tolist():
            if _displacement(track, body, start, end) >= _MIN_MOTION:
                found.append(Motion(body, start, end))
    found.sort(key=lambda motion: motion.start)
    alone: list[Motion] = []
    for motion in found:
        if alone and motion.start < alone[-1].end - MIN_SEGMENT:
            alone[-1] = _merged(track, alone[-1], motion)
        else:
            alone.append(motion)
    return alone


def _merged(track: Track, one: Motion, other: Motion) -> Motion:
    """Two motions at once are one of the body the hand holds: the other rides along."""
    begin, end = max(one.start, other.start), min(one.end, other.end)
    body = min(one.body, other.body, key=lambda each: track.apart(each, begin, end))
    return Motion(body, one.start, max(one.end, other.end))


def _moving(track: Track, body: int) -> Bool[np.ndarray, " T"]:
    turns = track.turns(body)
    shift = np.linalg.norm(np.diff(track.positions[:, body], axis=0), axis=1)
    moving = shift + _LEVER * (turns[1:] * turns[:-1].inv()).magnitude() > _MIN_SPEED
    padded = np.pad(np.append(moving, False), MAX_PAUSE)
    return binary_closing(padded, np.ones(MAX_PAUSE))[MAX_PAUSE:-MAX_PAUSE]


def _displacement(track: Track, body: int, start: int, end: int) -> float:
    """Returns how far a body gets between two env steps, in m."""
    positions, turns = track.positions[start : end + 1, body], track.turns(body)
    turned = (turns[start : end + 1] * turns[start].inv()).magnitude()
    return float((np.linalg.norm(positions - positions[0], axis=1) + _LEVER * turned).max())


def aim_of(track: Track, motions: list[Motion], scene: Scene) -> int:
    """Returns the body that decides where the first of these motions goes."""
    motion, *later = motions
    again = any(other.body == motion.body for other in later)
    if again or motion.body in things(scene, "joint"):
        return motion.body
    for _, *names in scene.goal.statements:
        if len(names) == 2 and scene.body_ids[names[0]] == motion.body:
            return scene.body_ids[names[1]]
    return nearest_body(track, scene, motion.end, exclude=motion.body)


def things(scene: Scene, *kinds: str) -> list[int]:
    """Returns the bodies of a scene's objects, fixtures or moving parts (``joint``)."""
    parts = zip(scene.sample_layout.bodies, scene.state_layout.parts, strict=True)
    return [int(body) for body, part in parts if part.kind in kinds]


def nearest_body(track: Track, scene: Scene, step: int, exclude: int | None = None) -> int:
    """Returns the body nearest to the hand at an env step."""
    bodies = [b for b in things(scene, "object", "fixture", "joint") if b != exclude]
    return min(bodies, key=lambda body: track.distance(body, step))
