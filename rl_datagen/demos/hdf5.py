"""Human demonstrations out of LIBERO's HDF5 files.

Two layouts of ``data/demo_i/{actions, states, ...}`` are about: LIBERO's own (128x128 images,
attributes on every group) and the one that OpenVLA's authors regenerated (256x256, no attributes,
no-ops left out). Images and observations are not read: a demonstration is replayed.
"""

import math
import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float64

from rl_datagen.core.errors import ConfigError, first_line, shown
from rl_datagen.data.names import check_name
from rl_datagen.data.trajectory import CONTROL_FREQUENCY
from rl_datagen.demos.conventions import foreign_actions
from rl_datagen.demos.human import HumanDemonstration
from rl_datagen.sim import Scene
from rl_datagen.tasks import Task, get_task

SUFFIXES = (".hdf5", ".h5", ".hdf")
"""What HDF5 files are called, in small letters."""

_SUFFIX = "_demo"  # of a file's stem: <task name>_demo.hdf5
_MAX_SETTLE_STEPS = 1000
_MAX_JUMP = 100  # env steps of a clock that tells of settling
_MAX_NUMBERS = 10_000_000  # of one array: the longest demonstration has 60,000
_NUM_HOLD_STEPS = 20
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
            data = _own(file, "data")
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
    except _MalformedError as error:
        problems.append(f"{path} {error}.")
    except _UNREADABLE as error:
        problems.append(unreadable(path, error))
    return demonstrations, problems


def unreadable(path: Path, error: Exception) -> str:
    """Returns what to say of a file that h5py cannot open, or not read to its end."""
    if isinstance(error, BlockingIOError):
        return (
            f"{path} is locked: another process has it open to write. Call again once that has "
            "finished; nothing is wrong with the file."
        )
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"{path} cannot be opened: {os.strerror(error.errno or 0)}."
    return f"{path} is damaged or no HDF5 file: {first_line(error)}."


def find_task(path: Path) -> Task:
    """Returns the task a file demonstrates.

    The file's name says it, else the attribute ``bddl_file_name``. The name comes first since the
    attribute of LIBERO's released files often holds a task's working title.

    Raises:
        ConfigError: Neither is the name of a task.
        OSError: The file is not an HDF5 file.
    """
    names = [path.stem.removesuffix(_SUFFIX)]
    try:
        return get_task(names[0])
    except ConfigError:
        pass
    with h5py.File(path) as file:
        link = file.get("data", getlink=True)
        bddl = file["data"].attrs.get("bddl_file_name") if isinstance(link, h5py.HardLink) else None
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
    try:
        check_name(name)  # becomes part of an episode's id
    except ValueError as error:
        raise _MalformedError(f"has a name that cannot be used: {error}") from None
    group = _own(data, name)
    if not isinstance(group, h5py.Group):
        raise _MalformedError("is not a group")
    actions, states = _array(group, "actions"), _array(group, "states")
    if actions.shape[1] != 7:
        raise _MalformedError(f"has actions of width {actions.shape[1]}, not 7")
    if len(states) != len(actions):
        raise _MalformedError(f"has {len(states)} states but {len(actions)} actions")
    found, width = states.shape[1], _width(scene) if scene else states.shape[1]
    if found != width:
        raise _MalformedError(f"has states of width {found}, those of {task} have {width}")
    if foreign := foreign_actions(actions):
        raise _MalformedError(foreign)
    attributes = group.attrs
    settle, reset_state = attributes.get("num_settle_steps"), attributes.get("reset_state")
    return HumanDemonstration(
        task=task,
        init_state=states[0] if reset_state is None else _state(reset_state, width),
        actions=np.clip(actions, -1, 1).astype(np.float32),  # what LIBERO executes
        num_settle_steps=_settle_steps(states) if settle is None else _settled(settle),
        name=name,
        fixture_poses=_placed(attributes, scene),
        num_hold_steps=_NUM_HOLD_STEPS if reset_state is None else 0,  # ours are whole
    )


def _own(group: h5py.Group, key: str) -> Any:
    """Returns a member of this very file, or None; a link could lead to any file there is."""
    link = group.get(key, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        raise _MalformedError(f"has a link in place of '{key}', and links are not followed")
    return group.get(key)


def _array(group: h5py.Group, key: str) -> Float64[np.ndarray, "T W"]:
    dataset = _own(group, key)
    if not isinstance(dataset, h5py.Dataset):
        raise _MalformedError(f"has no dataset '{key}'")
    if dataset.is_virtual or dataset.external:
        raise _MalformedError(f"has {key} that lie in another file, and links are not followed")
    if dataset.dtype.kind not in "fiu":
        raise _MalformedError(f"has {key} of type {dataset.dtype}, and numbers are needed")
    shape = dataset.shape
    if shape is None or len(shape) != 2 or not math.prod(shape):
        raise _MalformedError(f"has {key} of shape {shape}, not [steps, width]")
    if max(math.prod(shape), math.prod(dataset.chunks or ())) > _MAX_NUMBERS:
        raise _MalformedError(
            f"has {key} of shape {shape}, stored in blocks of {dataset.chunks}, and at most "
            f"{_MAX_NUMBERS:,} numbers are read"
        )
    array = dataset[()].astype(np.float64)
    if not (finite := np.isfinite(array).all(axis=1)).all():
        step = int(np.flatnonzero(~finite)[0])
        raise _MalformedError(f"has a value in {key} at env step {step} that is not finite")
    return array


def _width(scene: Scene) -> int:
    return 1 + scene.model.nq + scene.model.nv


def _numbers(value: Any, key: str) -> Float64[np.ndarray, "..."]:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise _MalformedError(f"has an attribute {key} that is not made of finite numbers")
    return array.astype(np.float64)


def _state(value: Any, width: int) -> Float64[np.ndarray, " S"]:
    state = _numbers(value, "reset_state")
    if state.shape != (width,):
        raise _MalformedError(f"has a reset_state of shape {state.shape}, its states have {width}")
    return state


def _settled(value: Any) -> int:
    steps = _numbers(value, "num_settle_steps")
    if steps.shape or steps != round(float(steps)) or not 0 <= steps <= _MAX_SETTLE_STEPS:
        raise _MalformedError(
            f"has num_settle_steps={shown(value)}, and a whole number of 0 to {_MAX_SETTLE_STEPS} "
            "is needed"
        )
    return int(steps)


def _placed(attributes: Any, scene: Scene | None) -> Float64[np.ndarray, "Nf 7"] | None:
    """Returns where the fixtures are, as far as the file says so."""
    value = attributes.get("fixture_poses")
    if value is None:
        xml = attributes.get("model_file") if scene else None
        return _fixture_poses(xml, scene.fixtures) if scene and isinstance(xml, str) else None
    poses = _numbers(value, "fixture_poses")
    due = 7 * len(scene.fixtures) if scene else poses.size // 7 * 7
    if poses.size != due:
        raise _MalformedError(f"has fixture_poses of {poses.size} numbers, and {due} are needed")
    return poses.reshape(-1, 7)


def _settle_steps(states: Float64[np.ndarray, "T S"]) -> int:
    """Returns how many env steps passed between the first state and the first action.

    The regenerated files keep the state from before the settling as their first one, so their
    clock jumps there; LIBERO's own files start in the middle of the motion, without a jump.
    """
    if len(states) < 2:
        return 0
    steps = round((states[1, 0] - states[0, 0]) * CONTROL_FREQUENCY) - 1
    return steps if 0 < steps <= _MAX_JUMP else 0


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
