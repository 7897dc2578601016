"""Observations of an expert in state mode, and their layout.

LIBERO samples observations one physics step before the end of an env step. The raw numbers read
at that moment are a flat *sample*; everything an observation holds is computed from it, by the
same functions whatever the backend.

Legend of shapes: ``Nb`` bodies, ``Nj`` articulated joints, ``Do`` numbers of object state,
``R`` = 16 + 7 Nb + Nj numbers of a sample.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float32, Float64

from rl_datagen.sim.jit import compiled

NUM_ROBOT = 16
"""Numbers of a sample about the robot: hand position 3, hand quaternion (w, x, y, z) 4, gripper
joints 2, arm joints 7."""


@dataclass(frozen=True)
class StatePart:
    """One named part of the object state.

    Attributes:
        name: LIBERO's object or fixture name, or the joint's name.
        kind: ``object`` and ``fixture``: 9 numbers; ``joint``: 10 numbers.
        start: First index in the object state.
        size: How many numbers.
    """

    name: str
    kind: str
    start: int
    size: int

    @property
    def slice(self) -> slice:
        """The part's place in the object state."""
        return slice(self.start, self.start + self.size)


@dataclass(frozen=True)
class StateLayout:
    """The layout of a task's object state, the same for every episode of the task.

    Each movable object and each fixture has 9 numbers: its position relative to the hand (m) and
    the first two columns of its rotation matrix, both in the hand's frame (origin at the grip
    site, axes of the hand's body). Each articulated joint (drawer, door, knob) has 10: the joint's
    position (m or rad), then the same 9 numbers of the body that it moves.
    """

    parts: tuple[StatePart, ...]

    @property
    def size(self) -> int:
        """Numbers in the object state, ``Do``."""
        return sum(part.size for part in self.parts)

    def entries_of(self, names: Collection[str]) -> Bool[np.ndarray, " Do"]:
        """Marks the numbers of some objects and fixtures, their articulated joints included.

        Args:
            names: LIBERO's; a region such as ``wooden_cabinet_1_middle_region`` stands for what it
                is a region of.
        """
        entries = np.zeros(self.size, bool)
        owners = [
            part.name
            for part in self.parts
            if part.kind != "joint" and any(_belongs(name, part.name) for name in names)
        ]
        for part in self.parts:
            entries[part.slice] = any(_belongs(part.name, owner) for owner in owners)
        return entries

    @property
    def positions(self) -> Bool[np.ndarray, " Do"]:
        """Marks the numbers that are positions relative to the hand."""
        entries = np.zeros(self.size, bool)
        for part in self.parts:
            start = part.slice.stop - 9  # a pose is a part's last 9 numbers
            entries[start : start + 3] = True
        return entries

    def __getitem__(self, name: str) -> slice:
        """Returns a part's place in the object state."""
        return next(part.slice for part in self.parts if part.name == name)


def _belongs(name: str, owner: str) -> bool:
    """Whether a name is an object's or one of its parts', as LIBERO names them."""
    return name == owner or name.startswith(f"{owner}_")


@dataclass(frozen=True, eq=False)
class SampleLayout:
    """Layout of a sample: the numbers of MuJoCo's that it copies.

    Attributes:
        ee_site: Grip site.
        ee_body: Hand body.
        gripper_qpos: Addresses of the finger joints.
        bodies: Objects, fixtures, then the body each articulated joint moves.
        joint_qpos: Addresses of the articulated joints.
    """

    ee_site: int
    ee_body: int
    gripper_qpos: np.ndarray
    bodies: np.ndarray
    joint_qpos: np.ndarray

    @property
    def size(self) -> int:
        """Numbers in a sample, ``R``."""
        return NUM_ROBOT + 7 * len(self.bodies) + len(self.joint_qpos)


def lay_out(env: Any, model: mujoco.MjModel, robot: Any) -> tuple[SampleLayout, StateLayout]:
    """Returns what a task's samples and object states hold, in LIBERO's order."""
    parts, bodies, addresses = [], [], []
    start = 0

    def add(name: str, kind: str, body: int, size: int) -> None:
        nonlocal start
        parts.append(StatePart(name, kind, start, size))
        bodies.append(body)
        start += size

    for kind, things in (("object", env.objects_dict), ("fixture", env.fixtures_dict)):
        for name, thing in things.items():
            add(name, kind, model.body(thing.root_body).id, 9)
    for i in range(model.njnt):
        joint = model.joint(i)
        robotic = joint.name.startswith(("robot0_", "gripper0_"))
        if not robotic and joint.type[0] != mujoco.mjtJoint.mjJNT_FREE:
            add(joint.name, "joint", int(joint.bodyid[0]), 10)
            addresses.append(int(joint.qposadr[0]))
    layout = SampleLayout(
        ee_site=robot.ee_site,
        ee_body=robot.ee_body,
        gripper_qpos=robot.gripper_qpos.astype(np.int64),
        bodies=np.array(bodies, np.int64),
        joint_qpos=np.array(addresses, np.int64),
    )
    return layout, StateLayout(tuple(parts))


