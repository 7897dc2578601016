"""The fast renderer against MuJoCo's own, on LIBERO itself."""

import logging

import numpy as np
import pytest

from rl_datagen.core.errors import MachineError
from rl_datagen.sim import load_scene, render
from rl_datagen.sim.render import choice, culled
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim

FORWARD = np.array([0.6, 0.2, -0.5, 0.0, 0.3, 0.1, 1.0])
SIZES = ((128, 128), (64, 100))


@pytest.fixture(scope="module", autouse=True)
def _gl(scene):
    simulator = scene.simulator()
    simulator.reset(scene.shipped_state(0), 0)
    try:
        simulator.render("wrist", 16, 16)
    except MachineError as error:
        pytest.skip(str(error))


def frames(scene, *, visual_sites=False):
    """An episode's images, those of two simulators in turn, in sizes in turn."""
    simulators = [scene.simulator() for _ in range(2)]
    for index, simulator in enumerate(simulators):
        simulator.reset(scene.shipped_state(index), 2)
    images = []
    for step in range(8):
        for simulator in simulators:
            simulator.step(FORWARD)
            simulator._sites_on[:] = visual_sites
            height, width = SIZES[step // 2 % 2]
            images += [simulator.render(camera, height, width) for camera in render.CAMERAS]
    return images


# A stove that reflects and glows, and a wine rack that shines through; a room; a bare floor.
@pytest.mark.slow
@pytest.mark.parametrize("task", ["libero_goal/0", "libero_90/70", "libero_object/0"])
def test_images_are_mujocos_own(task):
    visual_sites = task == "libero_goal/0"
    fast, plain = (
        frames(load_scene(get_task(task), render_backend=backend), visual_sites=visual_sites)
        for backend in ("culled", "stock")
    )
    assert len({image.tobytes() for image in plain}) > len(plain) / 2  # they do differ
    for a, b in zip(fast, plain, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_the_appearance_of_published_data_is_the_default():
    task = get_task("libero_object/0")
    images = {}
    for appearance in ("original", "mujoco"):
        for backend in ("culled", "stock"):
            scene = load_scene(task, appearance=appearance, render_backend=backend)
            simulator = scene.simulator()
            simulator.reset(scene.shipped_state(0), 1)
            images[appearance, backend] = simulator.render("agentview", 96, 96)
    assert load_scene(task).appearance == "original"
    for appearance in ("original", "mujoco"):
        np.testing.assert_array_equal(images[appearance, "culled"], images[appearance, "stock"])
    dark = images["mujoco", "stock"].mean()
    assert images["original", "stock"].mean() > dark + 5
    differ = (images["original", "stock"] != images["mujoco", "stock"]).any(axis=-1)
    assert differ.mean() > 0.7  # 80 % of pixels, in docs/results.md


@pytest.mark.slow
def test_a_renderer_that_draws_otherwise_is_not_used(drawer_task, monkeypatch, caplog):
    scene = load_scene(drawer_task)
    simulator = scene.simulator()
    simulator.reset(scene.shipped_state(0), 1)
    expected = simulator.images(64)
    render.close()
    monkeypatch.setattr(culled, "cull", lambda *_: None)  # nothing shows
    with caplog.at_level(logging.WARNING, choice.__name__):
        images = simulator.images(64)
    render.close()
    assert "drawn by MuJoCo itself" in caplog.text
    for camera, image in expected.items():
        np.testing.assert_array_equal(images[camera], image)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["libero_goal/0", "libero_90/70"])
def test_plain_images_are_mujocos_own_without_multisampling(task):
    images = {}
    for backend in ("culled", "stock"):
        scene = load_scene(get_task(task), render_backend=backend)
        simulator = scene.simulator()
        simulator.reset(scene.shipped_state(0), 1)
        for look in ("exact", "plain", "exact"):  # one after the other, in one process
            drawn = simulator.images(84, look)
            for camera, image in images.setdefault((backend, look), drawn).items():
                np.testing.assert_array_equal(drawn[camera], image)
        assert scene.model.vis.quality.offsamples == 4
    for camera, plain in images["culled", "plain"].items():
        np.testing.assert_array_equal(plain, images["stock", "plain"][camera])
        exact = images["culled", "exact"][camera]
        differ = (plain != exact).any(axis=-1).mean()
        assert 0.01 < differ < 0.5  # edges
        assert abs(plain.astype(float) - exact).mean() < 4
