"""Turn one robot demonstration per task into large, smooth datasets for VLA training.

The Python API, as in ``import rl_datagen as rd``; docs/python.md is its page. Each name is imported
when it is first used, so that ``rd.tasks()`` loads neither torch nor MuJoCo.
"""

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rl_datagen.core.blas import pin_kernel

if TYPE_CHECKING:
    from rl_datagen.api import load_expert, make, make_vec
    from rl_datagen.core.errors import UserError
    from rl_datagen.data import Dataset, Episode, Trajectory, point_cloud, write_video
    from rl_datagen.policy import ChunkActor
    from rl_datagen.rollout import Policy, Rollouts
    from rl_datagen.rollout import run_policy as rollout
    from rl_datagen.tasks import Task
    from rl_datagen.tasks import select_tasks as tasks

__all__ = [
    "ChunkActor",
    "Dataset",
    "Episode",
    "Policy",
    "Rollouts",
    "Task",
    "Trajectory",
    "UserError",
    "load_expert",
    "make",
    "make_vec",
    "point_cloud",
    "rollout",
    "tasks",
    "write_video",
]

__version__ = "0.1.0"

pin_kernel()  # before numpy is imported, which loads OpenBLAS

# Read by OpenMP when torch is first imported. Its threads otherwise spin while they wait, which
# costs a learner most of its time where simulators keep the same cores busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_HOMES = {
    "api": ("load_expert", "make", "make_vec"),
    "core.errors": ("UserError",),
    "data": ("Dataset", "Episode", "Trajectory", "point_cloud", "write_video"),
    "policy": ("ChunkActor",),
    "rollout": ("Policy", "Rollouts"),
    "tasks": ("Task",),
}


def __getattr__(name: str) -> Any:
    if name in ("rollout", "tasks"):  # packages that can be called
        return import_module(f"{__name__}.{name}")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if find_spec("gymnasium"):  # whose `make` then knows the tasks; reading data needs none of it
    import_module(f"{__name__}.tasks.gym_ids").register()
