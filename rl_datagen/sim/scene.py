"""Compiled scene of a task: its model and what is constant about it.

Legend of shapes: ``S`` = 1 + nq + nv, ``Nf`` fixtures, ``N`` shipped init states.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
from jaxtyping import Float64

from rl_datagen.config import Appearance, Backend, RenderBackend
from rl_datagen.core.errors import ConfigError
from rl_datagen.core.seeding import derive_seed
from rl_datagen.sim.goal import Goal, VisualSite, find_visual_sites
from rl_datagen.sim.libero import bddl_path, load_init_states, make_domain
from rl_datagen.sim.observation import SampleLayout, StateLayout, lay_out
from rl_datagen.sim.placement import Placement
from rl_datagen.sim.words import Words, find_words
from rl_datagen.tasks import Task

if TYPE_CHECKING:
    from rl_datagen.sim.simulator import Simulator


@dataclass(frozen=True, eq=False)
class InitialState:
    """Start of an episode.

    Attributes:
        sim_state: ``[S]``: time (s), qpos, qvel, before settling.
        fixture_poses: ``[Nf, 7]``: position (m) and quaternion (w, x, y, z) of each fixture, in
            the order of ``Scene.fixtures``. LIBERO's own init states lack them.
        index: Which shipped init state it is, if it is one.
        seed: Seed of a drawn one.
    """

    sim_state: Float64[np.ndarray, " S"]
    fixture_poses: Float64[np.ndarray, "Nf 7"]
    index: int | None = None
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class ControllerSnapshot:
    """State of LIBERO's controller after a reset, constant per task.

    robosuite builds the controller while the arm is in its rest pose and does not refresh it when
    an init state is set, so the first physics step of an episode uses these stale quantities.
    ``jacobian`` and ``mass_matrix`` keep the Fortran order that robosuite's indexing leaves, since
    the order of summation, hence the last bit, depends on it.
    """

    ee_pos: Float64[np.ndarray, "3"]
    ee_mat: Float64[np.ndarray, "3 3"]
    joint_pos: Float64[np.ndarray, "7"]
    jacobian: Float64[np.ndarray, "6 7"]
    mass_matrix: Float64[np.ndarray, "7 7"]
    kp: Float64[np.ndarray, "6"]
    kd: Float64[np.ndarray, "6"]
    torque_limits: Float64[np.ndarray, "2 7"]
    action_scale: Float64[np.ndarray, "6"]


@dataclass(frozen=True, eq=False)
class RobotIndices:
    """Places of the robot's parts in MuJoCo's arrays; its arm has joints and dofs 0 to 6."""

    ee_site: int
    ee_body: int
    gripper_qpos: np.ndarray
    gripper_qvel: np.ndarray
    arm_actuators: np.ndarray
    gripper_actuators: np.ndarray


@dataclass(frozen=True, eq=False)
class Scene:
    """Compiled scene of one task, shared by its simulators.

    Attributes:
        task: The task.
        model: MuJoCo's model, with the fixtures where the compiler left them. Never written to.
        fixtures: Body name of each fixture.
        fixture_ids: ``[Nf]``: their bodies.
        body_ids: Body by MuJoCo's or LIBERO's name; of a region, the body it is fixed to.
        objects_of_interest: The objects the task's BDDL file names as relevant.
        robot: Where the robot lies in MuJoCo's arrays.
        controller: What LIBERO's controller holds after a reset.
        sample_layout: Which numbers an observation is computed from.
        state_layout: Layout of the object state.
        goal: When the task is done.
        words: What its things are called in sentences.
        visual_sites: Sites that glow while a joint is turned on.
        placement: Draws init states.
        init_states: ``[N, S]``: LIBERO's own, without fixture poses.
        make_simulator: Makes a simulator of a scene.
        backend: How its simulators step.
        appearance: How its textures are coloured.
        render_backend: What draws its images.
    """

    task: Task
    model: mujoco.MjModel
    fixtures: tuple[str, ...]
    fixture_ids: np.ndarray
    body_ids: dict[str, int]
    objects_of_interest: tuple[str, ...]
    robot: RobotIndices
    controller: ControllerSnapshot
    sample_layout: SampleLayout
    state_layout: StateLayout
    goal: Goal
    words: Words
    visual_sites: tuple[VisualSite, ...]
    placement: Placement
    init_states: Float64[np.ndarray, "N S"]
    make_simulator: Callable[["Scene"], "Simulator"]
    backend: Backend = "exact"
    appearance: Appearance = "original"
    render_backend: RenderBackend = "culled"
    _scratch: threading.local = field(default_factory=threading.local)

    @property
    def bddl_file(self) -> Path:
        """LIBERO's definition of the task."""
        return bddl_path(self.task)

    @property
    def num_init_states(self) -> int:
        """Shipped init states."""
        return len(self.init_states)

    def scratch(self) -> mujoco.MjData:
        """Returns this thread's data for computing kinematics on the side."""
        if not hasattr(self._scratch, "data"):
            self._scratch.data = mujoco.MjData(self.model)
        return self._scratch.data

    def shipped_state(self, index: int) -> InitialState:
        """Returns LIBERO's init state ``index``, with fixture poses drawn for that index.

        Raises:
            ConfigError: There is no such init state.
        """
        if not 0 <= index < self.num_init_states:
            raise ConfigError(
                f"Task {self.task} has the init states 0 to {self.num_init_states - 1}; "
                f"{index} is none of them."
            )
        fixture_poses = np.zeros((0, 7))
        if self.fixtures:
            seed = derive_seed(self.task.id, "fixtures", index)
            fixture_poses = self.placement.draw(seed)[1]
        return InitialState(self.init_states[index].copy(), fixture_poses, index=index)

    def draw_state(self, seed: int) -> InitialState:
        """Draws a new initial state from the task's BDDL samplers; the same on every machine."""
        sim_state, fixture_poses = self.placement.draw(seed)
        return InitialState(sim_state, fixture_poses, seed=seed)

    def simulator(self) -> "Simulator":
        """Returns a new simulator of this scene."""
        return self.make_simulator(self)


