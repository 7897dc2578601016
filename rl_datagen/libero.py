"""LIBERO's own environment on the fast simulator, for evaluation scripts written for LIBERO.

In such a script, change one import: ``from rl_datagen.libero import OffScreenRenderEnv``.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from rl_datagen.config import Appearance, RenderBackend
from rl_datagen.core.errors import ConfigError, quoted
from rl_datagen.sim.compiled import CompiledSimulator
from rl_datagen.sim.factory import load_scene
from rl_datagen.sim.libero import NUM_SUBSTEPS, RandomizationError, problem_info
from rl_datagen.sim.libero_observation import LIBERO_CAMERAS, Observation, observe_as_libero
from rl_datagen.sim.render import Pose
from rl_datagen.sim.scene import InitialState
from rl_datagen.sim.spaces import check_choice
from rl_datagen.tasks.files import task_defined_by

__all__ = ["OffScreenRenderEnv"]

_FIXED: dict[str, Any] = {
    "robots": ["Panda"],
    "controller": "OSC_POSE",
    "gripper_types": "default",
    "initialization_noise": None,
    "control_freq": 20,
    "use_camera_obs": True,
    "camera_depths": False,
    "camera_segmentations": None,
    "has_renderer": False,
    "has_offscreen_renderer": True,
    "render_collision_mesh": False,
    "render_visual_mesh": True,
    "renderer": "mujoco",
}
_WITHOUT_EFFECT = ("hard_reset", "render_camera", "render_gpu_device_id", "renderer_config")


class OffScreenRenderEnv:
    """LIBERO's environment of a task: same calls, same observations, bit for bit.

    An observation is a dictionary with LIBERO's names, types and upside-down images, drawn when
    they are first read. ``reset`` draws from NumPy's global random stream what LIBERO's would draw,
    fixtures included; every reset is as a hard one and takes milliseconds.

    Args:
        bddl_file_name: Definition of one of the 130 tasks.
        camera_heights: Pixels, of every camera or of each.
        camera_widths: Pixels, of every camera or of each.
        camera_names: Of ``agentview`` and ``robot0_eye_in_hand``.
        horizon: Env steps after a reset that may be taken, unless ``ignore_done``.
        ignore_done: Whether more may be taken.
        appearance: How textures are coloured, as ``sim.appearance``: ``mujoco`` is what LIBERO
            itself shows with this MuJoCo, ``original`` what all published data shows.
        render_backend: What draws images, as ``sim.render_backend``.
        others: LIBERO's further settings, which can have its own defaults only.

    Raises:
        ConfigError: It is the file of another task, or a setting has a value that is not offered.
    """

    def __init__(
        self,
        bddl_file_name: str,
        *,
        camera_heights: int | list[int] = 128,
        camera_widths: int | list[int] = 128,
        camera_names: Iterable[str] = tuple(LIBERO_CAMERAS),
        horizon: int = 1000,
        ignore_done: bool = False,
        appearance: Appearance = "original",
        render_backend: RenderBackend = "culled",
        **others: Any,
    ) -> None:
        _refuse(others)
        self.task = task_defined_by(bddl_file_name)
        self.horizon, self.ignore_done = horizon, ignore_done
        self._sizes = _sizes(tuple(camera_names), camera_heights, camera_widths)
        scene = load_scene(self.task, "exact", appearance, render_backend)
        self._simulator = CompiledSimulator(scene)
        info = problem_info(self.task)
        self.problem_name, self.domain_name = info["problem_name"], info["domain_name"]
        self.language_instruction = info["language_instruction"]
        self.obj_of_interest = list(scene.objects_of_interest)
        self._num_loads = 0
        self.reset()  # LIBERO's constructor consumes as many random numbers

    def seed(self, seed: int | None) -> None:
        """Seeds NumPy's global random stream."""
        np.random.seed(seed)

    def reset(self) -> Observation:
        """Starts an episode with newly drawn positions."""
        state, fixture_poses = self._draw()
        self._simulator.reset(InitialState(state, fixture_poses), num_settle_steps=0)
        self.timestep, self._num_forced = 0, 1
        # LIBERO lights burners at the end of a step and when a state is set, not in a reset.
        self._lit_from = 2
        return self._observe()

    def set_init_state(self, init_state: Float64[np.ndarray, " S"]) -> Observation:
        """Moves everything but the fixtures to a state: time (s), qpos, qvel."""
        size = self._simulator.sim_state().shape
        if np.shape(init_state) != size:
            raise ConfigError(
                f"A state of {self.task} has {size[0]} numbers, not the shape "
                f"{np.shape(init_state)}: give one row of this task's own init states."
            )
        self._simulator.set_state(np.asarray(init_state, np.float64))
        self._num_forced, self._lit_from = self._num_forced + 1, 0
        return self._observe()

    regenerate_obs_from_state = set_init_state

    def step(
        self, action: Float[np.ndarray, "7"] | list[float]
    ) -> tuple[Observation, float, bool, dict[str, Any]]:
        """Advances one env step (50 ms).

        Returns:
            Observation; reward, 1.0 while the goal holds; whether it does; nothing.

        Raises:
            ValueError: The horizon was reached.
        """
        if self.timestep >= self.horizon and not self.ignore_done:
            raise ValueError("executing action in terminated episode")
        self.timestep += 1
        # Each forced sample brings the later ones forward by one physics step.
        self._simulator.sampled_substep = -self._num_forced % NUM_SUBSTEPS
        reached = self._simulator.step(np.asarray(action))
        return self._observe(), float(reached), reached, {}

    def check_success(self) -> bool:
        """Whether the goal holds now."""
        return self._simulator.success()

    def get_sim_state(self) -> Float64[np.ndarray, " S"]:
        """Returns time (s), qpos and qvel."""
        return self._simulator.sim_state()

    def close(self) -> None:
        """Lets go of the simulator."""
        del self._simulator

    @property
    def env(self) -> "OffScreenRenderEnv":
        """What scripts reach into LIBERO's wrapper for."""
        return self

    @property
    def robots(self) -> list[Any]:
        """The robot, of which ``controller.ee_ori_mat`` is there: ``[3, 3]``, world frame."""
        return [SimpleNamespace(controller=_Controller(self._simulator))]

    def _get_observations(self) -> Observation:
        return self._observation

    def _observe(self) -> Observation:
        pose = self._simulator.pose()
        if self.timestep < self._lit_from:
            pose = Pose(pose.qpos, pose.fixture_poses, np.zeros_like(pose.sites_on))
        self._observation = observe_as_libero(self._simulator, self._sizes, pose)
        return self._observation

    def _draw(self) -> tuple[np.ndarray, np.ndarray]:
        while True:
            self._num_loads += 1
            try:
                return self._simulator.scene.placement.draw_next(self._num_loads)
            except RandomizationError:  # LIBERO resets again, too
                continue


