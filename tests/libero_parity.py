"""Compares ``rl_datagen.libero`` with LIBERO's own environment: ``python libero_parity.py TASK``.

A process of its own, since LIBERO's needs robosuite with a GL library, which this package's import
keeps from it. Ends with an error where they differ.
"""

# isort: skip_file

from contextlib import suppress

with suppress(ImportError):
    import triton  # noqa: F401  its LLVM comes before Mesa's
import robosuite  # noqa: F401  before this package
from libero.libero.envs import OffScreenRenderEnv as StockEnv

import sys

import numpy as np

from rl_datagen.libero import OffScreenRenderEnv
from rl_datagen.sim.libero import bddl_path, load_init_states
from rl_datagen.tasks import get_task


class Both:
    """Calls the same methods of both environments, each with the same random numbers."""

    def __init__(self, task):
        settings = {
            "bddl_file_name": str(bddl_path(task)),
            "camera_heights": [64, 80],
            "camera_widths": [64, 96],
        }
        np.random.seed(5)
        self.stock = StockEnv(**settings)
        drawn = self._drawn()
        np.random.seed(5)
        self.ours = OffScreenRenderEnv(**settings, appearance="mujoco")
        assert self._drawn() == drawn

    def _drawn(self):
        """Returns where NumPy's random stream has arrived."""
        state = np.random.get_state()
        return state[1].tobytes(), state[2]

    def call(self, name, *arguments):
        before = np.random.get_state()
        theirs, drawn = getattr(self.stock, name)(*arguments), self._drawn()
        np.random.set_state(before)
        ours = getattr(self.ours, name)(*arguments)
        assert self._drawn() == drawn, name
        return theirs, ours

    def observe(self, name, *arguments):
        theirs, ours = self.call(name, *arguments)
        if name == "step":
            assert ours[1:] == theirs[1:], name
            theirs, ours = theirs[0], ours[0]
        assert list(ours) == list(theirs)
        for key, value in theirs.items():
            assert ours[key].dtype == value.dtype, key
            np.testing.assert_array_equal(ours[key], value, f"{key} after {name}")
        np.testing.assert_array_equal(self.ours.get_sim_state(), self.stock.get_sim_state())


def main(task):
    both, states = Both(task), load_init_states(task)
    rng = np.random.default_rng(0)
    both.call("seed", 0)
    both.observe("reset")
    for _ in range(3):  # without an init state, LIBERO samples at another physics step
        both.observe("step", rng.uniform(-1.2, 1.2, 7))
    for index in (1, 2):
        both.observe("reset")
        both.observe("set_init_state", states[index])
        for _ in range(2):
            both.observe("step", [0] * 6 + [-1])
        for _ in range(3):
            both.observe("step", rng.uniform(-1, 1, 7).astype(np.float32))
    both.observe("set_init_state", states[3])  # in the middle of an episode
    both.observe("step", rng.uniform(-1, 1, 7))
    theirs, ours = (env.robots[0].controller.ee_ori_mat for env in (both.stock, both.ours))
    assert np.array_equal(theirs, ours)
    for name in ("language_instruction", "problem_name", "domain_name", "obj_of_interest"):
        assert getattr(both.stock, name) == getattr(both.ours, name), name
    assert len(set(both.call("check_success"))) == 1
    both.call("close")


if __name__ == "__main__":
    main(get_task(sys.argv[1]))