@compiled
def take_sample(
    sample: np.ndarray,
    ee_site: int,
    ee_body: int,
    gripper_qpos: np.ndarray,
    bodies: np.ndarray,
    joint_qpos: np.ndarray,
    qpos: np.ndarray,
    site_xpos: np.ndarray,
    xpos: np.ndarray,
    xquat: np.ndarray,
) -> None:
    """Copies the raw numbers of an observation out of MuJoCo's arrays into ``sample`` ``[R]``."""
    sample[0:3] = site_xpos[ee_site]
    sample[3:7] = xquat[ee_body]
    sample[7] = qpos[gripper_qpos[0]]
    sample[8] = qpos[gripper_qpos[1]]
    sample[9:16] = qpos[0:7]
    at = 16
    for body in bodies:
        sample[at : at + 3] = xpos[body]
        sample[at + 3 : at + 7] = xquat[body]
        at += 7
    for address in joint_qpos:
        sample[at] = qpos[address]
        at += 1


def proprio_of(sample: Float64[np.ndarray, " R"]) -> Float32[np.ndarray, "8"]:
    """Returns hand position (m, world), axis-angle (rad) and finger joints (m).

    The axis-angle is computed as robosuite and the published LIBERO evaluations do.
    """
    proprio = np.empty(8, np.float32)
    proprio[:3] = sample[:3]
    w = min(max(float(sample[3]), -1.0), 1.0)
    sine = math.sqrt(1.0 - w * w)
    if math.isclose(sine, 0.0):
        proprio[3:6] = 0.0
    else:
        proprio[3:6] = (sample[4:7] * 2.0 * math.acos(w)) / sine
    proprio[6:] = sample[7:9]
    return proprio


@compiled
def _relative(sample: np.ndarray, at: int, hand: np.ndarray, out: np.ndarray, start: int) -> None:
    """Writes one body's pose in the hand's frame: position 3, rotation's first two columns 6."""
    dx, dy, dz = sample[at] - sample[0], sample[at + 1] - sample[1], sample[at + 2] - sample[2]
    rotation = _matrix(sample[at + 3 : at + 7])
    for i in range(3):
        out[start + i] = hand[0, i] * dx + hand[1, i] * dy + hand[2, i] * dz
        for column in range(2):
            out[start + 3 + 3 * column + i] = (
                hand[0, i] * rotation[0, column]
                + hand[1, i] * rotation[1, column]
                + hand[2, i] * rotation[2, column]
            )


@compiled
def _matrix(quat: np.ndarray) -> np.ndarray:
    """Returns the rotation matrix of a unit quaternion (w, x, y, z)."""
    w, x, y, z = quat[0], quat[1], quat[2], quat[3]
    matrix = np.empty((3, 3))
    matrix[0, 0] = 1 - 2 * (y * y + z * z)
    matrix[0, 1] = 2 * (x * y - w * z)
    matrix[0, 2] = 2 * (x * z + w * y)
    matrix[1, 0] = 2 * (x * y + w * z)
    matrix[1, 1] = 1 - 2 * (x * x + z * z)
    matrix[1, 2] = 2 * (y * z - w * x)
    matrix[2, 0] = 2 * (x * z - w * y)
    matrix[2, 1] = 2 * (y * z + w * x)
    matrix[2, 2] = 1 - 2 * (x * x + y * y)
    return matrix


@compiled
def _object_state(sample: np.ndarray, num_bodies: int, num_joints: int) -> np.ndarray:
    num_rigid = num_bodies - num_joints
    out = np.empty(9 * num_bodies + num_joints, np.float32)
    hand = _matrix(sample[3:7])
    start = 0
    for i in range(num_bodies):
        if i >= num_rigid:
            out[start] = sample[16 + 7 * num_bodies + i - num_rigid]
            start += 1
        _relative(sample, 16 + 7 * i, hand, out, start)
        start += 9
    return out


def object_state_of(
    sample: Float64[np.ndarray, " R"], layout: SampleLayout
) -> Float32[np.ndarray, " Do"]:
    """Returns the object state, laid out as ``StateLayout`` says."""
    return _object_state(sample, len(layout.bodies), len(layout.joint_qpos))
