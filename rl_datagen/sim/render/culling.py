"""Culling of the triangles of a frame that can change no pixel.

A triangle is left out only if it can touch no sample of any pixel whatever the rounding of the
rasteriser: it is off screen, faces away, or lies between samples. Rounding is allowed for by
margins: the rasteriser snaps corners to 1/256 of a pixel, and its single-precision transforms err
by up to ``_ROUNDING`` metres.

One thing is not local to a triangle. Mesa draws a mesh in batches of faces, and where it clips some
triangle of a batch it culls the whole batch twice: by true corners and, as everywhere, by snapped
ones. So slivers, which snapping may turn round, are kept or left out by what else is in their
batch. Triangles to clip are drawn apart from the others, together with slivers from batches that
are clipped; and a mesh is drawn whole where it is in doubt whether a sliver's batch is.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from rl_datagen.sim.jit import compiled
from rl_datagen.sim.render.meshes import Meshes

_SNAP = 0.004  # of a pixel: twice how far snapping to 1/256 moves a corner, and a little more
_ROUNDING = 1e-6  # m: over twice how far single precision moves a corner (2.3e-7 measured)
_ULP = 6e-5  # of a pixel: how single precision rounds a place in an image of 512
_GUARD = 0.999  # of the screen's half-width: what lies within is never clipped
_OUTSIDE = 1.001  # of the same: what lies beyond is clipped
_BATCH = 341  # faces: Mesa's vsplit cuts lists of more than 4096 corners into runs of 1023
_ONE_BATCH = 1365  # faces: up to here a list may be one batch or several
_LARGE = 4.0  # pixels: larger triangles are taken to cover a sample

# On which sides a corner is out of view: 1, 2, 4, 8 left, right, below, above the window, and
_NEAR, _BELOW, _BEFORE = 16, 32, 64  # perhaps before the near plane, below a plane, surely before
_MAYBE, _SURELY = 128, 256  # clipped there
_HIDDEN = 15 | _BELOW | _BEFORE

WHOLE = -1
"""Count of a mesh that must be drawn whole."""


class Scratch(NamedTuple):
    """Room for what is known of one mesh at a time; a tuple since numba unpacks those.

    Attributes:
        x: ``[V]``: where each corner is in the image, pixels.
        y: ``[V]``.
        margins: ``[V]``: how far off rounding may put it, pixels.
        codes: ``[V]``: on which sides it is out of view.
        batches: Which batches have something to clip: ``_MAYBE`` or ``_SURELY``.
        away: ``[F]``: which faces surely face away.
    """

    x: Float32[np.ndarray, " V"]
    y: Float32[np.ndarray, " V"]
    margins: Float32[np.ndarray, " V"]
    codes: Int32[np.ndarray, " V"]
    batches: Int32[np.ndarray, " B"]
    away: UInt8[np.ndarray, " F"]


def make_scratch(meshes: Meshes) -> Scratch:
    """Returns room for any of the meshes."""
    num_positions, num_faces = len(meshes.positions), len(meshes.faces)
    return Scratch(
        np.zeros(num_positions, np.float32),
        np.zeros(num_positions, np.float32),
        np.zeros(num_positions, np.float32),
        np.zeros(num_positions, np.int32),
        np.zeros(num_faces // _BATCH + 1, np.int32),
        np.zeros(num_faces, np.uint8),
    )


@compiled
def cull(
    meshes,
    chosen,
    matrices,
    eyes,
    near,
    focal,
    size,
    window,
    facing,
    clip_planes,
    samples,
    indices,
    starts,
    counts,
    scratch,
):
    """Writes the corners of the triangles to draw, geom by geom.

    Args:
        meshes: See ``Meshes``.
        chosen: ``[G]``: the mesh of each geom.
        matrices: ``[G, 4, 4]``: from the mesh's frame to clip coordinates.
        eyes: ``[G, 3]``: where the mesh is seen from, in its frame (m).
        near: Distance (m) of the near plane.
        focal: Pixels per unit of tangent.
        size: ``[2]``: width and height of the image in pixels.
        window: ``[4]``: left, right, bottom, top (pixels) of what can be seen.
        facing: 1: counter-clockwise triangles are seen; -1: clockwise, as in a mirror.
        clip_planes: ``[G, 4]``: a plane in each mesh's frame; what lies below it is clipped away.
        samples: ``[S, 2]`` in [0, 1): where a pixel is sampled.
        indices: ``[>= 6 F]``, written: corners to draw.
        starts: ``[G]``, written: where a geom's corners begin in ``indices``.
        counts: ``[G, 2]``, written: how many they are, and how many of those that follow need
            clipping; the first ``WHOLE``: draw the whole mesh.
        scratch: See ``Scratch``.
    """
    total = 0
    for geom in range(len(chosen)):
        starts[geom] = total
        counts[geom] = 0
        mesh, matrix = chosen[geom], matrices[geom]
        sphere, clip_plane = meshes.spheres[mesh], clip_planes[geom]
        if _out_of_view(sphere, matrix, near, size, window):
            continue
        clipped = _project(meshes, mesh, matrix, near, focal, size, window, clip_plane, scratch)
        _turn(meshes, mesh, eyes[geom], matrix, near, focal, scratch)
        example = _mark(meshes, mesh, scratch) if clipped else -1
        end, spare, ambiguous = _select(
            meshes, mesh, facing, samples, clipped, example, indices, total, scratch
        )
        if ambiguous:
            counts[geom, 0] = WHOLE
            continue
        counts[geom, 0] = end - total
        total = end
        for place in range(len(indices) - 3, spare - 3, -3):
            indices[total : total + 3] = indices[place : place + 3]
            total += 3
        counts[geom, 1] = total - end


@compiled
def _out_of_view(sphere, matrix, near, size, window):
    """Whether a ball lies outside one side of the window or before the near plane."""
    x = _row(matrix, 0, sphere)
    y = _row(matrix, 1, sphere)
    w = _row(matrix, 3, sphere)
    radius = sphere[3] * 1.001 + 1e-5
    if w < near - radius:
        return True
    scale_x, scale_y = _length(matrix, 0), _length(matrix, 1)
    left, right = 2 * (window[0] - 1) / size[0] - 1, 2 * (window[1] + 1) / size[0] - 1
    bottom, top = 2 * (window[2] - 1) / size[1] - 1, 2 * (window[3] + 1) / size[1] - 1
    # x < left w for all points of the ball, and so on; the gradient's length is at most the sum.
    return (
        x - left * w < -radius * (scale_x + abs(left))
        or x - right * w > radius * (scale_x + abs(right))
        or y - bottom * w < -radius * (scale_y + abs(bottom))
        or y - top * w > radius * (scale_y + abs(top))
    )


@compiled
def _row(matrix, row, point):
    return (
        matrix[row, 0] * point[0]
        + matrix[row, 1] * point[1]
        + matrix[row, 2] * point[2]
        + matrix[row, 3]
    )


@compiled
def _length(matrix, row):
    return np.sqrt(matrix[row, 0] ** 2 + matrix[row, 1] ** 2 + matrix[row, 2] ** 2)


@compiled
def _project(meshes, mesh, matrix, near, focal, size, window, plane, scratch):
    """Projects a mesh's corners; returns whether some triangle of it may be clipped."""
    positions = meshes.positions
    x, y, margins, codes = scratch.x, scratch.y, scratch.margins, scratch.codes
    start, end = meshes.first_position[mesh], meshes.first_position[mesh + 1]
    one, half = np.float32(1), np.float32(0.5)
    half_x, half_y = size[0] * half, size[1] * half
    rounding = np.float32(_ROUNDING) * focal
    closest = near * np.float32(1.01) + np.float32(1e-4)
    surely = near * np.float32(0.99) - np.float32(1e-4)
    touching = np.float32(1e-4)
    guard, outside = np.float32(_GUARD), np.float32(_OUTSIDE)
    left, right, bottom, top = window[0], window[1], window[2], window[3]
    clipped = 0
    # Without branches, so that it is compiled to vector instructions.
    for i in range(start, end):
        a = positions[i, 0]
        b = positions[i, 1]
        c = positions[i, 2]
        w = matrix[3, 0] * a + matrix[3, 1] * b + matrix[3, 2] * c + matrix[3, 3]
        u = matrix[0, 0] * a + matrix[0, 1] * b + matrix[0, 2] * c + matrix[0, 3]
        v = matrix[1, 0] * a + matrix[1, 1] * b + matrix[1, 2] * c + matrix[1, 3]
        height = plane[0] * a + plane[1] * b + plane[2] * c + plane[3]
        behind = w < closest
        inverse = one / (one if behind else w)
        margin = np.float32(_SNAP) + rounding * inverse
        u *= inverse
        v *= inverse
        far_out = (abs(u) > guard) | (abs(v) > guard)
        beyond = ((abs(u) > outside) | (abs(v) > outside)) & (not behind)
        far_out |= (height < touching) | behind
        clipped |= far_out
        u = u * half_x + half_x
        v = v * half_y + half_y
        seen = (
            (u < left - margin) * 1
            | (u > right + margin) * 2
            | (v < bottom - margin) * 4
            | (v > top + margin) * 8
        )
        x[i] = u
        y[i] = v
        margins[i] = margin
        codes[i] = (
            (_NEAR if behind else seen)
            | (height < -touching) * _BELOW
            | (w < surely) * _BEFORE
            | far_out * _MAYBE
            | (beyond | (height < -touching) | (w < surely)) * _SURELY
        )
    return clipped != 0


