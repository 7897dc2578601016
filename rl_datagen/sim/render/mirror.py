"""A top that reflects, such as a stove's: the scene drawn a second time, upside down in it.

``mjr_render`` lets one box or plane reflect, the first. It draws the scene mirrored where that one
shows, then adds the top itself to the picture.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float32, Float64

from rl_datagen.sim.render.opengl import GL

_KINDS = (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_BOX)


@dataclass(frozen=True, eq=False)
class Mirror:
    """A reflecting face.

    Attributes:
        index: The geom it belongs to.
        position: ``[3]``: its centre, m.
        normal: ``[3]``: where it faces.
        corners: ``[4, 3]``, m.
        matrix: ``[4, 4]``: the reflection, rounded as MuJoCo rounds it.
    """

    index: int
    position: Float32[np.ndarray, "3"]
    normal: Float32[np.ndarray, "3"]
    corners: Float64[np.ndarray, "4 3"]
    matrix: Float32[np.ndarray, "4 4"]

    @property
    def plane(self) -> Float64[np.ndarray, "4"]:
        """The plane below which nothing is mirrored: positive above it."""
        return np.append(self.normal, -_dot(self.normal, self.position)).astype(np.float64)


def find_mirror(geoms: np.ndarray, is_opaque: np.ndarray, eye: np.ndarray) -> Mirror | None:
    """Returns the face of the first geom that reflects, if the eye is before it."""
    reflects = np.isin(geoms["type"], _KINDS) & is_opaque & (geoms["reflectance"] > 0)
    if not reflects.any():
        return None
    index = int(np.argmax(reflects))
    geom = geoms[index]
    rotation, normal = geom["mat"].reshape(3, 3), geom["mat"][[2, 5, 8]]
    position = geom["pos"].copy()
    if geom["type"] == mujoco.mjtGeom.mjGEOM_BOX:  # its upper side
        position += geom["size"][2] * normal
    if _dot(eye.astype(np.float32) - position, normal) < 0:
        return None
    signs = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]], np.float64)
    corners = position + (signs * geom["size"][:2]) @ rotation[:, :2].T.astype(np.float64)
    return Mirror(index, position, normal, corners, _reflection(position, normal))


def window_of(
    mirror: Mirror, matrix: Float64[np.ndarray, "4 4"], near: float, size: np.ndarray
) -> Float32[np.ndarray, "4"] | None:
    """Returns left, right, bottom and top (pixels) of where a mirror shows; None: nowhere."""
    points = np.c_[mirror.corners, np.ones(4)] @ matrix.T
    if (points[:, 3] < near).all():
        return None
    if (points[:, 3] < near * 1.1).any():
        return np.array([0, size[0], 0, size[1]], np.float32)
    pixels = (points[:, :2] / points[:, 3:] + 1) / 2 * size
    low, high = np.maximum(pixels.min(axis=0) - 1, 0), np.minimum(pixels.max(axis=0) + 1, size)
    if (low >= high).any():
        return None
    return np.array([low[0], high[0], low[1], high[1]], np.float32)


@contextmanager
def mirrored(mirror: Mirror, geom: np.ndarray, plane_list: int, lights: Any) -> Iterator[None]:
    """Has OpenGL draw what a mirror shows, where it shows."""
    GL.glDisable(GL.GL_DEPTH_TEST)
    GL.glColorMask(0, 0, 0, 0)
    GL.glEnable(GL.GL_STENCIL_TEST)
    GL.glClear(GL.GL_STENCIL_BUFFER_BIT)
    GL.glStencilFunc(GL.GL_ALWAYS, 1, 0xFF)
    GL.glStencilOp(GL.GL_REPLACE, GL.GL_REPLACE, GL.GL_REPLACE)
    _draw_face(mirror, geom, plane_list)
    GL.glEnable(GL.GL_DEPTH_TEST)
    GL.glColorMask(1, 1, 1, 1)
    GL.glStencilFunc(GL.GL_EQUAL, 1, 0xFF)
    GL.glStencilOp(GL.GL_KEEP, GL.GL_KEEP, GL.GL_KEEP)
    GL.glEnable(GL.GL_CLIP_PLANE0)
    offset = _dot(mirror.position, mirror.normal)
    GL.glClipPlane(GL.GL_CLIP_PLANE0, np.append(-mirror.normal, offset).astype(np.float64))
    GL.glFrontFace(GL.GL_CW)
    GL.glPushMatrix()
    GL.glMultMatrixf(mirror.matrix.T)
    place_lights(lights)
    yield
    GL.glDisable(GL.GL_STENCIL_TEST)
    GL.glDisable(GL.GL_CLIP_PLANE0)
    GL.glPopMatrix()
    GL.glFrontFace(GL.GL_CCW)


def place_lights(lights: Any) -> None:
    """Puts lights where they are, as seen through the present matrix."""
    for number, light in enumerate(lights):
        name = GL.GL_LIGHT0 + number
        if light.type == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL:
            GL.glLightfv(name, GL.GL_POSITION, np.append(-light.dir, np.float32(0)))
        else:
            GL.glLightfv(name, GL.GL_SPOT_DIRECTION, np.append(light.dir, np.float32(0)))
            GL.glLightfv(name, GL.GL_POSITION, np.append(light.pos, np.float32(1)))


def _draw_face(mirror: Mirror, geom: np.ndarray, plane_list: int) -> None:
    rotation = np.eye(4, dtype=np.float32)
    rotation[:3, :3] = geom["mat"].reshape(3, 3).T
    GL.glPushMatrix()
    GL.glTranslatef(*map(float, mirror.position))
    GL.glMultMatrixf(rotation)
    if geom["dataid"] >= 0:
        GL.glCallList(int(plane_list + geom["dataid"] + 1))
    else:
        GL.glScalef(float(geom["size"][0]), float(geom["size"][1]), 1.0)
        GL.glCallList(int(plane_list))
    GL.glPopMatrix()


def _reflection(position: np.ndarray, normal: np.ndarray) -> Float32[np.ndarray, "4 4"]:
    two, outer = np.float32(2), np.outer(normal, normal)
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = np.eye(3, dtype=np.float32) - two * outer
    matrix[:3, 3] = [two * _dot(row, position) for row in outer]
    return matrix


def _dot(a: np.ndarray, b: np.ndarray) -> np.float32:
    """A dot product whose single-precision sum runs in C's order."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
