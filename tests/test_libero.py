"""LIBERO's own environment, as other people's evaluation scripts call it."""

import copy
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rl_datagen.core.errors import ConfigError
from rl_datagen.libero import OffScreenRenderEnv
from rl_datagen.sim.libero import bddl_path, load_init_states
from rl_datagen.sim.libero_observation import Observation
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim

TASK = get_task("libero_goal/0")
SETTLE = [0.0] * 6 + [-1.0]


# The second one starts with a lit stove, whose knob LIBERO samples once more at each reset.
@pytest.mark.parametrize("task", ["libero_goal/0", "libero_90/39"])
@pytest.mark.slow
def test_is_bit_identical_to_libero(task):
    script = Path(__file__).with_name("libero_parity.py")
    command = [sys.executable, "-W", "ignore", script, task]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def env():
    env = OffScreenRenderEnv(
        bddl_file_name=str(bddl_path(TASK)), camera_heights=48, camera_widths=64
    )
    yield env
    env.close()


@pytest.mark.slow
def test_an_episode_as_scripts_run_it(env):
    env.seed(0)
    env.reset()
    env.set_init_state(load_init_states(TASK)[0])
    observation, reward, done, info = env.step(SETTLE)
    assert (reward, done, info) == (0.0, False, {})
    assert observation["agentview_image"].shape == (48, 64, 3)
    assert observation["agentview_image"].dtype == np.uint8
    assert observation["robot0_proprio-state"].shape == (39,)
    assert env.env.robots[0].controller.ee_ori_mat.shape == (3, 3)
    assert not env.check_success()


def test_the_seed_decides_what_a_reset_draws(env):
    drawn = []
    for _ in range(2):
        env.seed(3)
        env.reset()
        drawn.append(env.get_sim_state())
    np.testing.assert_array_equal(*drawn)
    env.reset()
    assert (env.get_sim_state() != drawn[0]).any()


def test_what_nobody_looks_at_is_not_drawn(env, monkeypatch):
    drawn = []

    def draw(scene, cameras, height, width, pose):
        drawn.extend(cameras)
        return {camera: np.zeros((height, width, 3), np.uint8) for camera in cameras}

    monkeypatch.setattr("rl_datagen.sim.libero_observation.render", draw)
    env.reset()
    observation = env.step(SETTLE)[0]
    assert observation["robot0_eef_pos"].shape == (3,)
    assert drawn == []
    for _ in range(2):
        observation["agentview_image"]
    assert drawn == ["agentview"]


def test_an_image_shows_its_own_moment_however_late_it_is_read(env):
    images = {}
    for is_late in (False, True):
        env.seed(0)
        seen = [env.reset()] + [env.step([0.5, 0, 0, 0, 0, 0, 1])[0] for _ in range(3 * is_late)]
        images[is_late] = [observation["agentview_image"] for observation in seen]
    np.testing.assert_array_equal(images[True][0], images[False][0])
    assert (images[True][3] != images[True][0]).any()


@pytest.mark.parametrize(
    "read",
    [
        dict,
        copy.copy,
        copy.deepcopy,
        lambda values: {**values},
        lambda values: values | {},
        lambda values: {} | values,
        lambda values: dict(values.items()),
        lambda values: dict(zip(values.keys(), values.values(), strict=True)),
        lambda values: {key: values.get(key) for key in values},
        lambda values: {key: values.pop(key) for key in list(values)},
        lambda values: dict(values.popitem() for _ in range(len(values))),
        lambda values: {key: values.setdefault(key, 0) for key in values},
        lambda values: values.copy(),
        lambda values: pickle.loads(pickle.dumps(values)),
    ],
)
def test_however_it_is_read_it_has_values(read):
    assert read(Observation({"a": 1, "b": _two})) == {"a": 1, "b": 2}


def _two():
    return 2


def test_the_horizon_ends_an_episode(env):
    short = OffScreenRenderEnv(str(bddl_path(TASK)), horizon=1)
    short.step(SETTLE)
    with pytest.raises(ValueError, match="terminated episode"):
        short.step(SETTLE)
    short.reset()
    short.step(SETTLE)


def test_another_task_is_refused(tmp_path):
    path = shutil.copy(bddl_path(TASK), tmp_path)
    with pytest.raises(ConfigError, match="There is no BDDL file"):
        OffScreenRenderEnv(str(tmp_path / "missing.bddl"))
    changed = Path(path)
    changed.write_text(changed.read_text() + "\n")  # blank space is no difference
    OffScreenRenderEnv(str(changed))
    changed.write_text(changed.read_text().replace("wooden_cabinet", "white_cabinet"))
    with pytest.raises(ConfigError, match="differs from the file of libero_goal/0"):
        OffScreenRenderEnv(str(changed))
    other = changed.rename(tmp_path / "juggle.bddl")
    with pytest.raises(ConfigError, match="has the name of none of them"):
        OffScreenRenderEnv(str(other))


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"control_freq": 10}, "control_freq=10: here it is always 20"),
        ({"camera_depths": True}, "here it is always False"),
        ({"camera_names": ["frontview"]}, "Allowed: agentview, robot0_eye_in_hand"),
        ({"colour": 1}, "colour=1: it is not known"),
    ],
)
def test_what_it_does_not_do_is_refused(setting, says):
    with pytest.raises(ConfigError, match=says):
        OffScreenRenderEnv(str(bddl_path(TASK)), **setting)


def test_a_state_of_another_task_is_refused(env):
    with pytest.raises(ConfigError, match="not the shape"):
        env.set_init_state(np.zeros(3))


def test_actions_are_relative(env):
    env.robots[0].controller.use_delta = True
    with pytest.raises(ConfigError, match="use_delta"):
        env.robots[0].controller.use_delta = False