@compiled
def _turn(meshes, mesh, eye, matrix, near, focal, scratch):
    """Notes which faces surely face away, without projecting them.

    A face of area A that the eye is d behind covers 2 A d f^2 / z^3 (twice, in pixels), and its
    edges together at most 5 f / z of their length; cf. the test in ``_select``.
    """
    planes, sphere, away = meshes.planes, meshes.spheres[mesh], scratch.away
    start, end = meshes.first_face[mesh], meshes.first_face[mesh + 1]
    one = np.float32(1)
    w = _row(matrix, 3, sphere)
    reach = sphere[3] * np.float32(1.001) + np.float32(1e-5)
    closest, farthest = w - reach, w + reach
    if closest < near:
        for face in range(start, end):
            away[face] = 0
        return
    margin = np.float32(_SNAP) + np.float32(_ROUNDING) * focal / closest
    cube = farthest * farthest * farthest
    per_length = np.float32(5) * margin * cube / (closest * focal)
    per_face = margin * margin * cube / (focal * focal)
    x, y, z = eye[0], eye[1], eye[2]
    slack = np.float32(1e-6) * (one + abs(x) + abs(y) + abs(z))
    for face in range(start, end):
        height = planes[face, 0] * x + planes[face, 1] * y + planes[face, 2] * z - planes[face, 3]
        limit = per_length * planes[face, 4] + per_face * planes[face, 5] + slack
        away[face] = height < -limit