class _Controller:
    """The part of robosuite's controller that evaluation scripts read and set."""

    def __init__(self, simulator: CompiledSimulator) -> None:
        self._simulator = simulator

    @property
    def ee_ori_mat(self) -> Float64[np.ndarray, "3 3"]:
        """The hand's rotation matrix."""
        return self._simulator.hand_rotation()

    @property
    def use_delta(self) -> bool:
        """Whether actions are relative to the hand's pose; always."""
        return True

    @use_delta.setter
    def use_delta(self, value: bool) -> None:
        check_choice("use_delta", value, (True,))


def _refuse(others: dict[str, Any]) -> None:
    """Refuses settings that would change what LIBERO simulates."""
    for name, value in others.items():
        if name in _WITHOUT_EFFECT or (name in _FIXED and value == _FIXED[name]):
            continue
        allowed = f"here it is always {_FIXED[name]!r}" if name in _FIXED else "it is not known"
        raise ConfigError(
            f"{name}={quoted(value)}: {allowed}. Leave it out, or use LIBERO's own "
            "`libero.libero.envs.OffScreenRenderEnv`."
        )


def _sizes(
    names: tuple[str, ...], heights: int | list[int], widths: int | list[int]
) -> dict[str, tuple[int, int]]:
    """Returns height and width of each camera's image."""
    for name in names:
        check_choice("camera_names", name, tuple(LIBERO_CAMERAS))
    both = [[size] * len(names) if isinstance(size, int) else size for size in (heights, widths)]
    return dict(zip(names, zip(*both, strict=True), strict=True))
