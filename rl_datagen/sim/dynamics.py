"""One env step as a single compiled call that holds no GIL.

MuJoCo's C functions are called from numba through their symbols. The controller follows
robosuite 1.4.0's OSC_POSE operation by operation, memory order included, so that the result is
the same to the last bit. The arguments are arrays that MuJoCo or a simulator owns; nothing is
copied.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from pathlib import Path
from typing import NamedTuple

import llvmlite.binding
import mujoco
import numpy as np
from numba import types

from rl_datagen.sim.jit import compiled
from rl_datagen.sim.libero import (
    NUM_SUBSTEPS,
    nullspace_torques,
    opspace_matrices,
    orientation_error,
)
from rl_datagen.sim.observation import take_sample

_LIBRARY = next(Path(mujoco.__file__).parent.glob("libmujoco.so.*"))
llvmlite.binding.load_library_permanently(str(_LIBRARY))

_POINTER = types.uintp
_ON_DATA = types.void(_POINTER, _POINTER)
mj_kinematics = types.ExternalFunction("mj_kinematics", _ON_DATA)
mj_com_pos = types.ExternalFunction("mj_comPos", _ON_DATA)
mj_camlight = types.ExternalFunction("mj_camlight", _ON_DATA)
mj_forward = types.ExternalFunction("mj_forward", _ON_DATA)
mj_reset_data = types.ExternalFunction("mj_resetData", _ON_DATA)
mj_step1 = types.ExternalFunction("mj_step1", _ON_DATA)
mj_step2 = types.ExternalFunction("mj_step2", _ON_DATA)
mj_forward_skip = types.ExternalFunction(
    "mj_forwardSkip", types.void(_POINTER, _POINTER, types.int32, types.int32)
)
mj_jac_site = types.ExternalFunction(
    "mj_jacSite", types.void(_POINTER, _POINTER, _POINTER, _POINTER, types.int32)
)
# 3.3.7's order of arguments; later releases changed it.
mj_full_m = types.ExternalFunction("mj_fullM", types.void(_POINTER, _POINTER, _POINTER))

SAMPLED_SUBSTEP = NUM_SUBSTEPS - 2
"""LIBERO's observations are sampled after this physics step, counted from 0, once an init state was
set after a reset: each of the two forces a sample, which brings the next ones forward by a step."""


class Dynamics(NamedTuple):
    """Arrays and numbers that one env step reads and writes; a tuple since numba unpacks those."""

    # Addresses of the simulator's ``ModelView`` and ``MjData``.
    model: int
    data: int

    # MuJoCo's own arrays of that data: an env step writes ``ctrl`` and reads the others.
    qpos: np.ndarray
    qvel: np.ndarray
    ctrl: np.ndarray
    qfrc_bias: np.ndarray
    inertia: np.ndarray  # MuJoCo's sparse qM
    site_xpos: np.ndarray
    site_xmat: np.ndarray
    xpos: np.ndarray
    xquat: np.ndarray

    # What the controller sees: read between the halves of each physics step. In the first one after
    # a reset, where ``fresh[0]`` is False, it is LIBERO's stale state (``ControllerSnapshot``).
    ee_pos: np.ndarray  # [3]
    ee_mat: np.ndarray  # [3, 3]
    ee_vel: np.ndarray  # [6] linear, angular
    joint_pos: np.ndarray  # [7]
    joint_vel: np.ndarray  # [7]
    jacobian: np.ndarray  # [6, 7], Fortran order
    mass: np.ndarray  # [7, 7], Fortran order
    fresh: np.ndarray  # [1]

    # Where it drives the hand: set in the first physics step of an env step, the rotation only if
    # the action turns. The fingers' commands move by 0.01 in each physics step, within [-1, 1].
    goal_pos: np.ndarray  # [3]
    goal_mat: np.ndarray  # [3, 3]
    gripper: np.ndarray  # [2]

    # Constants of the controller and the actuators.
    rest_qpos: np.ndarray  # [7] where the null space is drawn to
    kp: np.ndarray  # [6]
    kd: np.ndarray  # [6]
    torque_limits: np.ndarray  # [2, 7]
    gripper_bias: np.ndarray  # [2]
    gripper_weight: np.ndarray  # [2]
    arm_actuators: np.ndarray  # [7]
    gripper_actuators: np.ndarray  # [2]

    # Workspace: MuJoCo's dense Jacobian and mass matrix, of which the arm's parts are taken.
    full_jacobian: np.ndarray  # [2, 3, nv]
    full_mass: np.ndarray  # [nv, nv]

    # The observation: what to copy (``SampleLayout``), and where to, one physics step before the
    # end of an env step. ``render_qpos`` are the joints that its body poses were computed from.
    ee_site: int
    ee_body: int
    gripper_qpos: np.ndarray
    bodies: np.ndarray
    joint_qpos: np.ndarray
    sample: np.ndarray  # [R]
    sample_qvel: np.ndarray  # [nv]
    render_qpos: np.ndarray  # [nq]


@compiled
def kinematics(model: int, data: int) -> None:
    """Computes the world poses of bodies, geoms, sites, cameras and lights from qpos."""
    mj_kinematics(model, data)
    mj_com_pos(model, data)
    mj_camlight(model, data)


@compiled
def reset_data(model: int, data: int) -> None:
    """Returns MuJoCo's data to its defaults."""
    mj_reset_data(model, data)


