"""Human demonstrations out of LIBERO's HDF5 files.

Two layouts of ``data/demo_i/{actions, states, ...}`` are about: LIBERO's own (128x128 images,
attributes on every group) and the one that OpenVLA's authors regenerated (256x256, no attributes,
no-ops left out). Images and observations are not read: a demonstration is replayed.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import h5py
import numpy as np
from jaxtyping import Float64

from rl_datagen.core.errors import ConfigError, first_line
from rl_datagen.data.names import check_name
from rl_datagen.data.trajectory import CONTROL_FREQUENCY
from rl_datagen.demos.human import HumanDemonstration
from rl_datagen.sim import Scene
from rl_datagen.tasks import Task, get_task

_SUFFIX = "_demo"  # of a file's stem: <task name>_demo.hdf5
_MAX_SETTLE_STEPS = 100
_UNREADABLE = (OSError, KeyError, TypeError, ValueError, RuntimeError)  # what h5py raises


class _MalformedError(Exception):
    """What is wrong with a demonstration, as the end of a sentence."""


def read_hdf5(
    path: Path, task: Task | None = None, scene: Scene | None = None
) -> tuple[list[HumanDemonstration], list[str]]:
    """Reads the demonstrations of one file, and says what is wrong with the others.

    Args:
        path: ``<task name>_demo.hdf5``.
        task: What it demonstrates; None: ``find_task`` says.
        scene: The task's scene. With it, widths of states are checked and LIBERO's model XML, where
            a file has it, gives the fixture poses.

    Returns:
        The sound demonstrations by number, and one sentence for each problem.
    """
    demonstrations: list[HumanDemonstration] = []
    problems: list[str] = []
    try:
        task = task or find_task(path)
        with h5py.File(path) as file:
            data = file.get("data")
            if not isinstance(data, h5py.Group):
                return [], [f"{path} has no group 'data'."]
            for name in sorted(data, key=_number):
                try:
                    demonstrations.append(_read(data, name, task, scene))
                except _MalformedError as error:
                    problems.append(f"{path}: {name} {error}.")
                except _UNREADABLE as error:
                    problems.append(f"{path}: {name} cannot be read: {first_line(error)}.")
            if not len(data):
                problems.append(f"{path} holds no demonstration.")
    except ConfigError as error:
        problems.append(str(error))
    except _UNREADABLE as error:
        problems.append(f"{path} is damaged or no HDF5 file: {first_line(error)}.")
    return demonstrations, problems


def find_task(path: Path) -> Task:
    """Returns the task a file demonstrates.

    The file's name says it, else the attribute ``bddl_file_name``. The name comes first since the
    attribute of LIBERO's released files often holds a task's working title.

    Raises:
        ConfigError: Neither is the name of a task.
        OSError: The file is no HDF5 file.
    """
    names = [path.stem.removesuffix(_SUFFIX)]
    try:
        return get_task(names[0])
    except ConfigError:
        pass
    with h5py.File(path) as file:
        bddl = file["data"].attrs.get("bddl_file_name") if "data" in file else None
    if isinstance(bddl, str):
        names.append(PurePosixPath(bddl).stem)
    try:
        return get_task(names[-1])
    except ConfigError:
        raise ConfigError(
            f"{path}: {' and '.join(map(repr, names))} name no LIBERO task. Call the file "
            f"<task name>{_SUFFIX}.hdf5; `rl-datagen tasks --json` lists the names."
        ) from None


def _read(data: h5py.Group, name: str, task: Task, scene: Scene | None) -> HumanDemonstration:
    group = data[name]
    try:
        check_name(name)  # becomes part of an episode's id
    except ValueError as error:
        raise _MalformedError(f"has a name that cannot be used: {error}") from None
    if not isinstance(group, h5py.Group):
        raise _MalformedError("is no group")
    actions = _array(group, "actions").astype(np.float32)
    states = _array(group, "states").astype(np.float64)
    if actions.shape[1] != 7:
        raise _MalformedError(f"has actions of width {actions.shape[1]}, not 7")
    if len(states) != len(actions):
        raise _MalformedError(f"has {len(states)} states but {len(actions)} actions")
    width = 1 + scene.model.nq + scene.model.nv if scene else states.shape[1]
    if states.shape[1] != width:
        found = states.shape[1]
        raise _MalformedError(f"has states of width {found}, those of {task} have {width}")
    attributes = group.attrs
    settle = attributes.get("num_settle_steps")
    init_state = np.array(attributes.get("reset_state", states[0]), np.float64)
    fixture_poses = attributes.get("fixture_poses")
    if fixture_poses is not None:
        fixture_poses = np.array(fixture_poses, np.float64).reshape(-1, 7)
    elif scene is not None and isinstance(xml := attributes.get("model_file"), str):
        fixture_poses = _fixture_poses(xml, scene.fixtures)
    return HumanDemonstration(
        task=task,
        init_state=init_state,
        actions=np.clip(actions, -1, 1),  # what LIBERO executes
        num_settle_steps=_settle_steps(states) if settle is None else int(settle),
        name=name,
        fixture_poses=fixture_poses,
    )


def _array(group: h5py.Group, key: str) -> np.ndarray:
    dataset = group.get(key)
    if not isinstance(dataset, h5py.Dataset):
        raise _MalformedError(f"has no dataset '{key}'")
    array = np.array(dataset)
    if array.ndim != 2 or not len(array):
        raise _MalformedError(f"has {key} of shape {array.shape}, not [steps, width]")
    if not (finite := np.isfinite(array).all(axis=1)).all():
        step = int(np.flatnonzero(~finite)[0])
        raise _MalformedError(f"has a value in {key} at env step {step} that is not finite")
    return array


def _settle_steps(states: Float64[np.ndarray, "T S"]) -> int:
    """Returns how many env steps passed between the first state and the first action.

    The regenerated files keep the state from before the settling as their first one, so their
    clock jumps there; LIBERO's own files start in the middle of the motion, without a jump.
    """
    if len(states) < 2:
        return 0
    steps = round((states[1, 0] - states[0, 0]) * CONTROL_FREQUENCY) - 1
    return steps if 0 < steps <= _MAX_SETTLE_STEPS else 0


def _fixture_poses(xml: str, fixtures: Sequence[str]) -> Float64[np.ndarray, "Nf 7"] | None:
    """Returns where a recorded model has the fixtures; None where it does not say so.

    LIBERO places fixtures by moving bodies of the compiled model, and the XML it saves afterwards
    has them in place.
    """
    try:
        bodies = {body.get("name"): body for body in ET.fromstring(xml).iter("body")}
        numbers = [
            f"{bodies[name].get('pos', '0 0 0')} {bodies[name].get('quat', '1 0 0 0')}".split()
            for name in fixtures
        ]
        return np.array(numbers, np.float64).reshape(len(fixtures), 7)
    except (ET.ParseError, KeyError, ValueError):
        return None


def _number(name: str) -> tuple[int, str]:
    digits = name.rpartition("_")[2]
    return (int(digits) if digits.isdecimal() else 0, name)
