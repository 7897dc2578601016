"""A MuJoCo model that shares everything but the poses of its bodies."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import ctypes

import mujoco
import numpy as np
from jaxtyping import Float64

_WORD = 8
_MAX_WORDS = 1024  # mjModel 3.3.7 has 598


class ModelView:
    """A copy of the ``mjModel`` struct whose ``body_pos`` and ``body_quat`` are its own.

    LIBERO moves fixtures by writing to the model. One model of 110 to 380 MB can therefore serve
    simulators whose fixtures differ, also in several threads, only if those two small arrays are
    private to each. The struct is pointers and sizes; a copy with two pointers replaced shares
    meshes and textures. C functions take ``address`` for their model.

    Attributes:
        address: Address of the struct, for MuJoCo's C functions.
        body_pos: ``[nbody, 3]``, m.
        body_quat: ``[nbody, 4]``, (w, x, y, z).
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model  # owns everything the copied pointers point to
        self.body_pos: Float64[np.ndarray, "nbody 3"] = model.body_pos.copy()
        self.body_quat: Float64[np.ndarray, "nbody 4"] = model.body_quat.copy()
        words = (ctypes.c_uint64 * _struct_words(model)).from_address(model._address)
        self._struct = type(words).from_buffer_copy(words)
        for name in ("body_pos", "body_quat"):
            offset = list(words).index(getattr(model, name).ctypes.data)
            self._struct[offset] = getattr(self, name).ctypes.data
        self._forget_bvh(model)
        self.address = ctypes.addressof(self._struct)

    def _forget_bvh(self, model: mujoco.MjModel) -> None:
        """Sets the copy's ``nbvh`` to 0.

        Each collision pass clears that many flags, one per node of every mesh's bounding volume
        tree, a tenth of the time of a step. They are drawn in MuJoCo's viewer and read by nothing.
        """
        sizes = np.ctypeslib.as_array(self._struct)[:32].view(np.int32)
        known = [model.nbody, model.nbvh, model.nbvhstatic, model.nbvhdynamic]
        matches = [i for i in range(60) if sizes[i : i + 4].tolist() == known]
        assert len(matches) == 1, "mjModel's sizes lie elsewhere: has MuJoCo changed?"
        sizes[matches[0] + 1] = 0

    def place(self, bodies: np.ndarray, poses: Float64[np.ndarray, "N 7"]) -> None:
        """Moves bodies to poses: position (m), quaternion (w, x, y, z), in their parents."""
        self.body_pos[bodies] = poses[:, :3]
        self.body_quat[bodies] = poses[:, 3:]


def _struct_words(model: mujoco.MjModel) -> int:
    """Returns the length of ``mjModel`` in words: its last member is the signature."""
    for i in range(_MAX_WORDS):
        value = ctypes.c_uint64.from_address(model._address + i * _WORD).value
        if value == model.signature:
            return i + 1
    raise AssertionError("mjModel does not end with its signature: has MuJoCo changed?")
