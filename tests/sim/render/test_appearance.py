"""Images look as in LIBERO's published data: as MuJoCo 3.3.2 drew them."""

import importlib.util
import json
from pathlib import Path

import pytest

from rl_datagen.core.errors import MachineError
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim

FOLDER = Path(__file__).with_name("references")
REFERENCES = json.loads((FOLDER / "mujoco332.json").read_text("utf-8"))
FEW = ("libero_object/0", "libero_goal/0")  # `python benchmarks/render.py published` does them all


def load_make():
    spec = importlib.util.spec_from_file_location("make_references", FOLDER / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    return make


@pytest.mark.parametrize("task", FEW)
def test_images_are_those_of_mujoco_3_3_2(task):
    make = load_make()
    try:
        found = make.digests(get_task(task))
    except MachineError as error:
        pytest.skip(str(error))
    if make.gl() != REFERENCES["gl"]:
        pytest.skip(f"the references are of {REFERENCES['gl']}, here draws {make.gl()}")
    assert found == REFERENCES["tasks"][task]


def test_the_references_tell_appearances_apart():
    make = load_make()
    try:
        found = make.digests(get_task("libero_object/0"), appearance="mujoco")
    except MachineError as error:
        pytest.skip(str(error))
    assert not set(found.values()) & set(REFERENCES["tasks"]["libero_object/0"].values())
