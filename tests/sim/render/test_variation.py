"""Varied looks: drawn alike for the same seed, and nothing of them stays."""

import numpy as np
import pytest

from rl_datagen.config.views import AXES
from rl_datagen.sim import load_scene, render
from rl_datagen.tasks import get_task
from tests.sim.render.test_geometry import pose_of

pytestmark = pytest.mark.sim

VIEWS = {camera: render.Viewpoint(camera) for camera in render.CAMERAS}


def varied(scene, pose, axes, seed=0):
    variation = render.draw_variation(scene, axes, VIEWS, seed, "episode", 1)
    views = {name: variation.view(name, view) for name, view in VIEWS.items()}
    images = render.render_views(scene, views, 64, 64, pose, variation)
    return {name: variation.add_noise(image[None], name)[0] for name, image in images.items()}


@pytest.mark.parametrize("axis", AXES)
def test_each_axis_changes_the_image_and_leaves_none_of_it(scene, axis):
    pose = pose_of(scene)
    model = scene.model
    before = render.render_views(scene, VIEWS, 64, 64, pose)
    fields = ("light_pos", "light_diffuse", "mat_rgba", "geom_rgba", "cam_pos", "cam_fovy")
    values = {name: getattr(model, name).copy() for name in fields}
    first, again = (varied(scene, pose, (axis,)) for _ in range(2))
    other = varied(scene, pose, (axis,), seed=1)
    after = render.render_views(scene, VIEWS, 64, 64, pose)
    for name, image in before.items():
        np.testing.assert_array_equal(image, after[name])
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])
    assert not np.array_equal(first["agentview"], before["agentview"])
    for name, value in values.items():
        np.testing.assert_array_equal(getattr(model, name), value)


@pytest.mark.slow
def test_the_fast_renderer_varies_as_mujocos_own():
    found = {}
    for backend in ("culled", "stock"):
        scene = load_scene(get_task("libero_goal/0"), render_backend=backend)
        pose = pose_of(scene)
        varied(scene, pose, ("light",))  # a layer of other light must not be reused
        found[backend] = varied(scene, pose, AXES)
        found[backend] |= {f"{k} 1": v for k, v in varied(scene, pose, AXES, seed=1).items()}
    for name, image in found["culled"].items():
        np.testing.assert_array_equal(image, found["stock"][name])


def test_an_axis_is_drawn_the_same_whatever_else_varies(scene):
    alone = render.draw_variation(scene, ("light",), VIEWS, 0, "episode", 1)
    both = render.draw_variation(scene, AXES, VIEWS, 0, "episode", 1)
    assert alone.light == both.light
    assert render.draw_variation(scene, ("light",), VIEWS, 0, "episode", 2).light != alone.light
    assert set(alone.as_dict()) == {"seed", "light"}
    assert set(both.as_dict()) == {"seed", "light", "colours", "room", "cameras", "fov", "noise"}
