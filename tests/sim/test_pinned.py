import os
import subprocess
import sys

import pytest

from rl_datagen.tasks.files import libero_folder

pytestmark = pytest.mark.sim

_PROGRAM = """
import libero.libero
from libero.libero import get_libero_path
from libero.libero.envs.bddl_base_domain import TASK_MAPPING
from rl_datagen.sim.libero import load_init_states, make_domain
from rl_datagen.tasks import get_task
task = get_task("libero_object/0")
print(libero.libero.get_libero_path("bddl_files"), load_init_states(task).shape)
print(make_domain(task).sim.model.nbody)
"""


def _run(program, tmp_path, **environment):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, "MUJOCO_GL": "disabled", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False], ids=["LIBERO first", "this package first"])
def test_scenes_come_from_the_package_whatever_the_user_has_configured(tmp_path, first):
    (tmp_path / "config.yaml").write_text(
        "bddl_files: /nowhere\ninit_states: /nowhere\nbenchmark_root: /nowhere\n"
        + ("" if first else "assets: /nowhere\n")  # read on import: too late to be put right
    )
    lines = _PROGRAM.splitlines(keepends=True)
    program = "".join(lines if first else lines[4:6] + lines[1:2] + lines[6:])
    result = _run(program, tmp_path, LIBERO_CONFIG_PATH=str(tmp_path))
    assert result.returncode == 0, result.stderr[-2000:]
    assert f"{libero_folder()}" in result.stdout
    assert "(50, " in result.stdout


def test_a_configured_folder_that_is_missing_is_no_matter(tmp_path):
    program = (
        "from rl_datagen.sim.libero import load_init_states\n"
        "from rl_datagen.tasks import TASKS\n"
        "print(load_init_states(TASKS[0]).shape)\n"
    )
    result = _run(program, tmp_path, LIBERO_CONFIG_PATH="/nowhere/at/all", HOME=str(tmp_path))
    assert result.returncode == 0, result.stderr[-2000:]
