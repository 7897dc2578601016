"""OpenGL calls from compiled code: geoms drawn as ``mjr_render`` draws them.

A frame takes thousands of GL calls, which from Python would cost more than what is drawn. The
functions are found by name in the GL library, which ``load_gl`` puts into the process.
"""

import ctypes
from contextlib import suppress
from typing import Any

import llvmlite.binding
from numba import types

from rl_datagen.sim.jit import compiled

_LIBRARIES = ("libOpenGL.so.0", "libGL.so.1")


def load_gl() -> None:
    """Loads the GL library that the compiled functions call.

    Raises:
        OSError: There is none.
    """
    for name in _LIBRARIES:
        with suppress(OSError):
            ctypes.CDLL(name)
            llvmlite.binding.load_library_permanently(name)
            return
    raise OSError(f"none of {', '.join(_LIBRARIES)} is installed")


def _gl(name: str, *arguments: Any) -> Any:
    return types.ExternalFunction(name, types.void(*arguments))


_ENUM, _INT, _FLOAT, _POINTER = types.uint32, types.int32, types.float32, types.intp
_glActiveTexture = _gl("glActiveTexture", _ENUM)
_glBindTexture = _gl("glBindTexture", _ENUM, _ENUM)
_glCallList = _gl("glCallList", _ENUM)
_glColor4fv = _gl("glColor4fv", _POINTER)
_glDisable = _gl("glDisable", _ENUM)
_glDrawElements = _gl("glDrawElements", _ENUM, _INT, _ENUM, _POINTER)
_glEnable = _gl("glEnable", _ENUM)
_glMaterialf = _gl("glMaterialf", _ENUM, _ENUM, _FLOAT)
_glMaterialfv = _gl("glMaterialfv", _ENUM, _ENUM, _POINTER)
_glMultMatrixf = _gl("glMultMatrixf", _POINTER)
_glPopMatrix = _gl("glPopMatrix")
_glPushMatrix = _gl("glPushMatrix")
_glScalef = _gl("glScalef", _FLOAT, _FLOAT, _FLOAT)
_glTexGenfv = _gl("glTexGenfv", _ENUM, _ENUM, _POINTER)
_glTranslatef = _gl("glTranslatef", _FLOAT, _FLOAT, _FLOAT)

_TRIANGLES, _UNSIGNED_INT = _ENUM(4), _ENUM(0x1405)
_FRONT_AND_BACK, _EMISSION = _ENUM(0x408), _ENUM(0x1600)
_SPECULAR, _SHININESS = _ENUM(0x1202), _ENUM(0x1601)
_TEXTURE0, _TEXTURE_2D, _TEXTURE_CUBE = _ENUM(0x84C0), _ENUM(0xDE1), _ENUM(0x8513)
_GEN, _COORDINATE, _OBJECT_PLANE = 0xC60, 0x2000, _ENUM(0x2501)  # of S; T and R follow

EXPLICIT, FLAT, CUBE = 1, 2, 3
"""How a texture lies: by the mesh's coordinates, on a plane or on a cube, which generate so many
coordinates; 0: there is none."""


@compiled
def draw(
    chosen,
    indices,
    starts,
    counts,
    lists,
    scales,
    positions,
    rotations,
    materials,
    textures,
    names,
    planes,
):
    """Draws geoms, lit and textured as MuJoCo does, meshes with the bound vertex arrays.

    Args:
        chosen: Which geoms, in order.
        indices: Corners of the triangles of meshes; see ``cull``.
        starts: ``[G]``.
        counts: ``[G, 2]``; 0: nothing; the first negative: call the geom's display list.
        lists: ``[G]``: that display list.
        scales: ``[G, 3]``: how its shape is stretched; 0: not at all.
        positions: ``[G, 3]``, m.
        rotations: ``[G, 16]``: 4 x 4, column by column.
        materials: ``[G, 13]``: emission 4, RGBA 4, specular 4, shininess.
        textures: ``[G]``: how the texture lies.
        names: ``[G]``: the GL texture.
        planes: ``[G, 3, 4]``: planes that give texture coordinates where a shape has none.
    """
    for i in chosen:
        if counts[i, 0] == 0 and counts[i, 1] == 0:
            continue
        _set_texture(textures[i], names[i], planes[i])
        material = materials[i].ctypes.data
        _glMaterialfv(_FRONT_AND_BACK, _EMISSION, material)
        _glColor4fv(material + 16)
        _glMaterialf(_FRONT_AND_BACK, _SHININESS, materials[i, 12])
        _glMaterialfv(_FRONT_AND_BACK, _SPECULAR, material + 32)
        _glPushMatrix()
        _glTranslatef(positions[i, 0], positions[i, 1], positions[i, 2])
        _glMultMatrixf(rotations[i].ctypes.data)
        if counts[i, 0] < 0:
            if scales[i, 0] != 0:
                _glScalef(scales[i, 0], scales[i, 1], scales[i, 2])
            _glCallList(_ENUM(lists[i]))
        else:
            first = indices.ctypes.data + starts[i] * 4
            for count in counts[i]:
                if count > 0:
                    _glDrawElements(_TRIANGLES, _INT(count), _UNSIGNED_INT, first)
                    first += count * 4
        _glPopMatrix()
        _unset_texture(textures[i])


@compiled
def _set_texture(texture, name, planes):
    if texture == 0:
        return
    _glActiveTexture(_TEXTURE0)
    kind = _TEXTURE_CUBE if texture == CUBE else _TEXTURE_2D
    _glEnable(kind)
    for i in range(0 if texture == EXPLICIT else texture):
        _glEnable(_ENUM(_GEN + i))
    _glBindTexture(kind, _ENUM(name))
    for i in range(0 if texture == EXPLICIT else texture):
        _glTexGenfv(_ENUM(_COORDINATE + i), _OBJECT_PLANE, planes[i].ctypes.data)


@compiled
def _unset_texture(texture):
    if texture == 0:
        return
    _glActiveTexture(_TEXTURE0)
    _glDisable(_TEXTURE_CUBE if texture == CUBE else _TEXTURE_2D)
    for i in range(0 if texture == EXPLICIT else texture):
        _glDisable(_ENUM(_GEN + i))
