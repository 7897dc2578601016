import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from rl_datagen.core.errors import ConfigError, SimulatorError
from rl_datagen.sim import load_scene
from rl_datagen.tasks import Task, get_task

pytestmark = pytest.mark.sim
ARM_JOINTS = list(range(1, 8))  # of a state, after the time


def test_is_compiled_once_for_all_backends(drawer_task):
    assert load_scene(drawer_task, "stock").model is load_scene(drawer_task).model


def test_layout_covers_objects_fixtures_and_joints(scene):
    parts = scene.state_layout.parts
    assert [part.kind for part in parts] == ["object"] * 4 + ["fixture"] * 3 + ["joint"] * 4
    assert scene.state_layout.size == 7 * 9 + 4 * 10
    assert scene.state_layout["plate_1"] == slice(27, 36)
    assert parts[-1].slice.stop == scene.state_layout.size


def test_shipped_states_are_reproducible(scene):
    first, again = scene.shipped_state(4), scene.shipped_state(4)
    np.testing.assert_array_equal(first.sim_state, again.sim_state)
    np.testing.assert_array_equal(first.fixture_poses, again.fixture_poses)
    assert first.index == 4
    assert not np.array_equal(first.fixture_poses, scene.shipped_state(5).fixture_poses)


def test_an_unknown_init_state_is_refused(scene):
    with pytest.raises(ConfigError, match="0 to 49; 50 is none"):
        scene.shipped_state(50)


def test_a_seed_draws_one_state_and_leaves_the_global_stream_alone(scene):
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    state = scene.draw_state(11)
    assert np.random.rand() == expected
    again, other = scene.draw_state(11), scene.draw_state(12)
    np.testing.assert_array_equal(state.sim_state, again.sim_state)
    assert not np.array_equal(state.sim_state, other.sim_state)
    assert state.seed == 11


def test_drawn_states_spread_the_arm_as_shipped_ones_do(scene):
    shipped = np.array([scene.shipped_state(i).sim_state for i in range(50)])[:, ARM_JOINTS]
    drawn = np.array([scene.draw_state(seed).sim_state for seed in range(100)])[:, ARM_JOINTS]
    np.testing.assert_allclose(drawn.mean(axis=0), shipped.mean(axis=0), atol=0.02)
    ratio = drawn.std(axis=0) / shipped.std(axis=0)
    assert np.all((ratio > 0.6) & (ratio < 1.6))


@pytest.mark.slow
def test_drawn_state_is_liberos(scene, stock):
    env = stock._env
    env.env.object_property_initializers.clear()
    np.random.seed(21)
    env.reset()
    drawn = scene.draw_state(21)
    differ = np.flatnonzero(drawn.sim_state != env.get_sim_state())
    assert list(differ) == ARM_JOINTS  # the only thing that the reset does not draw
    np.testing.assert_array_equal(
        drawn.fixture_poses[:, :3], env.sim.model.body_pos[scene.fixture_ids]
    )


@pytest.mark.slow
def test_objects_are_not_drawn_inside_each_other():
    scene = load_scene(get_task("libero_spatial/2"))  # the second bowl's place is the plate's rim
    simulator = scene.simulator()
    names = ("akita_black_bowl_2_joint0", "plate_1_joint0")
    places = [1 + scene.model.joint(name).qposadr[0] for name in names]  # after the time
    moved = []
    for seed in range(60):
        drawn = scene.draw_state(seed)
        simulator.reset(drawn, 10)
        way = simulator.sim_state() - drawn.sim_state
        moved += [np.linalg.norm(way[place : place + 2]) for place in places]
    assert max(moved) < 0.2  # m; it was 1.5 where they sprang apart


def test_a_scene_that_robosuite_refuses_is_a_simulator_error():
    name = "FLOOR_SCENE1_put_both_the_alphabet_soup_and_the_tomato_sauce_in_the_basket"
    twice = replace(get_task("libero_10_with_milk/2"), index=0, name=name)
    with pytest.raises(SimulatorError, match="cannot build the scene: Object 'milk_1' already has"):
        load_scene(twice)


def test_a_task_without_files_is_a_simulator_error():
    with pytest.raises(SimulatorError, match="task=libero_goal/99"):
        load_scene(Task("libero_goal", 99, "fold_the_towel", 300))


@pytest.mark.slow
def test_state_mode_needs_no_gl_library():
    code = (
        "import sys; sys.modules['OpenGL'] = None\n"
        "from rl_datagen.sim import load_scene\n"
        "from rl_datagen.tasks import get_task\n"
        "simulator = load_scene(get_task('libero_object/0')).simulator()\n"
        "simulator.reset(simulator.scene.shipped_state(0), 1)\n"
        "try: simulator.render('wrist', 32, 32)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    environment = os.environ | {"MUJOCO_GL": "egl"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert run.stdout.startswith("MachineError")
    assert "apt-get install -y libegl1" in run.stdout
    assert run.stderr == ""
