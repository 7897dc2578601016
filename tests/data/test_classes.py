"""The table of segmentation classes."""

import pytest

from rl_datagen.data.classes import (
    SCENE_CLASSES,
    segmentation_classes,
    segmentation_id,
    segmentation_name,
)
from rl_datagen.tasks.files import bddl_path
from rl_datagen.tasks.registry import known_tasks


def test_numbers_that_were_given_stay():
    """Stored segmentations mean what they meant: add lines to the table, and change none."""
    table = segmentation_classes()
    assert len(set(table.values())) == len(table)
    assert [table[number] for number in range(1, 8)] == list(SCENE_CLASSES)
    known = {
        20: "akita_black_bowl",
        40: "cream_cheese",
        44: "flat_stove",
        60: "plate",
        55: "microwave",
    }
    assert {number: table[number] for number in known} == known
    assert max(table) * 100 + 99 < 2**16


def test_names_and_values():
    assert segmentation_id("plate_2") == 6002
    assert segmentation_name(6002) == "plate_2"
    assert segmentation_id("chefmate_8_frypan_1") == 100 * 35 + 1
    assert segmentation_name(segmentation_id("gripper")) == "gripper"
    assert segmentation_id("main_table") == segmentation_id("kitchen_table") == 300
    assert segmentation_name(0) == "nothing"
    for name in ("robot0_link7", "plates_1", "plate_1_region", ""):
        assert segmentation_id(name) is None
    with pytest.raises(KeyError):
        segmentation_name(1900)


@pytest.mark.sim
def test_every_object_of_every_task_has_a_value_and_the_table_lacks_nothing():
    from rl_datagen.sim.make_classes import complete, instances_of

    tasks = known_tasks()
    assert len(tasks) == 130 + 357
    for task in tasks:
        names = list(instances_of(bddl_path(task).read_text("utf-8")))
        values = [segmentation_id(name) for name in names]
        assert None not in values, task
        assert len(set(values)) == len(set(names)), task
        assert all(0 < value < 2**16 for value in values)
    assert complete(segmentation_classes()) == segmentation_classes()