@compiled
def _observe(d: Dynamics) -> None:
    take_sample(
        d.sample,
        d.ee_site,
        d.ee_body,
        d.gripper_qpos,
        d.bodies,
        d.joint_qpos,
        d.qpos,
        d.site_xpos,
        d.xpos,
        d.xquat,
    )
    d.sample_qvel[:] = d.qvel


@compiled
def settle_in(d: Dynamics) -> None:
    """Computes everything that follows from a newly set state, and samples it."""
    mj_forward(d.model, d.data)
    d.render_qpos[:] = d.qpos
    _observe(d)


@compiled
def _refresh(d: Dynamics) -> None:
    """Reads the state the controller sees."""
    jacp, jacr = d.full_jacobian[0], d.full_jacobian[1]
    mj_jac_site(d.model, d.data, jacp.ctypes.data, jacr.ctypes.data, d.ee_site)
    mj_full_m(d.model, d.full_mass.ctypes.data, d.inertia.ctypes.data)
    d.ee_pos[:] = d.site_xpos[d.ee_site]
    for i in range(3):
        for j in range(3):
            d.ee_mat[i, j] = d.site_xmat[d.ee_site, 3 * i + j]
    d.ee_vel[:3] = np.dot(jacp, d.qvel)
    d.ee_vel[3:] = np.dot(jacr, d.qvel)
    d.joint_pos[:] = d.qpos[:7]
    d.joint_vel[:] = d.qvel[:7]
    d.jacobian[:3] = jacp[:, :7]
    d.jacobian[3:] = jacr[:, :7]
    d.mass[:] = d.full_mass[:7, :7]


@compiled
def _wanted(d: Dynamics) -> tuple[np.ndarray, np.ndarray]:
    """Returns the force (N) and torque (Nm) at the hand that the goal asks for."""
    error = orientation_error(d.goal_mat, d.ee_mat)
    force = (d.goal_pos - d.ee_pos) * d.kp[:3] + -d.ee_vel[:3] * d.kd[:3]
    torque = error * d.kp[3:] + -d.ee_vel[3:] * d.kd[3:]
    return force, torque


@compiled
def _torques(d: Dynamics) -> np.ndarray:
    """Returns the joint torques (Nm) of OSC_POSE, computed by robosuite's own functions."""
    force, torque = _wanted(d)
    jac_pos = np.asfortranarray(d.jacobian[:3])
    jac_ori = np.asfortranarray(d.jacobian[3:])
    _, lambda_pos, lambda_ori, null = opspace_matrices(d.mass, d.jacobian, jac_pos, jac_ori)
    wrench = np.concatenate((np.dot(lambda_pos, force), np.dot(lambda_ori, torque)))
    torques = np.dot(d.jacobian.T, wrench) + d.qfrc_bias[:7]
    torques += nullspace_torques(d.mass, null, d.rest_qpos, d.joint_pos, d.joint_vel)
    return torques


