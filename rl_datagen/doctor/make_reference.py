"""Writes the reference: images of MuJoCo 3.3.2, physics of the pinned release.

Images are drawn by LIBERO's own environments with the release that the published data was made
with, installed beside; physics is stepped by this package, whose steps equal LIBERO's. About half
an hour of CPU time for each of the two::

    pip install --no-deps --target /tmp/mujoco332 mujoco==3.3.2
    python -m rl_datagen.doctor.make_reference /tmp/mujoco332
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rl_datagen.doctor import measure
from rl_datagen.doctor.compare import REFERENCE
from rl_datagen.tasks import TASKS, Task

_PHYSICS = ("settled", "stepped", "moved")
_PUBLISHED = "3.3.2"


def main(published: str) -> None:
    """Measures all tasks and writes the reference.

    Args:
        published: The folder in which MuJoCo 3.3.2 is installed.
    """
    os.environ["PYTHONPATH"] = published  # for the other Python, not for this one
    records = measure.measure_elsewhere(sys.executable, TASKS, actions=False)
    installation = next(records)
    assert installation["mujoco"] == _PUBLISHED, installation
    body = {
        "images_by_mujoco": _PUBLISHED,
        "physics_by_mujoco": measure.describe_this_installation(TASKS)["mujoco"],
        "tasks": dict(_entries(TASKS, records)),
    }
    (body["gl"],) = {entry.pop("gl") for entry in body["tasks"].values()}
    REFERENCE.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def _entries(
    tasks: Sequence[Task], records: Iterator[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for task, record in zip(tasks, records, strict=True):
        physics = measure.measure_here(task)
        entry = {key: record[key] for key in ("bddl", "init_states", "gl", "images")}
        yield task.id, entry | {key: physics[key] for key in _PHYSICS}


if __name__ == "__main__":
    main(sys.argv[1])
