"""Compares what an installation made of the trials with the reference."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rl_datagen.tasks import NUM_INIT_STATES

REFERENCE = Path(__file__).with_name("reference.json")

# m or rad: far above what rounding of another CPU makes of 30 env steps
_MAX_QPOS_DIFFERENCE = 1e-6
_MAX_MOVED_DIFFERENCE = 0.005  # m
_MAX_LISTED = 8
_MAX_GL_DIFFERENCE = 4  # of 255, in a thumbnail's pixel: what another GL rounds otherwise
_FLIPS = {
    "upside down": lambda image: image[::-1],
    "mirrored": lambda image: image[:, ::-1],
    "rotated by 180 degrees": lambda image: image[::-1, ::-1],
}


@cache
def read_reference() -> dict[str, Any]:
    """Returns the reference; ``make_reference.py`` says how it was made."""
    return json.loads(REFERENCE.read_text("utf-8"))


@dataclass
class TaskReport:
    """How one task compares.

    Attributes:
        task: Its id.
        images: Whether they are as published.
        physics: Whether it is as pinned.
        moved_init_states: Stored init states from which objects move otherwise.
        differences: What differs, a sentence part each.
    """

    task: str
    images: bool = True
    physics: bool = True
    moved_init_states: tuple[int, ...] = ()
    differences: list[str] = field(default_factory=list)


def compare(record: dict[str, Any], task_id: str) -> TaskReport:
    """Returns how a task's record compares with the reference."""
    report = TaskReport(task_id)
    if "error" in record:
        report.images, report.physics = False, False
        report.differences.append(f"cannot be run: {record['error']}")
        return report
    reference = read_reference()["tasks"][task_id]
    report.differences += _compare_files(record, reference)
    _compare_images(record, reference, report)
    _compare_physics(record, reference, report)
    return report


def _compare_files(record: dict[str, Any], reference: dict[str, Any]) -> Iterator[str]:
    if record["bddl"] != reference["bddl"]:
        yield "its BDDL file says something else"
    found, expected = record["init_states"], reference["init_states"]
    if found["sorted"] != expected["sorted"]:
        yield "its stored init states are others"
    elif found["ordered"] != expected["ordered"]:
        yield "its stored init states come in another order"


def _compare_images(record: dict[str, Any], reference: dict[str, Any], report: TaskReport) -> None:
    same_gl = record["gl"] == read_reference()["gl"]
    words, brightness = set[str](), list[float]()
    for name, expected in reference["images"].items():
        found = record["images"][name]
        if found["digest"] == expected["digest"]:
            continue
        thumbnails = _thumbnail(found), _thumbnail(expected)
        if flip := _find_flip(*thumbnails):
            words.add(f"images are {flip}")
        elif _differ(*thumbnails):
            brightness.append((thumbnails[0] - thumbnails[1]).mean())
        elif same_gl:
            words.add("images differ in single pixels")
    if brightness:
        most = max(brightness, key=abs)
        words.add(f"images differ in whole areas (brightness by up to {most:+.0f} of 255)")
    report.images = not words
    report.differences += sorted(words)
    if record["srgb_textures"]:
        report.differences.append(
            f"{record['srgb_textures']} textures are read as sRGB, as MuJoCo does from 3.3.3 on"
        )


def _find_flip(found: np.ndarray, expected: np.ndarray) -> str | None:
    """Returns how an image was flipped, if that is what differs."""
    if _differ(found, expected):
        for name, flip in _FLIPS.items():
            if not _differ(flip(found), expected):
                return name
    return None


def _differ(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether thumbnails differ by more than another GL's rounding."""
    return bool(np.abs(found - expected).max() > _MAX_GL_DIFFERENCE)


def _compare_physics(record: dict[str, Any], reference: dict[str, Any], report: TaskReport) -> None:
    for name, when in (("settled", "after settling"), ("stepped", "after 20 actions")):
        found, expected = _unpack(record[name]), _unpack(reference[name])
        if len(found) != len(expected):
            report.physics = False
            report.differences.append(f"it has {len(found)} joint positions, not {len(expected)}")
            return
        difference = np.abs(found - expected).max()
        if not difference <= _MAX_QPOS_DIFFERENCE:
            report.physics = False
            report.differences.append(f"joint positions differ by {difference:.2g} {when}")
    report.moved_init_states = _compare_moves(record["moved"], reference["moved"])
    if report.moved_init_states:
        report.physics = False
        report.differences.append(
            f"objects come to rest elsewhere from {_list(report.moved_init_states)}"
        )


def _list(init_states: tuple[int, ...]) -> str:
    if len(init_states) > _MAX_LISTED:
        return f"{len(init_states)} of {NUM_INIT_STATES} stored init states"
    return f"the stored init states {', '.join(map(str, init_states))}"


def _compare_moves(found: str, expected: str) -> tuple[int, ...]:
    """Returns the stored init states from which an object gets elsewhere."""
    difference = np.abs(_unpack(found, "<f2") - _unpack(expected, "<f2"))
    by_state = difference.reshape(NUM_INIT_STATES, -1).max(axis=1, initial=0.0)
    return tuple(np.flatnonzero(~(by_state <= _MAX_MOVED_DIFFERENCE)).tolist())


def _thumbnail(image: dict[str, str]) -> np.ndarray:
    pixels = np.frombuffer(base64.b64decode(image["thumbnail"]), np.uint8)
    side = int(np.sqrt(pixels.size // 3))
    return pixels.reshape(side, side, 3).astype(float)


def _unpack(text: str, precision: str = "<f4") -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), precision).astype(float)
