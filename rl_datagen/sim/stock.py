"""LIBERO's own ``env.step`` behind the interface of the other simulators: the reference."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float64

from rl_datagen.sim.libero import NUM_SUBSTEPS, make_stock_env
from rl_datagen.sim.observation import take_sample
from rl_datagen.sim.scene import InitialState, Scene
from rl_datagen.sim.simulator import Simulator


class StockSimulator(Simulator):
    """One LIBERO environment without cameras: seconds to build and up to seconds to reset."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._env = make_stock_env(scene.task)

    @property
    def data(self) -> mujoco.MjData:
        """MuJoCo's data of this simulator, replaced at each reset."""
        return self._env.sim.data._data

    def goal_pose(self) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3 3"]]:
        """Returns the position (m) and rotation matrix, world frame, the arm is driven to."""
        controller = self._env.robots[0].controller
        return np.array(controller.goal_pos), np.array(controller.goal_ori)

    def success(self) -> bool:
        """Whether the task's goal holds now."""
        return bool(self._env.check_success())

    def _reset(self, init: InitialState) -> None:
        domain = self._env.env
        domain._observables.pop("rl_datagen", None)
        self._env.reset()
        domain._observables["rl_datagen"] = _Probe(self)
        model = self._env.sim.model
        model.body_pos[self.scene.fixture_ids] = init.fixture_poses[:, :3]
        model.body_quat[self.scene.fixture_ids] = init.fixture_poses[:, 3:]
        self._env.set_init_state(init.sim_state)

    def _step(self, action: Float64[np.ndarray, "7"]) -> bool:
        _, _, reached, _ = self._env.step(action)
        return bool(reached)

    def read(self) -> None:
        """Takes the sample of the present moment."""
        layout, data = self.scene.sample_layout, self.data
        addresses = (layout.ee_site, layout.ee_body, layout.gripper_qpos)
        parts = (layout.bodies, layout.joint_qpos)
        arrays = (data.qpos, data.site_xpos, data.xpos, data.xquat)
        take_sample(self._sample, *addresses, *parts, *arrays)

    def remember_qpos(self) -> None:
        """Keeps the joint positions whose kinematics the coming sample shows."""
        self._render_qpos[:] = self.data.qpos


class _Probe:
    """Reads the simulator when LIBERO's own observables do; looks like one to robosuite.

    robosuite updates observables after each physics step, and forcibly when a state is set. Two
    forced updates have advanced their clock, so that they sample after step 24 of each 25.
    """

    modality = "object"

    def __init__(self, simulator: StockSimulator) -> None:
        self._simulator = simulator
        self._substep = 0

    def update(self, timestep: float, obs_cache: dict[str, Any], force: bool = False) -> None:
        """Is called after each physics step."""
        if force:
            self._substep = 0
            self._simulator.remember_qpos()
            self._simulator.read()
            return
        self._substep = self._substep % NUM_SUBSTEPS + 1
        if self._substep == NUM_SUBSTEPS - 2:
            self._simulator.remember_qpos()
        elif self._substep == NUM_SUBSTEPS - 1:
            self._simulator.read()

    def reset(self) -> None:
        """Nothing to forget: setting a state forces an update."""

    def is_enabled(self) -> bool:
        """Not part of LIBERO's observations."""
        return False

    is_active = is_enabled