@compiled
def _mark(meshes, mesh, scratch):
    """Notes in which batches of a mesh's faces something is clipped: ``_MAYBE`` or ``_SURELY``.

    Returns:
        A face that is surely clipped; -1: there may be none.
    """
    faces, codes, batches = meshes.faces, scratch.codes, scratch.batches
    start, end = meshes.first_face[mesh], meshes.first_face[mesh + 1]
    for batch in range((end - start) // _BATCH + 1):
        batches[batch] = 0
    example = -1
    for face in range(start, end):
        code = codes[faces[face, 0]] | codes[faces[face, 1]] | codes[faces[face, 2]]
        batches[(face - start) // _BATCH] |= code & (_MAYBE | _SURELY)
        if code & _SURELY:
            example = face
    return example


@compiled
def _write(corners, face, indices, place):
    indices[place] = corners[face, 0]
    indices[place + 1] = corners[face, 1]
    indices[place + 2] = corners[face, 2]


@compiled
def _select(meshes, mesh, facing, samples, clipped, example, indices, total, scratch):
    """Writes the corners of a mesh's triangles that may touch a sample.

    Returns:
        Where they end in ``indices``, where those that need clipping begin, from the end of
        ``indices`` on and in reverse, and whether the mesh must be drawn whole.
    """
    faces, corners = meshes.faces, meshes.corners
    x, y, margins, codes, batches, away = scratch
    start, end = meshes.first_face[mesh], meshes.first_face[mesh + 1]
    spare = len(indices)
    for face in range(start, end):
        if away[face]:
            continue
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        code_a, code_b, code_c = codes[a], codes[b], codes[c]
        if code_a & code_b & code_c & _HIDDEN:  # all on the far side of one edge
            continue
        out = code_a | code_b | code_c
        if not out & _NEAR:  # with a place on the screen
            x_a, y_a = x[a], y[a]
            x_ab, y_ab = x[b] - x_a, y[b] - y_a
            x_ac, y_ac = x[c] - x_a, y[c] - y_a
            margin = max(margins[a], max(margins[b], margins[c]))
            extent = abs(x_ab) + abs(y_ab) + abs(x_ac) + abs(y_ac) + margin
            area = (x_ab * y_ac - x_ac * y_ab) * facing
            if area < -margin * extent:
                continue
            if not _touches(x_a, y_a, x_ab, y_ab, x_ac, y_ac, facing, margin, samples):
                continue
            doubt = (margin - np.float32(_SNAP) + np.float32(_ULP)) * extent
            if area < doubt and (a == b or b == c or c == a):
                continue
            if area < doubt and clipped and not out & _MAYBE:
                batch = batches[(face - start) // _BATCH]
                if batch == _MAYBE or (batch == 0 and _BATCH < end - start <= _ONE_BATCH):
                    return total, spare, True
                if batch:
                    if area >= -doubt:  # between two that are clipped, so that its batch is
                        for other in (example, face, example):
                            spare -= 3
                            _write(corners, other, indices, spare)
                    continue
        if out & _MAYBE:
            # Mesa takes a slow path for whatever shares a batch with these: they come last.
            spare -= 3
            _write(corners, face, indices, spare)
        else:
            _write(corners, face, indices, total)
            total += 3
    return total, spare, False


@compiled
def _touches(x, y, x_ab, y_ab, x_ac, y_ac, facing, margin, samples):
    """Whether a triangle may cover a sample of a pixel."""
    left = min(np.float32(0), min(x_ab, x_ac)) - margin
    right = max(np.float32(0), max(x_ab, x_ac)) + margin
    bottom = min(np.float32(0), min(y_ab, y_ac)) - margin
    top = max(np.float32(0), max(y_ab, y_ac)) + margin
    if right - left > np.float32(_LARGE) or top - bottom > np.float32(_LARGE):
        return True
    x_bc, y_bc = x_ac - x_ab, y_ac - y_ab
    # How far corners that move by half the margin change an edge's side of a point within.
    slack = abs(x_ab) + abs(y_ab) + abs(x_ac) + abs(y_ac) + abs(x_bc) + abs(y_bc) + margin
    slack *= -margin
    for i in range(len(samples)):
        # The pixels whose sample lies in the triangle's box, which are few and mostly none.
        u, v = samples[i, 0] - x, samples[i, 1] - y
        first, lowest = np.ceil(left - u), np.ceil(bottom - v)
        if first > right - u or lowest > top - v:
            continue
        p = first + u
        while p <= right:
            q = lowest + v
            while q <= top:
                ab = (x_ab * q - p * y_ab) * facing
                bc = (x_bc * (q - y_ab) - (p - x_ab) * y_bc) * facing
                ca = (p * y_ac - x_ac * q) * facing
                if ab >= slack and bc >= slack and ca >= slack:
                    return True
                q += np.float32(1)
            p += np.float32(1)
    return False