@compiled
def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


@compiled
def _set_goal(d: Dynamics, delta_pos: np.ndarray, turns: bool, delta_mat: np.ndarray) -> None:
    if turns:
        d.goal_mat[:] = np.dot(delta_mat, d.ee_mat)
    d.goal_pos[:] = d.ee_pos + delta_pos


@compiled
def _begin_substep(d: Dynamics) -> None:
    mj_step1(d.model, d.data)
    if d.fresh[0]:
        _refresh(d)
    d.fresh[0] = True


@compiled
def _drive(d: Dynamics, torques: np.ndarray, grip: float) -> None:
    """Writes the actuators' commands; the fingers' move by one physics step's worth of ``grip``."""
    for i in range(7):
        torque = _clip(torques[i], d.torque_limits[0, i], d.torque_limits[1, i])
        d.ctrl[d.arm_actuators[i]] = torque
    for i in range(2):
        speed = -0.01 if i == 0 else 0.01
        d.gripper[i] = _clip(d.gripper[i] + speed * grip, -1.0, 1.0)
        command = d.gripper_bias[i] + d.gripper_weight[i] * d.gripper[i]
        d.ctrl[d.gripper_actuators[i]] = command


@compiled
def _end_substep(d: Dynamics, is_sampled: bool, torques: np.ndarray, grip: float) -> None:
    _drive(d, torques, grip)
    if is_sampled:
        d.render_qpos[:] = d.qpos
    mj_step2(d.model, d.data)
    if is_sampled:
        _observe(d)


@compiled
def env_step(
    d: Dynamics,
    delta_pos: np.ndarray,
    turns: bool,
    delta_mat: np.ndarray,
    grip: float,
    sampled_substep: int,
) -> None:
    """Advances one env step as LIBERO would.

    Args:
        d: What to read and write.
        delta_pos: ``[3]``, m: from the hand to its goal.
        turns: Whether the action turns the hand; otherwise the goal's orientation stays.
        delta_mat: ``[3, 3]``: the rotation to the goal's orientation.
        grip: Sign of the gripper's action.
        sampled_substep: After which physics step the observation is sampled, counted from 0.
    """
    for substep in range(NUM_SUBSTEPS):
        _begin_substep(d)
        if substep == 0:
            _set_goal(d, delta_pos, turns, delta_mat)
        _end_substep(d, substep == sampled_substep, _torques(d), grip)


_VELOCITIES_ARE_THERE = 2  # mjSTAGE_VEL


@compiled
def hold(d: Dynamics) -> None:
    """Computes what acts in the present state under the controller's goal; no time passes.

    That is an env step's physics step without its end: contacts, the controller's torques, and the
    forces that follow.
    """
    mj_step1(d.model, d.data)
    _refresh(d)
    d.fresh[0] = True
    _drive(d, _torques(d), 0.0)
    mj_forward_skip(d.model, d.data, _VELOCITIES_ARE_THERE, 1)


@compiled
def follow(
    d: Dynamics, delta_pos: np.ndarray, turns: bool, delta_mat: np.ndarray, grip: float
) -> None:
    """Leaves the controller's goal and the fingers' commands as ``env_step`` does; no time passes.

    Args:
        d: What to read and write; the hand where ``hold`` found it.
        delta_pos: As for ``env_step``.
        turns: Likewise.
        delta_mat: Likewise.
        grip: Likewise.
    """
    _set_goal(d, delta_pos, turns, delta_mat)
    for _ in range(NUM_SUBSTEPS):
        for i in range(2):
            speed = -0.01 if i == 0 else 0.01
            d.gripper[i] = _clip(d.gripper[i] + speed * grip, -1.0, 1.0)
