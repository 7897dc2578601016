"""Moving parts: a drawer, a door or a knob is brought to where the demonstration brought it.

Init states differ in how far it has to go: a stove that is on stands at 0.5 to 2.1 rad.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from rl_datagen.sim import Scene

# A motion that leaves its joint within this of where it began goes somewhere else: rad or m.
_MIN_WAY = 0.02
# At most so many times as far as the demonstration's motion goes, and at least this share of it.
_STRETCHES = (0.3, 4.0)


@dataclass(frozen=True)
class Frame:
    """Carries poses of the demonstration to where their thing is now.

    Attributes:
        turn: Applied first, about the world's origin.
        shift: Then added, m.
    """

    turn: Rotation
    shift: Float64[np.ndarray, " 3"]

    @classmethod
    def identity(cls) -> "Frame":
        """Returns the frame that leaves everything where it is."""
        return cls(Rotation.identity(), np.zeros(3))

    def carry(self, position: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, " 3"]:
        """Returns where a position of the demonstration is now."""
        return self.turn.apply(position) + self.shift


@dataclass(frozen=True)
class MovingPart:
    """The joint that a body moves on.

    Attributes:
        joint: MuJoCo's id.
        address: Its place in ``qpos``.
        turns: Whether it is a hinge; else a slide.
    """

    joint: int
    address: int
    turns: bool

    @classmethod
    def of(cls, scene: Scene, name: str) -> "MovingPart | None":
        """Returns the joint of a body with a name; None where it is free, fixed, or of several."""
        model, body = scene.model, scene.body_ids[name]
        joint, hinge = int(model.body_jntadr[body]), mujoco.mjtJoint.mjJNT_HINGE
        kind = model.jnt_type[joint]
        if model.body_jntnum[body] != 1 or kind not in (hinge, mujoco.mjtJoint.mjJNT_SLIDE):
            return None
        return cls(joint, int(model.jnt_qposadr[joint]), turns=bool(kind == hinge))


@dataclass(frozen=True, eq=False)
class PartMotion:
    """The motion of a part, made longer or shorter so that it ends where the demonstration's does.

    Attributes:
        stretch: How many times as far as the demonstration's it goes.
        way: How far that had gone at each env step, rad or m.
        axis: The joint's, world frame.
        anchor: Where the axis is, m.
        turns: Whether the part turns about the axis; else it slides along it.
    """

    stretch: float
    way: Float64[np.ndarray, " T"]
    axis: Float64[np.ndarray, " 3"]
    anchor: Float64[np.ndarray, " 3"]
    turns: bool

    @classmethod
    def of(
        cls, part: MovingPart, shown: Float64[np.ndarray, " T"], data: mujoco.MjData
    ) -> "PartMotion":
        """Sizes the motion for where the part is now.

        Args:
            part: It.
            shown: Its positions in the demonstration's motion.
            data: The simulator's state at the motion's start.
        """
        way, needed = shown - shown[0], shown[-1] - data.qpos[part.address]
        stretch = needed / way[-1] if abs(way[-1]) > _MIN_WAY else 1.0
        axis, anchor = data.xaxis[part.joint].copy(), data.xanchor[part.joint].copy()
        return cls(float(np.clip(stretch, *_STRETCHES)), way, axis, anchor, part.turns)

    def carry(self, frame: Frame, progress: float) -> Frame:
        """Returns the frame moved on by how much further the part has gone than was shown.

        Args:
            frame: Where the motion began.
            progress: Env steps of the demonstration since then.
        """
        way = np.interp(progress, np.arange(len(self.way)), self.way)
        further = (self.stretch - 1.0) * way * self.axis
        if not self.turns:
            return Frame(frame.turn, frame.shift + further)
        turn = Rotation.from_rotvec(further)
        return Frame(turn * frame.turn, turn.apply(frame.shift - self.anchor) + self.anchor)
