"""Files in both layouts, as the tests build them from the attributes of LIBERO's released files."""

import json
import re

import h5py
import numpy as np
import pytest

from rl_datagen.core.errors import ConfigError
from rl_datagen.demos.hdf5 import find_task, read_hdf5
from rl_datagen.sim import load_scene
from rl_datagen.tasks import TASKS, get_task

TASK = get_task("libero_goal/0")
BODY = '<body name="{}" pos="{}" quat="0 0 0 1"/>'


def states(length, width=79, *, start=0.25, jump=0):
    """Simulator states whose clock starts at 5 env steps and may jump after the first."""
    array = np.random.default_rng(0).normal(size=(length, width))
    array[:, 0] = start + 0.05 * (np.arange(length) + jump * (np.arange(length) > 0))
    return array


def write(path, demos, *, attributes=True):
    """LIBERO's layout, or without attributes the regenerated one."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        if attributes:
            data.attrs.update(
                bddl_file_name=f"chiliocosm/bddl_files/libero_goal/{TASK.name}.bddl",
                env_args=json.dumps({"type": 1, "env_name": "Libero_Tabletop_Manipulation"}),
                env_name="Libero_Tabletop_Manipulation",
                macros_image_convention="opengl",
                problem_info=json.dumps({"language_instruction": TASK.instruction}),
                num_demos=len(demos),
                tag="libero-v1",
                total=sum(len(arrays.get("actions", ())) for arrays in demos.values()),
            )
        for name, arrays in demos.items():
            group = data.create_group(name)
            for key, array in arrays.items():
                if key != "model_file":
                    group.create_dataset(key, data=array)
            if attributes and "states" in arrays:
                group.attrs.update(
                    num_samples=len(arrays["states"]), init_state=arrays["states"][0]
                )
                group.attrs["model_file"] = arrays.get("model_file", "<mujoco/>")
    return path


def demo(length=6, **changes):
    actions = np.random.default_rng(1).uniform(-1, 1, size=(length, 7))
    return {"actions": actions, "states": states(length), **changes}


@pytest.fixture
def path(tmp_path):
    return tmp_path / f"{TASK.name}_demo.hdf5"


def test_the_original_layout(path):
    demos = {f"demo_{i}": demo(4 + i) for i in (0, 10, 9)}
    read, problems = read_hdf5(write(path, demos))
    assert problems == []
    assert [d.name for d in read] == ["demo_0", "demo_9", "demo_10"]
    assert {(d.task, d.num_settle_steps, d.fixture_poses) for d in read} == {(TASK, 0, None)}
    np.testing.assert_array_equal(read[0].init_state, demos["demo_0"]["states"][0])
    np.testing.assert_array_equal(read[0].actions, demos["demo_0"]["actions"].astype(np.float32))


def test_the_regenerated_layout_settles_as_its_clock_says(path):
    settled = demo(states=states(6, jump=10))
    (read,), problems = read_hdf5(write(path, {"demo_3": settled}, attributes=False))
    assert (problems, read.task, read.num_settle_steps) == ([], TASK, 10)


@pytest.mark.parametrize("task", TASKS[::17], ids=str)
def test_the_name_of_the_file_is_the_task(tmp_path, task):
    assert find_task(tmp_path / f"{task.name}_demo.hdf5") == task


def test_a_renamed_file_is_known_by_its_attribute(tmp_path):
    path = write(tmp_path / "renamed.hdf5", {"demo_0": demo()})
    assert find_task(path) == TASK
    path = write(tmp_path / "unknown.hdf5", {"demo_0": demo()}, attributes=False)
    with pytest.raises(ConfigError, match=r"'unknown' name no LIBERO task.*_demo\.hdf5"):
        find_task(path)
    assert read_hdf5(path)[0] == []


NAN = np.full((6, 7), 0.5)
NAN[2, 3] = np.nan


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"states": states(6)}, "demo_1 has no dataset 'actions'"),
        ({"actions": np.zeros((6, 7))}, "demo_1 has no dataset 'states'"),
        (demo(actions=np.zeros((6, 8))), "demo_1 has actions of width 8, not 7"),
        (demo(actions=NAN), "demo_1 has a value in actions at env step 2 that is not finite"),
        (demo(states=states(5)), "demo_1 has 5 states but 6 actions"),
        (demo(actions=np.zeros((0, 7))), r"demo_1 has actions of shape \(0, 7\)"),
        (demo(actions=np.zeros(7)), r"demo_1 has actions of shape \(7,\)"),
        (demo(actions=np.array([b"a"] * 6)), "demo_1"),
    ],
)
def test_a_malformed_demonstration_is_named_and_the_rest_is_read(path, broken, message):
    read, problems = read_hdf5(write(path, {"demo_0": demo(), "demo_1": broken, "demo_2": demo()}))
    assert [d.name for d in read] == ["demo_0", "demo_2"]
    assert len(problems) == 1
    assert re.search(message, problems[0])
    assert str(path) in problems[0]


def test_damaged_files_are_named(path, tmp_path):
    write(path, {"demo_0": demo(200)})
    path.write_bytes(path.read_bytes()[:20_000])
    read, problems = read_hdf5(path)
    assert read == []
    assert "is damaged or no HDF5 file" in problems[0]
    with h5py.File(path, "w") as file:
        file.create_group("dataset")
    assert read_hdf5(path) == ([], [f"{path} has no group 'data'."])
    assert read_hdf5(write(path, {})) == ([], [f"{path} holds no demonstration."])


@pytest.mark.slow
@pytest.mark.sim
def test_the_scene_gives_fixture_poses_and_checks_widths(path):
    scene = load_scene(TASK)
    width = 1 + scene.model.nq + scene.model.nv
    bodies = [BODY.format(name, f"{i} 0.5 1") for i, name in enumerate(scene.fixtures)]
    xml = f"<mujoco><worldbody><body name='table'/>{''.join(bodies)}</worldbody></mujoco>"
    demos = {
        "demo_0": demo(states=states(6, width), model_file=xml),
        "demo_1": demo(states=states(6, width + 2), model_file=xml),
        "demo_2": demo(states=states(6, width), model_file="<mujoco"),
    }
    (placed, unplaced), problems = read_hdf5(write(path, demos), scene=scene)
    expected = [[i, 0.5, 1, 0, 0, 0, 1] for i in range(len(scene.fixtures))]
    np.testing.assert_array_equal(placed.fixture_poses, expected)
    assert (unplaced.name, unplaced.fixture_poses) == ("demo_2", None)
    assert len(problems) == 1
    assert f"demo_1 has states of width {width + 2}" in problems[0]