def compile_scene(task: Task, make_simulator: Callable[[Scene], "Simulator"]) -> Scene:
    """Compiles a task's model and reads from LIBERO's environment what is constant (3 to 7 s)."""
    env = make_domain(task)
    model: mujoco.MjModel = env.sim.model._model
    # The force sensors cost a pass over all bodies, and nothing reads them.
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_SENSOR)
    fixtures = tuple(fixture.root_body for fixture in env.fixtures_dict.values())
    fixture_ids = np.array([model.body(name).id for name in fixtures], np.int64)
    robot = _robot_indices(env)
    controller = _snapshot(env.robots[0].controller)
    sample_layout, state_layout = lay_out(env, model, robot)
    scene = Scene(
        task=task,
        model=model,
        fixtures=fixtures,
        fixture_ids=fixture_ids,
        body_ids=_body_ids(env, model),
        objects_of_interest=tuple(env.obj_of_interest),
        robot=robot,
        controller=controller,
        sample_layout=sample_layout,
        state_layout=state_layout,
        goal=Goal(env, model),
        words=find_words(env),
        visual_sites=find_visual_sites(env, model),
        placement=Placement(env, model, fixture_ids),
        init_states=load_init_states(task),
        make_simulator=make_simulator,
    )
    env.sim.free()
    return scene


def _body_ids(env: Any, model: mujoco.MjModel) -> dict[str, int]:
    bodies = {model.body(i).name: i for i in range(model.nbody)}
    regions = {name: int(model.site(name).bodyid[0]) for name in env.object_sites_dict}
    things = {**env.objects_dict, **env.fixtures_dict}
    roots = {name: bodies[thing.root_body] for name, thing in things.items()}
    return bodies | regions | roots


def _snapshot(controller: Any) -> ControllerSnapshot:
    controller.scale_action(np.zeros(6))  # makes it compute action_scale
    return ControllerSnapshot(
        ee_pos=controller.ee_pos.copy(),
        ee_mat=controller.ee_ori_mat.copy(),
        joint_pos=controller.joint_pos.copy(),
        jacobian=np.asfortranarray(controller.J_full),
        mass_matrix=np.asfortranarray(controller.mass_matrix),
        kp=np.asarray(controller.kp, np.float64),
        kd=np.asarray(controller.kd, np.float64),
        torque_limits=np.array([controller.actuator_min, controller.actuator_max]),
        action_scale=np.asarray(controller.action_scale, np.float64),
    )


def _robot_indices(env: Any) -> RobotIndices:
    robot = env.robots[0]
    arm = list(range(7))
    assert robot._ref_joint_pos_indexes == robot._ref_joint_vel_indexes == arm
    return RobotIndices(
        ee_site=robot.eef_site_id,
        ee_body=env.sim.model.body_name2id(robot.robot_model.eef_name),
        gripper_qpos=np.array(robot._ref_gripper_joint_pos_indexes),
        gripper_qvel=np.array(robot._ref_gripper_joint_vel_indexes),
        arm_actuators=np.array(robot._ref_joint_actuator_indexes),
        gripper_actuators=np.array(robot._ref_joint_gripper_actuator_indexes),
    )
