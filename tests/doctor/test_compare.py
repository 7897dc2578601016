"""Records that differ from the reference in one thing are told so, and in nothing else."""

import base64
import copy

import numpy as np
import pytest

from rl_datagen.doctor import compare, probe
from rl_datagen.tasks import TASKS

TASK = "libero_goal/0"


@pytest.fixture
def record():
    """What an installation that is the published one says."""
    reference = compare.read_reference()
    return copy.deepcopy(reference["tasks"][TASK]) | {"gl": reference["gl"], "srgb_textures": 0}


def repaint(record, change):
    """Changes every image, as an installation that draws otherwise would."""
    for image in record["images"].values():
        pixels = np.frombuffer(base64.b64decode(image["thumbnail"]), np.uint8).reshape(8, 8, 3)
        image["thumbnail"] = base64.b64encode(change(pixels).astype(np.uint8).tobytes()).decode()
        image["digest"] = "another"


def unpack(text, precision="<f4"):
    return np.frombuffer(base64.b64decode(text), precision).copy()


def test_the_reference_has_every_task_and_agrees_with_itself(record):
    assert set(compare.read_reference()["tasks"]) == {task.id for task in TASKS}
    report = compare.compare(record, TASK)
    assert (report.images, report.physics, report.differences) == (True, True, [])


def test_another_gl_may_round_otherwise_but_not_paint_otherwise(record):
    repaint(record, lambda pixels: np.clip(pixels.astype(int) + 2, 0, 255))
    assert compare.compare(record, TASK).differences == ["images differ in single pixels"]
    record["gl"] = "NVIDIA H100/PCIe/SSE2 4.6.0"
    assert compare.compare(record, TASK).images
    repaint(record, lambda pixels: pixels // 2)
    report = compare.compare(record, TASK)
    assert not report.images
    assert "differ in whole areas (brightness by up to -" in report.differences[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda pixels: pixels[::-1], "upside down"),
        (lambda pixels: pixels[:, ::-1], "mirrored"),
        (lambda pixels: pixels[::-1, ::-1], "rotated by 180 degrees"),
    ],
)
def test_a_flip_is_named(record, change, words):
    repaint(record, change)
    report = compare.compare(record, TASK)
    assert not report.images
    assert report.differences == [f"images are {words}"]


def test_srgb_textures_are_named(record):
    record["srgb_textures"] = 2
    assert "2 textures are read as sRGB" in compare.compare(record, TASK).differences[0]


def test_an_arm_that_goes_elsewhere_is_other_physics(record):
    stepped = unpack(record["stepped"])
    stepped[3] += 1e-4
    record["stepped"] = probe.pack(stepped)
    report = compare.compare(record, TASK)
    assert report.physics is False
    assert "0.0001 after 20 actions" in report.differences[0]
    record["stepped"] = probe.pack(np.full_like(stepped, np.nan))
    assert compare.compare(record, TASK).physics is False


def test_init_states_whose_objects_come_to_rest_elsewhere_are_named(record):
    moved = unpack(record["moved"], "<f2").reshape(compare.NUM_INIT_STATES, -1)
    moved[[7, 31], 2] += 0.02
    record["moved"] = probe.pack(moved, "<f2")
    report = compare.compare(record, TASK)
    assert report.physics is False
    assert report.moved_init_states == (7, 31)
    assert report.differences == [
        "objects come to rest elsewhere from the stored init states 7, 31"
    ]


def test_other_files_are_named(record):
    record["init_states"]["ordered"] = "another"
    record["bddl"] = "another"
    differences = compare.compare(record, TASK).differences
    assert differences == [
        "its BDDL file says something else",
        "its stored init states come in another order",
    ]
    record["init_states"]["sorted"] = "another"
    assert compare.compare(record, TASK).differences[1] == "its stored init states are others"


def test_a_task_that_cannot_be_run_says_why():
    report = compare.compare({"error": "TypeError: mj_fullM()"}, TASK)
    assert (report.images, report.physics) == (False, False)
    assert "TypeError: mj_fullM()" in report.differences[0]
