"""The classes of segmentation, stable over all tasks: one table, in the package's data.

A pixel's value is ``100 * class + instance``: the second plate of a task (``plate_2``) has 100
times the class of plates, plus 2. What there is one of, such as the gripper, is number 0 of its
class.
"""

import re
from functools import cache
from importlib.resources import files

import yaml

NUM_INSTANCES = 100
"""Room for the instances of a class."""
SCENE_CLASSES = ("floor", "wall", "table", "background", "robot", "gripper", "mount")
"""What is in scenes besides objects and fixtures; ``background`` is furniture out of reach."""

_NAME = re.compile(r"(?P<category>.+)_(?P<number>\d{1,2})")


@cache
def segmentation_classes() -> dict[int, str]:
    """Returns the name of each class by its number, those of no task included."""
    text = files("rl_datagen.data").joinpath("classes.yaml").read_text("utf-8")
    return yaml.safe_load(text)


@cache
def _numbers() -> dict[str, int]:
    return {name: number for number, name in segmentation_classes().items()}


def segmentation_id(name: str) -> int | None:
    """Returns the value of the pixels of an instance.

    Args:
        name: As in a task's BDDL file, such as ``"plate_2"``, or of ``SCENE_CLASSES``.

    Returns:
        None: no class has such an instance.
    """
    numbers = _numbers()
    if name in numbers:
        return numbers[name] * NUM_INSTANCES
    if name.endswith("_table"):  # kitchen_table, main_table, ...
        return numbers["table"] * NUM_INSTANCES
    found = _NAME.fullmatch(name)
    if found is None or found["category"] not in numbers or found["category"] in SCENE_CLASSES:
        return None
    return numbers[found["category"]] * NUM_INSTANCES + int(found["number"])


def segmentation_name(value: int) -> str:
    """Returns what pixels of a value are: ``"plate_2"``, ``"gripper"``; of 0 ``"nothing"``.

    Raises:
        KeyError: No class has it.
    """
    number, instance = divmod(int(value), NUM_INSTANCES)
    if value == 0:
        return "nothing"
    name = segmentation_classes()[number]
    return f"{name}_{instance}" if instance else name
