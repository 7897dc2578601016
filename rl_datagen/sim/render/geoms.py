"""The geoms of an ``mjvScene`` as one NumPy array."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import ctypes

import mujoco
import numpy as np

_FIELDS = [
    *((name, np.int32) for name in ("type", "dataid", "objtype", "objid", "category", "matid")),
    *((name, np.int32) for name in ("texcoord", "segid")),
    *(("size", np.float32, 3), ("pos", np.float32, 3), ("mat", np.float32, 9)),
    ("rgba", np.float32, 4),
    *((name, np.float32) for name in ("emission", "specular", "shininess", "reflectance")),
    ("label", np.uint8, 100),
    *(("camdist", np.float32), ("modelrbound", np.float32), ("transparent", np.uint8)),
]
GEOM = np.dtype(_FIELDS, align=True)
"""``mjvGeom`` of MuJoCo 3.3."""

_OFFSETS = {name: place[1] for name, place in (GEOM.fields or {}).items()}
_POSE = np.dtype([*_FIELDS[: _FIELDS.index(("label", np.uint8, 100))]]).itemsize
"""Bytes of a geom that tell where and how it is drawn: those before its label."""


def view_geoms(scene: mujoco.MjvScene) -> np.ndarray:
    """Returns a scene's geoms, all that it has room for, as a writable view of type ``GEOM``.

    Raises:
        RuntimeError: This MuJoCo lays them out otherwise.
    """
    wrappers = scene.geoms
    base = wrappers[0].size.ctypes.data - _OFFSETS["size"]
    buffer = (ctypes.c_uint8 * (GEOM.itemsize * scene.maxgeom)).from_address(base)
    view = np.frombuffer(buffer, GEOM)
    last = wrappers[scene.maxgeom - 1]
    for name in ("size", "pos", "mat", "rgba"):
        if getattr(last, name).ctypes.data != view[name][-1].ctypes.data:
            raise RuntimeError("mjvGeom has another layout")
    return view


def poses(geoms: np.ndarray) -> np.ndarray:
    """Returns ``[N, B]`` bytes that are equal for geoms which are drawn alike."""
    rows = geoms.copy().view(np.uint8).reshape(len(geoms), GEOM.itemsize)
    return rows[:, :_POSE]


def looks(geoms: np.ndarray) -> np.ndarray:
    """Returns ``[N, B]`` bytes that are equal for geoms which differ at most in place."""
    rows = poses(geoms)
    return np.delete(rows, np.s_[_OFFSETS["pos"] : _OFFSETS["rgba"]], axis=1)
