"""Actions of other robots and formats, against those of LIBERO's demonstrations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from rl_datagen.demos import load_human_demonstration
from rl_datagen.demos.conventions import foreign_actions
from rl_datagen.tasks import TASKS


def human(task):
    return load_human_demonstration(task).actions.astype(np.float64)


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_human_demonstrations_are_taken(task):
    assert foreign_actions(human(task)) is None


@given(st.sampled_from(TASKS), st.floats(-0.3, 0.3), st.floats(0.2, 1.3))
def test_absolute_poses_are_told_by_their_numbers(task, x, z):
    """The hand of a robot that picks from above points down, wherever it is."""
    moves = human(task)
    position = [x, 0, z] + 0.05 * np.cumsum(moves[:, :3], axis=0)
    down = Rotation.from_euler("x", np.pi)
    turn = Rotation.from_rotvec(0.05 * np.cumsum(moves[:, 3:6], axis=0)) * down
    for rotation in (turn.as_rotvec(), turn.as_euler("xyz")):
        absolute = np.column_stack([position, rotation, moves[:, 6]])
        assert "absolute poses or joint angles" in foreign_actions(absolute)


def test_joint_angles_are_told():
    panda = np.array([0, 0.2, 0, -2.4, 0, 2.6, 0.8])
    assert "column 5 is 2.6" in foreign_actions(np.tile(panda, (50, 1)))


@given(st.sampled_from(TASKS), st.sampled_from([1, 0.04, 255]), st.booleans())
def test_other_gripper_commands_are_told(task, largest, flipped):
    actions = human(task)
    closed = (actions[:, 6] > 0) ^ flipped
    actions[:, 6] = largest * closed
    if closed.all():
        return
    message = foreign_actions(actions)
    assert f"from 0 to {largest if closed.any() else 0:g}, none of them negative" in message


def test_a_single_move_beyond_the_limit_is_clipped_as_libero_does():
    actions = human(TASKS[0])
    actions[3, 2] = 1e300
    assert foreign_actions(actions) is None
    actions[:, 6] = 1
    assert foreign_actions(actions) is None
