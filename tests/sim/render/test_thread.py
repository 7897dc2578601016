import os
import subprocess
import sys

import numpy as np
import pytest

from rl_datagen.core.errors import MachineError
from rl_datagen.sim import LiberoVectorEnv, render
from rl_datagen.sim.render import thread

pytestmark = pytest.mark.sim


@pytest.fixture
def settled(simulator):
    simulator.reset(simulator.scene.shipped_state(0), 1)
    try:
        simulator.render("agentview", 32, 32)
    except MachineError as error:
        pytest.skip(str(error))
    return simulator


def test_images_are_upright_and_the_same_each_time(settled):
    image = settled.render("agentview", 96, 64)
    assert (image.shape, image.dtype) == ((96, 64, 3), np.uint8)
    np.testing.assert_array_equal(image, settled.render("agentview", 96, 64))
    assert image[-24:].mean() > 0
    assert not np.array_equal(image, settled.render("wrist", 96, 64))


def test_images_follow_the_fixtures(settled):
    before = settled.render("agentview", 64, 64)
    settled.reset(settled.scene.shipped_state(1), 1)
    assert not np.array_equal(before, settled.render("agentview", 64, 64))


def test_the_burner_lights_up(settled):
    dark = settled.render("agentview", 128, 128)
    settled._sites_on[:] = True
    lit = settled.render("agentview", 128, 128)
    assert (lit != dark).any()
    settled._sites_on[:] = False
    np.testing.assert_array_equal(settled.render("agentview", 128, 128), dark)


def test_a_closed_renderer_opens_again(settled):
    before = settled.render("wrist", 32, 32)
    render.close()
    np.testing.assert_array_equal(settled.render("wrist", 32, 32), before)


def test_a_missing_gl_library_names_the_packages(settled, monkeypatch):
    render.close()

    def fail(*_):
        raise RuntimeError("no device")

    monkeypatch.setattr("mujoco.egl.GLContext", fail)
    monkeypatch.setenv("MUJOCO_GL", "egl")
    with pytest.raises(MachineError, match="apt-get install -y libegl1"):
        settled.render("wrist", 32, 32)


def test_pixel_mode_renders_once_per_decision(settled, drawer_task, monkeypatch):
    env = LiberoVectorEnv(
        drawer_task,
        2,
        3,
        mode="pixel",
        image_size=32,
        num_settle_steps=0,
        init_state_indices=[0, 1],
    )
    calls = []
    draw = render.render
    monkeypatch.setattr(
        render,
        "render",
        lambda scene, cameras, *a: calls.extend(cameras) or draw(scene, cameras, *a),
    )
    env.reset()
    observation = env.step(np.zeros((2, 3, 7)))[0]
    env.close()
    assert env.observation_space.contains(observation)
    assert observation["object_state"].shape == (2, env.scene.state_layout.size)
    assert observation["agentview"].shape == (2, 32, 32, 3)
    assert len(calls) == 2 * 2 * 2  # simulators, cameras, decisions: not env steps


TORCH_AFTER_AN_IMAGE = """
import sys
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task
simulator = load_scene(get_task("libero_object/0")).simulator()
simulator.reset(simulator.scene.shipped_state(0), 1)
simulator.render("agentview", 32, 32)
assert "torch" not in sys.modules
import torch, torchvision
"""


@pytest.mark.slow
def test_pytorch_can_be_imported_after_the_first_image(settled):
    subprocess.run([sys.executable, "-c", TORCH_AFTER_AN_IMAGE], check=True)


@pytest.mark.parametrize(
    ("given", "set_before", "expected"),
    [
        ("3,5", None, "3"),
        ("", None, None),
        ("GPU-1a2b", None, None),
        ("3", "1", "1"),
        ("4", None, None),  # EGL has four: it does not know the fifth GPU
    ],
)
def test_the_gpu_that_ray_gave_draws_and_nothing_else_is_told(
    monkeypatch, given, set_before, expected
):
    monkeypatch.setattr("mujoco.egl.egl_ext.eglQueryDevicesEXT", lambda: [None] * 4)
    environment = {"CUDA_VISIBLE_DEVICES": given}
    if set_before is not None:
        environment["MUJOCO_EGL_DEVICE_ID"] = set_before
    monkeypatch.setattr(os, "environ", environment)
    with thread._gpu_given():
        assert os.environ.get("MUJOCO_EGL_DEVICE_ID") == expected
    assert os.environ.get("MUJOCO_EGL_DEVICE_ID") == set_before


A_GPU_THAT_EGL_DOES_NOT_KNOW = """
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task
simulator = load_scene(get_task("libero_object/0")).simulator()
simulator.reset(simulator.scene.shipped_state(0), 1)
assert simulator.render("agentview", 64, 64).std() > 10
"""


@pytest.mark.slow
def test_a_gpu_that_egl_does_not_know_leaves_the_software_renderer(settled):
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "63", "MUJOCO_GL": "egl"}
    environment.pop("MUJOCO_EGL_DEVICE_ID", None)
    code = A_GPU_THAT_EGL_DOES_NOT_KNOW
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
