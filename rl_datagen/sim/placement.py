"""Newly drawn initial states from a task's BDDL samplers, without recompiling its model."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import threading
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float64

from rl_datagen.sim.libero import RandomizationError

_MAX_OVERLAP = 0.005
"""m, of two objects: of 40 states with more, 36 threw an object further than 5 cm."""
_ARM_NOISE = 0.02
"""rad, standard deviation of each arm joint in the shipped init states; robosuite's default."""
_LOCK = threading.Lock()  # the samplers use NumPy's global random stream


class _SiteReader:
    """The part of robosuite's simulation object that LIBERO's samplers ask: where a site is."""

    def __init__(self, data: mujoco.MjData) -> None:
        self._data = data

    @property
    def data(self) -> "_SiteReader":
        """The samplers spell it ``sim.data.get_site_xpos(name)``."""
        return self

    def get_site_xpos(self, name: str) -> np.ndarray:
        """Returns a site's position (m, world)."""
        return self._data.site(name).xpos


class Placement:
    """Draws initial states in the order in which LIBERO's reset consumes randomness.

    Three differences are deliberate. The arm starts as in the shipped init states: LIBERO's reset
    draws noise for its joints and scales it by zero, the shipped ones have it in all 130 tasks
    (docs/decisions/0022). States in which objects overlap are drawn again. And LIBERO appends its
    samplers of joints (an open drawer, a lit stove) anew at each reset, so that its random stream
    depends on how often the environment was reset before; here each joint is sampled once per draw.
    """

    def __init__(self, env: Any, model: mujoco.MjModel, fixture_ids: np.ndarray) -> None:
        self._model, self._fixture_ids = model, fixture_ids
        self._data = mujoco.MjData(model)
        self._sites = _SiteReader(self._data)
        robot = env.robots[0]
        self._arm_qpos = np.asarray(robot.init_qpos, np.float64)
        self._gripper_qpos = robot._ref_gripper_joint_pos_indexes
        self._gripper_init = robot.gripper.init_qpos
        self._joints = [
            (sampler, [model.joint(name).qposadr[0] for name in _joints(env, sampler.name)])
            for sampler in env.object_property_initializers
        ]
        self._on_table = env.placement_initializer
        self._on_sites = env.conditional_placement_initializer
        self._on_objects = env.conditional_placement_on_objects_initializer
        joints = model.body_jntadr
        self._is_free = (joints >= 0) & (model.jnt_type[joints] == mujoco.mjtJoint.mjJNT_FREE)
        self._rows = {body: i for i, body in enumerate(fixture_ids)}
        self._fixtures = {
            name: model.body(fixture.root_body).id for name, fixture in env.fixtures_dict.items()
        }

    def draw(self, seed: int) -> tuple[Float64[np.ndarray, " S"], Float64[np.ndarray, "Nf 7"]]:
        """Returns the simulator state and fixture poses of a seed."""
        with _LOCK:
            saved = np.random.get_state()
            np.random.seed(seed % 2**32)
            try:
                return self._draw()
            finally:
                np.random.set_state(saved)

    def draw_next(self, num_loads: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns what LIBERO's own reset would draw from NumPy's global random stream.

        Objects may overlap, and joints are sampled as often as the environment has loaded its
        model.

        Args:
            num_loads: How often it has, this time included.

        Raises:
            RandomizationError: There was no room.
        """
        with _LOCK:
            return self._place(self._sample(num_loads, arm_noise=0))

    def _draw(self) -> tuple[np.ndarray, np.ndarray]:
        while True:
            try:
                placements = self._sample()
            except RandomizationError:  # there was no room; LIBERO starts over, too
                continue
            state, poses = self._place(placements)
            if not self._is_overlapping():
                return state, poses

    def _place(self, placements: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Puts things where they were sampled; returns the state and the fixture poses."""
        qpos = self._data.qpos
        ids = self._fixture_ids
        poses = np.concatenate([self._model.body_pos[ids], self._model.body_quat[ids]], axis=1)
        for position, quat, thing in placements.values():
            pose = np.concatenate([position, quat])
            if thing.name in self._fixtures:
                poses[self._rows[self._fixtures[thing.name]]] = pose
            else:
                address = self._model.joint(thing.joints[-1]).qposadr[0]
                qpos[address : address + 7] = pose
        return np.concatenate([[0.0], qpos, np.zeros(self._model.nv)]), poses

    def _is_overlapping(self) -> bool:
        """Whether two objects lie inside each other, and would spring apart.

        LIBERO's samplers keep circles apart, not shapes. Its shipped init states hardly ever
        overlap (docs/decisions/0015).
        """
        mujoco.mj_fwdPosition(self._model, self._data)
        roots = self._model.body_rootid[self._model.geom_bodyid]
        for contact in self._data.contact:
            first, second = roots[contact.geom1], roots[contact.geom2]
            both = first != second and self._is_free[first] and self._is_free[second]
            if both and contact.dist < -_MAX_OVERLAP:
                return True
        return False

    def _sample(self, num_loads: int = 1, arm_noise: float = _ARM_NOISE) -> dict[str, Any]:
        data = self._data
        mujoco.mj_resetData(self._model, data)
        data.qpos[:7] = self._arm_qpos + arm_noise * np.random.randn(7)
        data.qpos[self._gripper_qpos] = self._gripper_init
        for sampler, addresses in self._joints * num_loads:
            position = sampler.sample()
            data.qpos[addresses] = position
        mujoco.mj_kinematics(self._model, data)
        placements = self._on_table.sample()
        placements = self._on_sites.sample(self._sites, placements)
        return self._on_objects.sample(placements)


def _joints(env: Any, name: str) -> list[str]:
    return env.get_object(name).joints
