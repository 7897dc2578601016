"""Each extra installed alone: what it is for works, and other commands say what to install."""

from importlib.metadata import PackageNotFoundError

import pytest

from tests.installed import build_wheel, make_environment, run, succeed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

HEAVY = ("torch", "ray", "mlflow")
STEP = """
import numpy as np
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task
scene = load_scene(get_task("libero_object/0"))
simulator = scene.simulator()
simulator.reset(scene.shipped_state(0), 0)
before = simulator.sim_state()
simulator.step(np.zeros(7))
assert (simulator.sim_state() != before).any()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Returns the programs of an environment with one extra, each made once."""
    made = {}

    def install(extra):
        if extra not in made:
            folder = tmp_path_factory.mktemp(extra or "base") / "environment"
            try:
                made[extra] = make_environment(folder, wheel, extra)
            except PackageNotFoundError as error:
                pytest.skip(f"[{extra}] is not installed: {error}")
        return made[extra]

    return install


def lacks(programs, packages):
    code = "import importlib.util, sys; print(*map(importlib.util.find_spec, sys.argv[1:]))"
    return set(succeed(programs / "python", "-c", code, *packages).split()) == {"None"}


def test_the_base_reads_datasets_and_knows_tasks_and_settings(installed, dataset, tmp_path):
    programs = installed("")
    assert lacks(programs, (*HEAVY, "mujoco", "libero", "numba"))
    program = programs / "rl-datagen"
    assert "quickstart" in succeed(program, "--help")
    assert "libero_goal/8" in succeed(program, "tasks", "libero_goal")
    assert "name: quickstart" in succeed(program, "config", "show", "quickstart")
    assert "12 episodes" in succeed(program, "dataset", "info", dataset)
    succeed(program, "dataset", "verify", dataset)
    succeed(program, "quality", dataset, "--out", tmp_path / "quality")
    code = "import rl_datagen.data, rl_datagen.export, rl_datagen.report"
    succeed(programs / "python", "-c", code)


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("quickstart",), "train"),
        (("train", "expert_state"), "train"),
        (("collect", "experts=none"), "train"),
        (("demos", "import"), "sim"),
        (("dataset", "render", "{dataset}"), "sim"),
        (("campaign", "run", "campaign", "name=none", "task=libero_goal"), "cluster"),
        (("vla", "train", "vla/tiny", "datasets={dataset}"), "vla"),
        (("evaluate", "ws://localhost:1"), "train"),
    ],
)
def test_a_command_says_which_extra_it_needs(installed, dataset, tmp_path, words, extra):
    words = [word.format(dataset=dataset) for word in words]
    result = run(installed("") / "rl-datagen", *words, cwd=tmp_path)
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert f"`pip install -e '.[{extra}]'` in a checkout" in line
    assert f"-py3-none-any.whl[{extra}]'` in the folder of its wheel" in line


@pytest.mark.sim
def test_sim_steps_and_replays_without_torch_and_ray(installed, tmp_path):
    programs = installed("sim")
    assert lacks(programs, HEAVY)
    succeed(programs / "python", "-c", STEP)
    looked = succeed(programs / "rl-datagen", "doctor")  # draws an image
    assert looked.count("not installed; training needs it") == 2
    words = ("demos", "import", "task=libero_object/0-1", "output_dir=out")
    said = succeed(programs / "rl-datagen", *words, cwd=tmp_path)
    assert "2 of 2 demonstrations succeed" in said


@pytest.mark.parametrize(
    ("extra", "module"),
    [
        ("remote", "rl_datagen.jobs.remote, websockets.sync.client"),
        ("cluster", "rl_datagen.campaign.run, ray.dashboard.dashboard, mlflow"),
        ("vla", "rl_datagen.vla.train, rl_datagen.vla.lerobot, transformers, mlflow"),
    ],
)
def test_an_extra_has_what_its_modules_import(installed, extra, module):
    succeed(installed(extra) / "python", "-c", f"import {module}")
