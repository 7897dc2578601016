"""Actions that are not LIBERO's, though they have its shape: their numbers tell.

LIBERO's move the hand from where it is, by 0.05 m or 0.5 rad per unit and in [-1, 1], and -1 opens
the gripper. Other robots' files hold absolute poses, joint angles, or a gripper in {0, 1}; replayed
as LIBERO's they would look like demonstrations that miss the goal.
"""

import numpy as np
from jaxtyping import Float64


def foreign_actions(actions: Float64[np.ndarray, "T 7"]) -> str | None:
    """Returns what tells that actions are not LIBERO's, as the end of a sentence; None: nothing.

    A single move beyond [-1, 1] says nothing, since LIBERO clips it.
    """
    usual = np.median(np.abs(actions[:, :6]), axis=0)
    column = int(usual.argmax())
    if usual[column] > 1:
        return (
            f"has actions that look like absolute poses or joint angles: the number in column "
            f"{column} is {usual[column]:.3g} at half of the env steps or more. LIBERO's are moves "
            "of the hand in [-1, 1] (1 is 0.05 m or 0.5 rad): convert them"
        )
    low, high = float(actions[:, 6].min()), float(actions[:, 6].max())
    if 0 <= low < 0.5:
        return (
            f"has gripper commands (the last column) from {low:.3g} to {high:.3g}, none of them "
            "negative. LIBERO's are -1 to open and 1 to close: write 2 g - 1 where 0 opens it, "
            "1 - 2 g where 1 does"
        )
    return None
