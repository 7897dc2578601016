"""Why episodes fail, by what they show."""

import pytest

from rl_datagen.labels import Evidence, failure_cause

NOTHING = ("",) * 20
DRAWER = "cabinet_1_top_level"


def evidence(**changes):
    values = {
        "wanted": {"bowl_1"},
        "involved": {"bowl_1", "pot_1"},
        "moved": [],
        "held": NOTHING,
        "contact_objects": [()] * 20,
        "parts": {DRAWER},
        "num_closed": 0,
    }
    return Evidence(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, "timeout"),  # the hand never closed
        ({"num_closed": 9}, "missed_grasp"),
        ({"num_closed": 9, "held": ("bowl_1",) * 9 + ("",) * 11}, "missed_grasp"),  # not moved
        ({"num_closed": 9, "held": ("",) * 9 + ("bowl_1",) * 11}, "timeout"),
        ({"moved": ["bowl_1"], "held": ("",) * 9 + ("bowl_1",) * 11}, "timeout"),
        ({"moved": ["bowl_1"], "held": ("bowl_1",) * 18 + ("", "bowl_1")}, "timeout"),
        ({"moved": ["bowl_1"], "held": ("bowl_1",) * 9 + ("",) * 11}, "dropped"),
        ({"moved": ["cup_1"], "num_closed": 9}, "wrong_object"),
        ({"moved": ["plate_1"], "num_closed": 9}, "wrong_object"),  # where the bowl belongs
        ({"moved": ["pot_1"], "num_closed": 9}, "missed_grasp"),  # its statement holds
        ({"moved": ["cup_1", "bowl_1"]}, "dropped"),
        ({"wanted": {DRAWER}, "contact_objects": [(DRAWER,)] * 9 + [()] * 11}, "missed_grasp"),
        ({"wanted": {DRAWER}, "contact_objects": [(DRAWER,)] * 20}, "timeout"),
        ({"wanted": {DRAWER}, "moved": [DRAWER]}, "dropped"),
    ],
)
def test_cause(changes, cause):
    assert failure_cause(evidence(**changes)) == cause
