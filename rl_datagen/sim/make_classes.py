"""Adds to the table of segmentation classes what LIBERO has and the table lacks.

Numbers are never given again, so that a dataset's segmentation means the same for ever::

    python -m rl_datagen.sim.make_classes
"""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

import rl_datagen.data
from rl_datagen.core.storage import write_text
from rl_datagen.data.classes import SCENE_CLASSES
from rl_datagen.sim.libero import object_categories
from rl_datagen.tasks.files import bddl_path
from rl_datagen.tasks.registry import known_tasks

_PATH = Path(rl_datagen.data.__file__).with_name("classes.yaml")
_FIRST_OBJECT = 20  # room for more parts of scenes before
_HEADER = """\
# Classes of segmentation; see data/classes.py. Written by `python -m rl_datagen.sim.make_classes`,
# which adds what is missing: a number that is given stays as it is.
"""


def instances_of(bddl: str) -> Iterator[str]:
    """Yields the name of each object and fixture of a BDDL file."""
    for names, _ in _declared(bddl):
        yield from names


def _declared(bddl: str) -> Iterator[tuple[list[str], str]]:
    """Yields names and the category they are of."""
    for section in re.findall(r"\(:(?:objects|fixtures)\s(.*?)\)", bddl, re.DOTALL):
        for line in section.strip().splitlines():
            names, _, category = line.rpartition(" - ")
            if names:
                yield names.split(), category.strip()


def categories_of(bddl: str) -> Iterator[str]:
    """Yields the category of each object and fixture of a BDDL file; not parts of the scene."""
    for _, category in _declared(bddl):
        if category not in SCENE_CLASSES and not category.endswith("_table"):
            yield category


def complete(table: dict[int, str]) -> dict[int, str]:
    """Returns the table with what is missing at its end."""
    scene = enumerate(SCENE_CLASSES, 1)
    table = table | {number: name for number, name in scene if name not in table.values()}
    texts = (bddl_path(task).read_text("utf-8") for task in known_tasks())
    found = {category for text in texts for category in categories_of(text)}
    new = sorted((found | set(object_categories())) - set(table.values()))
    first = max(_FIRST_OBJECT, max(table) + 1)
    return table | dict(enumerate(new, first))


if __name__ == "__main__":
    known = yaml.safe_load(_PATH.read_text("utf-8")) if _PATH.exists() else {}
    lines = [f"{number}: {name}\n" for number, name in sorted(complete(known).items())]
    write_text(_PATH, _HEADER + "".join(lines))
