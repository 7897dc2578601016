"""Simulator of a scene, whatever steps it."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from abc import ABC, abstractmethod

import mujoco
import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from rl_datagen.config import Rendering
from rl_datagen.core.errors import ConfigError, SimulatorError, did_you_mean
from rl_datagen.sim import render as rendering
from rl_datagen.sim.observation import object_state_of, proprio_of
from rl_datagen.sim.scene import InitialState, Scene

SETTLE_ACTION = np.array([0.0] * 6 + [-1.0])
"""Action that LIBERO's evaluations apply while the scene comes to rest."""


# What it says is counted in its data, which ``step`` looks at; by default it would also go to a
# file MUJOCO_LOG.TXT in the working folder.
mujoco.set_mju_user_warning(lambda _: None)

_DIVERGED = slice(mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQACC + 1)
"""MuJoCo's warnings about joint positions, velocities and accelerations that blew up."""


class Simulator(ABC):
    """One simulator of a scene. Not for use by two threads at once.

    Observations belong to the moment LIBERO samples them, one physics step (2 ms) before the end
    of an env step; ``sim_state``, ``ee_pose``, ``body_pose`` and ``success`` to its end.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.num_steps = 0
        """Env steps since the reset, settling included."""
        self.init: InitialState | None = None
        """Start of the present episode."""
        self._sample = np.zeros(scene.sample_layout.size)
        self._render_qpos = np.zeros(scene.model.nq)
        self._divergences = np.zeros(3, int)
        self._sites_on = np.zeros(len(scene.visual_sites), bool)

    @property
    @abstractmethod
    def data(self) -> mujoco.MjData:
        """MuJoCo's data of this simulator; read it, do not write it."""

    @abstractmethod
    def _reset(self, init: InitialState) -> None: ...

    @abstractmethod
    def _step(self, action: Float64[np.ndarray, "7"]) -> bool: ...

    @abstractmethod
    def goal_pose(self) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3 3"]]:
        """Returns the position (m) and rotation matrix, world frame, the arm is driven to."""

    @abstractmethod
    def success(self) -> bool:
        """Whether the task's goal holds now."""

    def reset(self, init: InitialState, num_settle_steps: int = 10) -> None:
        """Starts an episode and lets the scene come to rest.

        Args:
            init: Where to start.
            num_settle_steps: Env steps of ``SETTLE_ACTION``.

        Raises:
            SimulatorError: The physics diverged while settling.
        """
        self.init, self.num_steps = init, 0
        self._reset(init)
        self._divergences = self.data.warning.number[_DIVERGED]
        self._look_at_sites()
        for _ in range(num_settle_steps):
            self.step(SETTLE_ACTION)

    def step(self, action: Float[np.ndarray, "7"]) -> bool:
        """Advances one env step (50 ms, 25 physics steps).

        Args:
            action: 3 position (1.0 = 0.05 m), 3 axis-angle (1.0 = 0.5 rad), gripper (-1 open, +1
                close); values beyond [-1, 1] are clipped as in LIBERO.

        Returns:
            Whether the goal holds after the step.

        Raises:
            SimulatorError: The action is not finite or the physics diverged.
        """
        action = np.asarray(action, np.float64)
        if not np.isfinite(action).all():
            raise self.error(f"action {action.tolist()} is not finite")
        self._look_at_sites()
        reached = self._step(action)
        self.num_steps += 1
        # MuJoCo answers a diverged state by a warning and a reset to its defaults.
        if self._divergences.any() or not np.isfinite(self.data.qpos).all():
            raise self.error("the physics diverged")
        return reached

    def _look_at_sites(self) -> None:
        """LIBERO lights a burner at the end of an env step: images show it one step later."""
        for i, site in enumerate(self.scene.visual_sites):
            self._sites_on[i] = site.is_on(self.data.qpos[site.qpos])

    def error(self, message: str) -> SimulatorError:
        """Returns an error that carries this episode's coordinates."""
        init = self.init
        return SimulatorError(
            message,
            task=self.scene.task.id,
            init_state_index=init.index if init else None,
            seed=init.seed if init else None,
            step=self.num_steps,
        )

    def sim_state(self) -> Float64[np.ndarray, " S"]:
        """Returns time (s), qpos and qvel."""
        data = self.data
        return np.concatenate([[data.time], data.qpos, data.qvel])

    def proprio(self) -> Float32[np.ndarray, "8"]:
        """Returns hand position (m, world), axis-angle (rad) and finger joints (m)."""
        return proprio_of(self._sample)

    def object_state(self) -> Float32[np.ndarray, " Do"]:
        """Returns the task's objects, laid out as ``scene.state_layout`` says."""
        return object_state_of(self._sample, self.scene.sample_layout)

    def robot_state(self) -> dict[str, Float64[np.ndarray, " n"]]:
        """Returns the robot's numbers in double precision.

        Returns:
            ``ee_pos`` 3 (m, world), ``ee_quat`` 4 (x, y, z, w), ``gripper_qpos`` 2 (m) and
            ``joint_pos`` 7 (rad).
        """
        sample = self._sample
        return {
            "ee_pos": sample[0:3].copy(),
            "ee_quat": sample[[4, 5, 6, 3]],
            "gripper_qpos": sample[7:9].copy(),
            "joint_pos": sample[9:16].copy(),
        }

    def observe(self) -> dict[str, Float32[np.ndarray, " n"]]:
        """Returns what an expert in state mode sees: ``proprio`` and ``object_state``."""
        return {"proprio": self.proprio(), "object_state": self.object_state()}

    def body_pose(self, name: str) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "4"]]:
        """Returns a body's position (m) and quaternion (w, x, y, z) in the world.

        Args:
            name: MuJoCo's body name or LIBERO's name of an object, fixture or region.

        Raises:
            ConfigError: There is no such body.
        """
        body = self.scene.body_ids.get(name)
        if body is None:
            hint = did_you_mean(name, self.scene.body_ids)
            raise ConfigError(f"Task {self.scene.task} has no body '{name}'.{hint}")
        return self.data.xpos[body].copy(), self.data.xquat[body].copy()

    def ee_pose(self) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3 3"]]:
        """Returns the grip site's position (m) and rotation matrix in the world, right now.

        MuJoCo's own numbers lag the joints by one physics step; these do not.
        """
        scratch = self.scene.scratch()
        scratch.qpos[:] = self.data.qpos
        mujoco.mj_kinematics(self.scene.model, scratch)
        site = self.scene.robot.ee_site
        return scratch.site_xpos[site].copy(), scratch.site_xmat[site].reshape(3, 3).copy()

    def images(self, size: int, look: Rendering = "exact") -> dict[str, UInt8[np.ndarray, "H W 3"]]:
        """Returns what each camera sees, by our names; see ``render``.

        Args:
            size: Height and width in pixels.
            look: How it is drawn; see ``sim.render.render``.
        """
        images = self._render(tuple(rendering.CAMERAS), size, size, look)
        return {str(camera): image for camera, image in images.items()}

    def render(
        self, camera: rendering.Camera, height: int, width: int
    ) -> UInt8[np.ndarray, "H W 3"]:
        """Returns what a camera sees at the moment of the observation: RGB, upright.

        Raises:
            MachineError: This machine lacks a GL library.
        """
        return self._render((camera,), height, width)[camera]

    def pose(self) -> rendering.Pose:
        """Returns what images of the moment of the observation show."""
        assert self.init is not None, "reset the simulator before rendering"
        sites = self._sites_on.copy()
        return rendering.Pose(self._render_qpos.copy(), self.init.fixture_poses, sites)

    def _render(
        self,
        cameras: tuple[rendering.Camera, ...],
        height: int,
        width: int,
        look: Rendering = "exact",
    ) -> dict[rendering.Camera, UInt8[np.ndarray, "H W 3"]]:
        return rendering.render(self.scene, cameras, height, width, self.pose(), look)
