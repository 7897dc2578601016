"""Simulators that share a scene's model and step in compiled code."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import mujoco
import numpy as np
from jaxtyping import Float64

from rl_datagen.sim.dynamics import (
    Dynamics,
    env_step,
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
        self._dynamics = self._connect()

    @property
    def data(self) -> mujoco.MjData:
        """MuJoCo's data of this simulator; read it, do not write it."""
        return self._data

    def goal_pose(self) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3 3"]]:
        """Returns the position (m) and rotation matrix, world frame, the arm is driven to."""
        return self._dynamics.goal_pos.copy(), self._dynamics.goal_mat.copy()

    def success(self) -> bool:
        """Whether the task's goal holds now."""
        return self.scene.goal.reached(self._data)

    def _reset(self, init: InitialState) -> None:
        self._view.place(self.scene.fixture_ids, init.fixture_poses)
        dynamics, stale, data = self._dynamics, self.scene.controller, self._data
        reset_data(dynamics.model, dynamics.data)
        data.time = init.sim_state[0]
        data.qpos[:] = init.sim_state[1 : 1 + self.scene.model.nq]
        data.qvel[:] = init.sim_state[1 + self.scene.model.nq :]
        dynamics.ee_pos[:] = dynamics.goal_pos[:] = stale.ee_pos
        dynamics.ee_mat[:] = dynamics.goal_mat[:] = stale.ee_mat
        dynamics.ee_vel[:] = dynamics.joint_vel[:] = dynamics.gripper[:] = 0.0
        dynamics.joint_pos[:] = stale.joint_pos
        dynamics.jacobian[:] = stale.jacobian
        dynamics.mass[:] = stale.mass_matrix
        dynamics.fresh[0] = False
        settle_in(dynamics)

    def _step(self, action: Float64[np.ndarray, "7"]) -> bool:
        delta = np.clip(action[:6], -1.0, 1.0) * self.scene.controller.action_scale
        turns = bool(delta[3:].any())
        rotation = rotation_of(delta[3:]) if turns else _IDENTITY
        grip = float(np.sign(action[6]))
        env_step(self._dynamics, delta[:3], turns, rotation, grip)
        return self.success()

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
            render_qpos=self._render_qpos,
        )


_IDENTITY = np.eye(3)
