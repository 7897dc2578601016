"""The LIBERO of this machine, and LIBERO's own environments, against the reference."""

import subprocess
import sys

import pytest

from rl_datagen.core.errors import MachineError, UserError
from rl_datagen.doctor import certificate, certify, compare, measure
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim

OBJECT = get_task("libero_object/0")
GOAL = get_task("libero_goal/0")


@pytest.mark.slow
def test_this_package_draws_as_published_and_steps_as_pinned():
    try:
        fidelity = certify([OBJECT, GOAL])
    except MachineError as error:
        pytest.skip(str(error))
    assert fidelity.faithful
    assert [each.differences for each in fidelity.tasks] == [[], []]
    assert fidelity.to_json()["faithful"]
    assert [suite for suite, _ in fidelity.suites()] == ["libero_object", "libero_goal"]


def test_mujoco_s_own_colours_are_not_the_published_ones():
    try:
        record = measure.measure_here(OBJECT, appearance="mujoco")
    except MachineError as error:
        pytest.skip(str(error))
    found = compare.compare(record, OBJECT.id)
    assert found.physics
    assert not found.images
    assert "brightness by up to -" in found.differences[0]
    assert "2 textures are read as sRGB" in found.differences[1]


@pytest.mark.slow
def test_another_installation_is_tried_through_its_python():
    """LIBERO's own environments on the pinned MuJoCo: its physics, but not the published images."""
    fidelity = certify([OBJECT], python=sys.executable)
    (found,) = fidelity.tasks
    if found.differences and "GL" in found.differences[0]:
        pytest.skip(found.differences[0])
    assert found.physics
    assert not found.images
    assert not fidelity.faithful
    assert fidelity.installation["mujoco"] == "3.3.7"


def test_a_python_without_libero_or_none_at_all_is_a_paragraph(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    bare = str(tmp_path / "venv/bin/python")
    with pytest.raises(UserError, match=r"cannot run LIBERO: ModuleNotFoundError: No module"):
        certify([OBJECT], python=bare)
    with pytest.raises(UserError, match=r"Cannot start `/no/python`: No such file"):
        certify([OBJECT], python="/no/python")


def test_what_differs_in_an_installation_is_named():
    installation = {
        "mujoco": "3.17.0",
        "robosuite": "1.4.0",
        "gl": "NVIDIA",
        "libero": "/a/libero",
        "paths": {"bddl_files": "/a/libero/bddl_files", "init_states": "/b/init_files"},
        "image_convention": "opencv",
        "task_order": {f"{GOAL.suite}/{GOAL.name}": 3, f"{OBJECT.suite}/{OBJECT.name}": None},
    }
    causes = list(certificate._causes(installation, [GOAL, OBJECT]))
    assert causes[0] == "mujoco is 3.17.0, not 3.3.7"
    assert "NVIDIA" in causes[1]
    assert "LIBERO_CONFIG_PATH" in causes[2]
    assert "not upside down" in causes[3]
    assert causes[4:] == ["libero_goal/0 is its task 3", "it has no libero_object/0"]
