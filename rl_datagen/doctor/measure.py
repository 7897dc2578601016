"""Tries an installation of LIBERO: this one, or another's Python."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import copy
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from rl_datagen.core.errors import UserError
from rl_datagen.doctor import probe
from rl_datagen.doctor.trial import DRAWN_INDICES, IMAGE_SIZE, make_trial, write_trial
from rl_datagen.sim import Appearance, Scene, load_scene, render
from rl_datagen.tasks import Task

PROBE = Path(probe.__file__)


def describe_this_installation(tasks: Sequence[Task]) -> dict[str, Any]:
    """Returns versions and settings of the LIBERO that this package steps."""
    with redirect_stdout(StringIO()):  # LIBERO says which order of tasks it takes
        return probe.describe_installation([f"{task.suite}/{task.name}" for task in tasks])


def measure_here(task: Task, appearance: Appearance = "original") -> dict[str, Any]:
    """Returns a task's record, from this package's own simulators.

    Raises:
        MachineError: This machine lacks a GL library.
    """
    scene = load_scene(task, "exact", appearance)
    trial = make_trial(scene)
    settled, stepped = _act(scene, trial["actions"])
    model = copy.copy(scene.model)  # a scene's own is not written to
    moved = probe.settle(
        model, trial["init_states"], list(scene.fixture_ids), trial["fixture_poses"]
    )
    return {
        "task": str(trial["task"]),
        "bddl": probe.digest_of_text(scene.bddl_file),
        "init_states": probe.digest_of_states(trial["init_states"]),
        "srgb_textures": 0 if appearance == "original" else probe.count_srgb_textures(model),
        "images": draw(scene),
        "gl": render.describe_gl(),
        "settled": probe.pack(settled),
        "stepped": probe.pack(stepped),
        "moved": probe.pack(moved, "<f2"),
    }


def draw(scene: Scene) -> dict[str, dict[str, str]]:
    """Returns what the trial's images of a scene look like, by camera and init state.

    Raises:
        MachineError: This machine lacks a GL library.
    """
    simulator = scene.simulator()
    images = {}
    for index in DRAWN_INDICES:
        simulator.reset(scene.shipped_state(index), num_settle_steps=0)
        for camera, image in simulator.images(IMAGE_SIZE).items():
            upside_down = image[::-1]  # as LIBERO's observations are
            images[f"{camera}-{index}"] = probe.describe_image(upside_down)
    return images


def _act(scene: Scene, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    simulator = scene.simulator()
    simulator.reset(scene.shipped_state(0), probe.NUM_SETTLE_STEPS)
    settled = simulator.data.qpos.copy()
    for action in actions:
        simulator.step(action)
    return settled, simulator.data.qpos.copy()


def measure_elsewhere(
    python: str, tasks: Sequence[Task], actions: bool = True
) -> Iterator[dict[str, Any]]:
    """Yields another installation's description, then a record for each task.

    Args:
        python: Its Python.
        tasks: What to try; each must exist in this installation, too.
        actions: Whether to try physics, not images alone.

    Raises:
        UserError: That Python does not start, or has no LIBERO.
    """
    names = [f"{task.suite}/{task.name}" for task in tasks]
    with TemporaryDirectory() as folder, _start(python, names) as process:
        assert process.stdin is not None
        yield _read_record(python, process)
        for task in tasks:
            path = write_trial(make_trial(load_scene(task), actions), Path(folder))
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            yield _read_record(python, process)
            path.unlink()
        process.stdin.close()


def _read_record(python: str, process: subprocess.Popen) -> dict[str, Any]:
    """Returns the next record of a probe, whatever else LIBERO prints."""
    assert process.stdout is not None
    last = "it printed nothing"
    for line in process.stdout:
        if line.startswith(probe.MARK):
            return json.loads(line.removeprefix(probe.MARK))
        last = line.strip() or last
    raise UserError(
        f"`{python}` cannot run LIBERO: {last}. It must be a Python that can import "
        "`libero.libero` and `robosuite`; where LIBERO has never been imported, do that once and "
        "answer its questions."
    )


def _start(python: str, names: Sequence[str]) -> subprocess.Popen:
    try:
        return subprocess.Popen(
            [python, str(PROBE), *names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"MUJOCO_GL": "egl", **os.environ},
        )
    except OSError as error:
        raise UserError(
            f"Cannot start `{python}`: {error.strerror}. Give the path of another "
            "installation's Python, such as `--python /path/to/venv/bin/python`."
        ) from error
