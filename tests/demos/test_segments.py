import pytest

from rl_datagen.demos import analyse, load_human_demonstration
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

pytestmark = pytest.mark.sim


def references(name):
    scene = load_scene(get_task(name))
    segments = analyse(load_human_demonstration(scene.task), scene)
    assert all(len(segment) for segment in segments)
    return [segment.reference for segment in segments]


def test_an_object_is_reached_and_then_carried_to_the_goal():
    assert references("libero_object/0") == ["alphabet_soup_1_main", "basket_1_main"]


def test_a_drawer_is_a_moving_part_and_not_its_cabinet():
    drawer = "wooden_cabinet_1_cabinet_top"
    # Open the drawer, then put the bowl into it.
    assert references("libero_goal/3") == [drawer, drawer, "akita_black_bowl_1_main", drawer]


def test_two_objects_are_each_carried_to_the_goal():
    """The soup is bumped when the sauce falls beside it: that is not a motion of its own."""
    assert references("libero_10/0") == [
        "alphabet_soup_1_main",
        "basket_1_main",
        "tomato_sauce_1_main",
        "basket_1_main",
    ]
