import numpy as np
import pytest

from rl_datagen.demos import analyse, load_human_demonstration, segments
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim


def segments_of(name):
    scene = load_scene(get_task(name))
    found = analyse(load_human_demonstration(scene.task), scene)
    assert all(len(segment) for segment in found)
    return found


def references(name):
    return [segment.reference for segment in segments_of(name)]


def test_targets_are_smooth_and_near_the_humans(monkeypatch):
    smooth, _ = segments_of("libero_object/0")
    monkeypatch.setattr(segments, "_SMOOTHING", 1e-3)
    raw, _ = segments_of("libero_object/0")
    bends = [np.linalg.norm(np.diff(each.targets, 2, axis=0), axis=1) for each in (smooth, raw)]
    assert bends[0].max() < bends[1].max() / 3
    assert np.linalg.norm(smooth.targets - raw.targets, axis=1).max() < 0.03
    assert (smooth.rotations.inv() * raw.rotations).magnitude().max() < 0.2


def test_between_two_steps_a_target_is_between_theirs():
    way, _ = segments_of("libero_object/0")
    (before, turn, gripper), (middle, half, _), (after, turned, _) = map(way.target, (30, 30.5, 31))
    np.testing.assert_array_equal(before, way.targets[30])
    assert gripper == way.gripper[30]
    np.testing.assert_allclose(middle, (before + after) / 2)
    angles = [(turn.inv() * each).magnitude() for each in (half, turned)]
    assert angles[0] == pytest.approx(angles[1] / 2)
    end, *_ = way.target(len(way) + 0.7)
    np.testing.assert_array_equal(end, way.targets[-1])


def test_an_object_is_reached_and_then_carried_to_the_goal():
    assert references("libero_object/0") == ["alphabet_soup_1_main", "basket_1_main"]


def test_a_drawer_is_a_moving_part_and_not_its_cabinet():
    drawer = "wooden_cabinet_1_cabinet_top"
    # Open the drawer, then put the bowl into it.
    assert references("libero_goal/3") == [drawer, drawer, "akita_black_bowl_1_main", drawer]


@pytest.mark.parametrize("task", ["libero_90/3", "libero_90/4", "libero_90/5"])
def test_what_rides_along_in_a_drawer_is_not_what_the_hand_moves(task):
    """It is nearer to the hand than the drawer's own middle is; the hand touches the drawer."""
    drawer = "wooden_cabinet_1_cabinet_top"
    assert references(task)[1:] == [drawer, drawer, drawer]


@pytest.mark.parametrize("task", ["libero_90/48", "libero_90/46", "libero_spatial/6"])
def test_what_is_nudged_before_the_hand_has_closed_is_still_on_the_way(task):
    way, _ = segments_of(task)
    assert way.gripper[0] < 0 < way.gripper[-1]  # it closes before the frame is the goal's


def test_where_the_hand_was_when_it_closed_is_known():
    way, _ = segments_of("libero_spatial/6")
    (closes,) = np.flatnonzero(np.diff(way.gripper) > 0)
    np.testing.assert_array_equal(way.hand_at_closing(closes, closes + 1.2), way.hands[closes + 1])
    assert way.hand_at_closing(closes - 2, closes - 0.8) is None
    assert way.hand_at_closing(closes + 2, closes + 3) is None


def test_a_grasp_begins_before_the_hand_closes_and_ends_with_its_fingers():
    way, there = segments_of("libero_object/0")
    (closes,) = np.flatnonzero(np.diff(way.gripper) > 0) + 1
    steps = np.arange(len(way) + len(there))
    grasps = np.concatenate([way.grasps, there.grasps])
    np.testing.assert_array_equal(grasps, (steps >= closes - 15) & (steps < closes + 12))
    assert way.is_grasp(closes - 0.5)
    assert not way.is_grasp(closes - 15.5)


def test_two_objects_are_each_carried_to_the_goal():
    """The soup is bumped when the sauce falls beside it: that is not a motion of its own."""
    assert references("libero_10/0") == [
        "alphabet_soup_1_main",
        "basket_1_main",
        "tomato_sauce_1_main",
        "basket_1_main",
    ]
