import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rl_datagen.demos.parts import Frame, MovingPart, PartMotion
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim

DRAWER, KNOB = "wooden_cabinet_1_cabinet_top", "flat_stove_1_button"


@pytest.fixture(scope="module")
def scene():
    return load_scene(get_task("libero_goal/3"))


def placed(scene, part, position):
    """Returns the state in which the part has a position."""
    data = mujoco.MjData(scene.model)
    data.qpos[part.address] = position
    mujoco.mj_kinematics(scene.model, data)
    return data


def pose(data, scene, name):
    body = scene.body_ids[name]
    return data.xpos[body].copy(), Rotation.from_matrix(data.xmat[body].reshape(3, 3))


def test_drawers_slide_knobs_turn_and_the_rest_is_no_moving_part(scene):
    drawer, knob = (MovingPart.of(scene, name) for name in (DRAWER, KNOB))
    assert not drawer.turns
    assert knob.turns
    assert drawer.address != knob.address
    for name in ("akita_black_bowl_1_main", "wooden_cabinet_1_base", "flat_stove_1_main"):
        assert MovingPart.of(scene, name) is None


@pytest.mark.parametrize(
    ("name", "shown", "start"),
    [
        (KNOB, (0.6, 0.0), 2.1),  # much further
        (KNOB, (0.6, 0.0), 0.3),  # less far
        (DRAWER, (0.0, -0.16), -0.02),
        (DRAWER, (-0.15, 0.0), -0.1),
    ],
)
def test_what_holds_the_part_ends_where_the_demonstration_did(scene, name, shown, start):
    part = MovingPart.of(scene, name)
    position, turn = pose(placed(scene, part, shown[0]), scene, name)
    now = placed(scene, part, start)
    turned = pose(now, scene, name)[1] * turn.inv()
    frame = Frame(turned, pose(now, scene, name)[0] - turned.apply(position))
    motion = PartMotion.of(part, np.linspace(*shown, 11), now)
    for progress in (0, 5, 10):
        hand, grip = pose(placed(scene, part, np.linspace(*shown, 11)[progress]), scene, name)
        where = start + (shown[1] - start) * progress / 10
        expected, expected_grip = pose(placed(scene, part, where), scene, name)
        carried = motion.carry(frame, progress)
        np.testing.assert_allclose(carried.carry(hand), expected, atol=1e-6)
        assert (carried.turn * grip * expected_grip.inv()).magnitude() < 1e-6


def test_a_motion_that_comes_back_is_not_stretched(scene):
    part = MovingPart.of(scene, DRAWER)
    motion = PartMotion.of(part, np.array([0, -0.1, 0]), placed(scene, part, -0.02))
    assert motion.stretch == 1.0


def test_a_part_that_is_nearly_there_is_still_moved_a_little(scene):
    part = MovingPart.of(scene, KNOB)
    motion = PartMotion.of(part, np.linspace(0.6, 0, 5), placed(scene, part, 0.01))
    assert 0 < motion.stretch < 0.5
