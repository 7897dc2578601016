"""Depth, segmentation and cameras against MuJoCo's own renderer and its ray caster."""

import copy

import mujoco
import numpy as np
import pytest

from rl_datagen.config.views import CameraConfig
from rl_datagen.core.errors import MachineError
from rl_datagen.data import point_cloud
from rl_datagen.data.classes import segmentation_id, segmentation_name
from rl_datagen.sim import load_scene, render
from rl_datagen.sim.render.labels import element_labels
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim

FORWARD = np.array([0.6, 0.2, -0.5, 0.0, 0.3, 0.1, 1.0])
VIEWS = {
    **{camera: render.Viewpoint(camera) for camera in render.CAMERAS},
    "overhead": render.placed(CameraConfig(position=(0.5, 0.4, 1.9), look_at=(0, 0, 0.9))),
    "beside": render.placed(
        CameraConfig(position=(0.1, 0, 0), look_at=(0, 0, 0.2), mount="wrist", fov=60)
    ),
}
HEIGHT, WIDTH = 96, 128


def pose_of(scene):
    simulator = scene.simulator()
    simulator.reset(scene.shipped_state(0), 2)
    for _ in range(3):
        simulator.step(FORWARD)
    try:
        simulator.render("wrist", 16, 16)
    except MachineError as error:
        pytest.skip(str(error))
    return simulator.pose()


@pytest.fixture(scope="module")
def seen(scene):
    return render.measure(scene, VIEWS, HEIGHT, WIDTH, pose_of(scene))


# A stove, drawers and a rack that shines through; a microwave with a window; a bare floor.
@pytest.mark.slow
@pytest.mark.parametrize("task", ["libero_goal/0", "libero_10/9", "libero_object/0"])
def test_maps_are_mujocos_own_and_leave_images_as_they_were(task):
    found = {}
    for backend in ("culled", "stock"):
        scene = load_scene(get_task(task), render_backend=backend)
        pose = pose_of(scene)
        before = render.render_views(scene, VIEWS, HEIGHT, WIDTH, pose)
        found[backend] = render.measure(scene, VIEWS, HEIGHT, WIDTH, pose)
        after = render.render_views(scene, VIEWS, HEIGHT, WIDTH, pose)
        plain = render.render(scene, tuple(render.CAMERAS), HEIGHT, WIDTH, pose)
        for name in VIEWS:
            np.testing.assert_array_equal(before[name], after[name])
        for name in plain:
            np.testing.assert_array_equal(plain[name], after[name])
    for name, fast in found["culled"].items():
        for what in ("depth", "segmentation", "intrinsics", "extrinsics"):
            expected = getattr(found["stock"][name], what)
            np.testing.assert_array_equal(getattr(fast, what), expected)


def truth(scene):
    """A model of its own with everything at the pose."""
    pose = pose_of(scene)
    model = copy.copy(scene.model)
    model.body_pos[scene.fixture_ids] = pose.fixture_poses[:, :3]
    model.body_quat[scene.fixture_ids] = pose.fixture_poses[:, 3:]
    data = mujoco.MjData(model)
    data.qpos[:] = pose.qpos
    mujoco.mj_forward(model, data)
    return model, data


def test_points_lie_where_mujocos_rays_end(scene, seen):
    model, data = truth(scene)
    labels, groups = element_labels(scene), np.array([0, 1, 1, 1, 1, 1], np.uint8)
    random, geom = np.random.default_rng(0), np.zeros(1, np.int32)
    errors, same = [], []
    for view in seen.values():
        cloud = point_cloud(
            view.depth, view.intrinsics, view.extrinsics, segmentation=view.segmentation
        )
        assert len(cloud.points) == np.count_nonzero(view.depth)
        eye = view.extrinsics[:3, 3]
        for index in random.choice(len(cloud.points), 400, replace=False):
            ray = cloud.points[index] - eye
            length = np.linalg.norm(ray)
            distance = mujoco.mj_ray(model, data, eye, ray / length, groups, 1, -1, geom)
            errors.append(abs(distance - length))
            same.append(labels[geom[0]] == cloud.ids[index])
    # Edges apart, triangles that mj_ray misses, and what shines through: benchmarks/modalities.py.
    assert np.quantile(errors, 0.97) < 1e-4
    assert np.mean(same) > 0.97


def test_bodies_project_to_their_own_pixels(scene, seen):
    """The middle of an object that is convex and in sight lies in its own pixels."""
    _, data = truth(scene)
    for name in ("cream_cheese_1", "plate_1"):
        view, center = seen["overhead"], data.xpos[scene.body_ids[name]]
        x, y, z = (center - view.extrinsics[:3, 3]) @ view.extrinsics[:3, :3]
        column, row, _ = view.intrinsics @ [x / z, y / z, 1]
        found = view.segmentation[round(row), round(column)]
        assert segmentation_name(found) == name


def test_cameras_are_liberos(scene, seen):
    model, data = truth(scene)
    for name, theirs in render.CAMERAS.items():
        camera, view = model.camera(theirs).id, seen[name]
        np.testing.assert_allclose(view.extrinsics[:3, 3], data.cam_xpos[camera], atol=1e-9)
        forward = -data.cam_xmat[camera].reshape(3, 3)[:, 2]
        np.testing.assert_allclose(view.extrinsics[:3, 2], forward, atol=1e-9)
        fov = 2 * np.degrees(np.arctan(HEIGHT / 2 / view.intrinsics[1, 1]))
        assert fov == pytest.approx(model.cam_fovy[camera])
        np.testing.assert_array_equal(view.intrinsics[:2, 2], [(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    np.testing.assert_allclose(seen["overhead"].extrinsics[:3, 3], [0.5, 0.4, 1.9])
    hand = np.linalg.inv(seen["wrist"].extrinsics) @ seen["beside"].extrinsics
    np.testing.assert_allclose(hand[:3, 3], [0.1, 0, 0], atol=1e-9)


def test_labels_name_what_is_there(scene):
    model, labels = scene.model, element_labels(scene)
    names = {}
    for geom in range(model.ngeom):
        body = model.body(model.geom_bodyid[geom]).name
        names.setdefault(segmentation_name(labels[geom]), set()).add(body)
    assert names["gripper"] >= {"gripper0_right_gripper", "gripper0_leftfinger"}
    assert {"wooden_cabinet_1_cabinet_top", "wooden_cabinet_1_base"} <= names["wooden_cabinet_1"]
    assert names["table"] == {"table"}
    assert "robot0_link3" in names["robot"]
    assert labels[model.geom("floor").id] == segmentation_id("floor")
    assert "background" not in names
