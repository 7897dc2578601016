from pathlib import Path

import numpy as np
import pytest
from libero.libero import get_libero_path
from libero.libero.envs.bddl_utils import robosuite_parse_problem
from scipy.spatial.transform import Rotation

from rl_datagen.sim.observation import (
    SampleLayout,
    StateLayout,
    StatePart,
    _belongs,
    object_state_of,
    proprio_of,
)
from rl_datagen.tasks import SUITES, select_tasks


def quat(rotation):
    return rotation.as_quat(scalar_first=True)


def test_proprio_is_position_axis_angle_and_fingers():
    sample = np.zeros(16)
    sample[:3], sample[7:9] = [1, 2, 3], [0.04, -0.04]
    sample[3:7] = quat(Rotation.from_rotvec([0.1, -0.2, 0.3]))
    np.testing.assert_allclose(
        proprio_of(sample), [1, 2, 3, 0.1, -0.2, 0.3, 0.04, -0.04], atol=1e-6
    )


@pytest.mark.parametrize("w", [1.0, 1.0 + 1e-12])
def test_proprio_of_no_rotation_is_zero(w):
    sample = np.zeros(16)
    sample[3] = w
    np.testing.assert_array_equal(proprio_of(sample), np.zeros(8))


def test_object_state_is_relative_to_the_hand():
    rng = np.random.default_rng(0)
    hand, thing, link = Rotation.random(3, rng=rng)
    hand_pos, thing_pos, link_pos = rng.normal(size=(3, 3))
    layout = SampleLayout(0, 0, np.zeros(2, int), np.array([1, 2]), np.array([7]))
    sample = np.zeros(layout.size)
    sample[:3], sample[3:7] = hand_pos, quat(hand)
    sample[16:19], sample[19:23] = thing_pos, quat(thing)
    sample[23:26], sample[26:30] = link_pos, quat(link)
    sample[30] = 0.7  # the joint that moves the link

    def expected(position, rotation):
        relative = (hand.inv() * rotation).as_matrix()
        offset = hand.inv().apply(position - hand_pos)
        return [*offset, *relative[:, 0], *relative[:, 1]]

    named = StateLayout((StatePart("bowl", "object", 0, 9), StatePart("door", "joint", 9, 10)))
    assert np.flatnonzero(named.positions).tolist() == [0, 1, 2, 10, 11, 12]
    np.testing.assert_allclose(
        object_state_of(sample, layout),
        [*expected(thing_pos, thing), 0.7, *expected(link_pos, link)],
        atol=1e-6,
    )


def test_entries_of_an_object_are_its_own_its_joints_and_its_regions_owner():
    names = ["butter_1", "butter_10", "cabinet_1", "cabinet_1_top_level", "stove_1_button"]
    kinds = ["object", "object", "fixture", "joint", "joint"]
    parts = [
        StatePart(name, kind, 10 * i, 10)
        for i, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    layout = StateLayout(tuple(parts))

    def found(*wanted):
        return [names[i] for i in np.flatnonzero(layout.entries_of(wanted)[::10])]

    assert found("butter_1") == ["butter_1"]
    assert found("cabinet_1_middle_region") == ["cabinet_1", "cabinet_1_top_level"]
    assert found("butter_10", "cabinet_1") == ["butter_10", "cabinet_1", "cabinet_1_top_level"]
    assert layout.entries_of(["butter_1"]).sum() == 10


@pytest.mark.sim
@pytest.mark.parametrize("suite", SUITES)
def test_whatever_a_goal_mentions_is_of_interest(suite):
    """Experts see objects of interest alone by default; LIBERO's definitions name them.

    Besides them, goals mention places on a table, which stays where it is.
    """
    root = Path(get_libero_path("bddl_files"), suite)
    for task in select_tasks(suite):
        problem = robosuite_parse_problem(str(root / f"{task.name}.bddl"))
        mentioned = [name for _, *names in problem["goal_state"] for name in names]
        for name in mentioned:
            of_interest = any(_belongs(name, each) for each in problem["obj_of_interest"])
            assert of_interest or "table_" in name, (task, name)
