"""Simulators that share a scene's model and step in compiled code."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import mujoco
import numpy as np
from jaxtyping import Float64

from rl_datagen.sim.dynamics import (
    SAMPLED_SUBSTEP,
    Dynamics,
    env_step,
    follow,
    hold,
    reset_data,
    settle_in,
)
from rl_datagen.sim.libero import rotation_of
from rl_datagen.sim.model_view import ModelView
from rl_datagen.sim.scene import InitialState, Scene
from rl_datagen.sim.simulator import Simulator


class CompiledSimulator(Simulator):
    """A new ``MjData`` (1.4 to 2.2 MB) on the scene's model.

    Args:
        scene: The scene.
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._view = ModelView(scene.model)
        self._data = mujoco.MjData(scene.model)
        self._sample_qvel = np.zeros(scene.model.nv)
        self.sampled_substep = SAMPLED_SUBSTEP
        """Physics step of an env step after which the observation is sampled, counted from 0."""
        self._dynamics = self._connect()

    @property
    def data(self) -> mujoco.MjData:
        """MuJoCo's data of this simulator; read it, do not write it."""
        return self._data

    def goal_pose(self) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3 3"]]:
        """Returns the position (m) and rotation matrix, world frame, the arm is driven to."""
        return self._dynamics.goal_pos.copy(), self._dynamics.goal_mat.copy()

    def sample(self) -> Float64[np.ndarray, " R"]:
        """Returns the raw numbers of the observation; see ``sim.observation``."""
        return self._sample.copy()

    def hand_rotation(self) -> Float64[np.ndarray, "3 3"]:
        """Returns the hand's rotation matrix, world frame, as the controller last read it."""
        return self._dynamics.ee_mat.copy()

    def robot_velocity(self) -> dict[str, Float64[np.ndarray, " n"]]:
        """Returns ``joint_vel`` 7 (rad/s) and ``gripper_qvel`` 2 (m/s)."""
        gripper = self.scene.robot.gripper_qvel
        return {
            "joint_vel": self._sample_qvel[:7].copy(),
            "gripper_qvel": self._sample_qvel[gripper],
        }

    def set_state(self, sim_state: Float64[np.ndarray, " S"]) -> None:
        """Moves everything to a state, as LIBERO's ``set_init_state`` does.

        The controller, the gripper's command and the fixtures stay as they are.

        Args:
            sim_state: Time (s), qpos, qvel.
        """
        self._write(sim_state)
        settle_in(self._dynamics)
        self._look_at_sites()

    def look_at(self, sim_state: Float64[np.ndarray, " S"]) -> None:
        """Moves everything to a state, and computes what acts there; no time passes.

        Poses and contacts depend on the state alone; forces also on where the controller drives
        the hand and the fingers, which ``follow`` keeps.

        Args:
            sim_state: Time (s), qpos, qvel.
        """
        self._write(sim_state)
        self._data.qacc_warmstart[:] = 0.0  # the solver's answer depends on no state before
        hold(self._dynamics)

    def follow(self, action: Float64[np.ndarray, "7"]) -> None:
        """Takes an action's goals, as an env step from the state looked at would; no time passes.

        Args:
            action: As for ``step``.
        """
        follow(self._dynamics, *self._command(action))

    def success(self) -> bool:
        """Whether the task's goal holds now."""
        return self.scene.goal.reached(self._data)

    def _reset(self, init: InitialState) -> None:
        self._view.place(self.scene.fixture_ids, init.fixture_poses)
        dynamics, stale = self._dynamics, self.scene.controller
        reset_data(dynamics.model, dynamics.data)
        self._write(init.sim_state)
        dynamics.ee_pos[:] = dynamics.goal_pos[:] = stale.ee_pos
        dynamics.ee_mat[:] = dynamics.goal_mat[:] = stale.ee_mat
        dynamics.ee_vel[:] = dynamics.joint_vel[:] = dynamics.gripper[:] = 0.0
        dynamics.joint_pos[:] = stale.joint_pos
        dynamics.jacobian[:] = stale.jacobian
        dynamics.mass[:] = stale.mass_matrix
        dynamics.fresh[0] = False
        settle_in(dynamics)

    def _write(self, sim_state: Float64[np.ndarray, " S"]) -> None:
        data, nq = self._data, self.scene.model.nq
        data.time, data.qpos[:], data.qvel[:] = (
            sim_state[0],
            sim_state[1 : 1 + nq],
            sim_state[1 + nq :],
        )

    def _step(self, action: Float64[np.ndarray, "7"]) -> bool:
        env_step(self._dynamics, *self._command(action), self.sampled_substep)
        return self.success()

    def _command(
        self, action: Float64[np.ndarray, "7"]
    ) -> tuple[np.ndarray, bool, np.ndarray, float]:
        """Returns an action as ``env_step`` takes it."""
        delta = np.clip(action[:6], -1.0, 1.0) * self.scene.controller.action_scale
        turns = bool(delta[3:].any())
        rotation = rotation_of(delta[3:]) if turns else _IDENTITY
        return delta[:3], turns, rotation, float(np.sign(action[6]))

    def _connect(self) -> Dynamics:
        scene, data = self.scene, self._data
        layout, stale, nv = scene.sample_layout, scene.controller, scene.model.nv
        ctrl_range = scene.model.actuator_ctrlrange[scene.robot.gripper_actuators]
        return Dynamics(
            model=self._view.address,
            data=data._address,
            qpos=data.qpos,
            qvel=data.qvel,
            ctrl=data.ctrl,
            qfrc_bias=data.qfrc_bias,
            inertia=data.qM,
            site_xpos=data.site_xpos,
            site_xmat=data.site_xmat,
            xpos=data.xpos,
            xquat=data.xquat,
            ee_pos=np.zeros(3),
            ee_mat=np.zeros((3, 3)),
            ee_vel=np.zeros(6),
            joint_pos=np.zeros(7),
            joint_vel=np.zeros(7),
            jacobian=np.zeros((6, 7), order="F"),
            mass=np.zeros((7, 7), order="F"),
            fresh=np.zeros(1, bool),
            goal_pos=np.zeros(3),
            goal_mat=np.zeros((3, 3)),
            gripper=np.zeros(2),
            rest_qpos=stale.joint_pos,
            kp=stale.kp,
            kd=stale.kd,
            torque_limits=stale.torque_limits,
            gripper_bias=0.5 * (ctrl_range[:, 1] + ctrl_range[:, 0]),
            gripper_weight=0.5 * (ctrl_range[:, 1] - ctrl_range[:, 0]),
            arm_actuators=scene.robot.arm_actuators,
            gripper_actuators=scene.robot.gripper_actuators,
            full_jacobian=np.zeros((2, 3, nv)),
            full_mass=np.zeros((nv, nv)),
            ee_site=layout.ee_site,
            ee_body=layout.ee_body,
            gripper_qpos=layout.gripper_qpos,
            bodies=layout.bodies,
            joint_qpos=layout.joint_qpos,
            sample=self._sample,
            sample_qvel=self._sample_qvel,
            render_qpos=self._render_qpos,
        )


_IDENTITY = np.eye(3)
