"""The triangles of a model's meshes, as MuJoCo draws them."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from itertools import pairwise
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt32

_SMOOTH = 0.8  # a vertex normal further than this from its face's normal gives way to it


class Meshes(NamedTuple):
    """Every mesh of a model: ``F`` faces, ``V`` positions, ``U`` vertices for GL.

    A tuple since numba unpacks those.

    Attributes:
        positions: ``[V, 3]``, m, in the frame of the mesh.
        faces: ``[F, 3]`` corners as indices into ``positions``.
        vertices: ``[U, 8]``: position, normal, texture coordinates; each combination once.
        corners: ``[F, 3]`` corners as indices into ``vertices``.
        first_position: ``[M + 1]``: where the positions of each mesh begin.
        first_face: ``[M + 1]``: where the faces of each mesh begin.
        spheres: ``[M, 4]``: centre and radius (m) of a ball around each mesh.
        planes: ``[F, 6]``: each face's unit normal and offset (m), and the length of its edges and
            1, each over twice its area; infinite where it has none.
    """

    positions: Float32[np.ndarray, "V 3"]
    faces: Int32[np.ndarray, "F 3"]
    vertices: Float32[np.ndarray, "U 8"]
    corners: UInt32[np.ndarray, "F 3"]
    first_position: Int64[np.ndarray, " M1"]
    first_face: Int64[np.ndarray, " M1"]
    spheres: Float32[np.ndarray, "M 4"]
    planes: Float32[np.ndarray, "F 6"]


def read_meshes(model: mujoco.MjModel) -> Meshes:
    """Returns a model's meshes, their normals chosen corner by corner as MuJoCo chooses them."""
    first_face = np.append(model.mesh_faceadr, model.nmeshface).astype(np.int64)
    owner = np.repeat(np.arange(model.nmesh), np.diff(first_face))
    vertices = _corners(model, owner)
    # LIBERO's meshes repeat a position five times on average.
    rows = np.concatenate(
        [np.repeat(owner, 3)[:, None].astype(np.int32), vertices[:, :3].view(np.int32)], axis=1
    )
    first, faces = _unique_rows(rows)
    order = np.argsort(rows[first, 0], kind="stable")  # the positions of a mesh lie together
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    first_position = np.searchsorted(rows[first[order], 0], np.arange(model.nmesh + 1))
    positions = np.ascontiguousarray(vertices[first[order], :3])
    chosen, corners = _unique_rows(vertices.view(np.int32))
    return Meshes(
        positions,
        place[faces].reshape(-1, 3).astype(np.int32),
        vertices[chosen],
        corners.reshape(-1, 3).astype(np.uint32),
        first_position.astype(np.int64),
        first_face,
        _spheres(positions, first_position),
        _planes(vertices[:, :3].reshape(-1, 3, 3)),
    )


def _unique_rows(
    rows: Int32[np.ndarray, "N C"],
) -> tuple[Int64[np.ndarray, " U"], Int64[np.ndarray, " N"]]:
    """Returns where each distinct row comes first, and which of those every row is."""
    factors = np.random.default_rng(0).integers(1, 2**62, rows.shape[1]) | 1
    with np.errstate(over="ignore"):
        keys = rows.astype(np.int64) @ factors
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    if not np.array_equal(rows[first][inverse], rows):  # two rows share a key
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, inverse.ravel()


def _spheres(
    positions: Float32[np.ndarray, "V 3"], first: Int64[np.ndarray, " M1"]
) -> Float32[np.ndarray, "M 4"]:
    spheres = np.zeros((len(first) - 1, 4), np.float32)
    for mesh, (start, end) in enumerate(pairwise(first)):
        points = positions[start:end]
        centre = (points.min(axis=0) + points.max(axis=0)) / 2
        radius = np.linalg.norm(points - centre, axis=1).max()
        spheres[mesh] = [*centre, radius * 1.0001]
    return spheres


def _planes(corners: Float32[np.ndarray, "F 3 3"]) -> Float32[np.ndarray, "F 6"]:
    edges = np.roll(corners, -1, axis=1).astype(np.float64) - corners
    normals = np.cross(edges[:, 0], edges[:, 1])
    areas = np.linalg.norm(normals, axis=1)
    lengths = np.linalg.norm(edges, axis=2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        normals = np.where(areas[:, None] > 0, normals / areas[:, None], 0)
        ratios = np.where(areas > 0, [lengths / areas, 1 / areas], np.inf)
    offsets = (normals * corners[:, 0]).sum(axis=1)
    with np.errstate(over="ignore"):
        return np.concatenate([normals, offsets[:, None], ratios.T], axis=1).astype(np.float32)


def _corners(model: mujoco.MjModel, owner: Int64[np.ndarray, " F"]) -> Float32[np.ndarray, "F3 8"]:
    """Returns position, normal and texture coordinates of each face's three corners."""
    corners = np.zeros((len(owner), 3, 8), np.float32)
    corners[..., :3] = model.mesh_vert[model.mesh_face + model.mesh_vertadr[owner, None]]
    normals = model.mesh_normal[model.mesh_facenormal + model.mesh_normaladr[owner, None]]
    textured = model.mesh_texcoordadr[owner] >= 0
    flat = _face_normals(corners[..., :3])[:, None]
    edges = ~textured[:, None] & (_dot(normals, flat) < _SMOOTH)
    corners[..., 3:6] = np.where(edges[..., None], flat, normals)
    offsets = model.mesh_texcoordadr[owner[textured], None]
    corners[textured, :, 6:] = model.mesh_texcoord[model.mesh_facetexcoord[textured] + offsets]
    return corners.reshape(-1, 8)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A dot product whose single-precision sums run in C's order."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def _face_normals(corners: Float32[np.ndarray, "F 3 3"]) -> Float32[np.ndarray, "F 3"]:
    """Returns unit normals, rounded as MuJoCo rounds them."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normals = np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        axis=1,
    )
    lengths = np.sqrt(_dot(normals, normals))
    degenerate = lengths < np.float32(1e-10)
    scales = np.float32(1) / np.where(degenerate, np.float32(1), lengths)
    return np.where(degenerate[:, None], np.array([0, 0, 1], np.float32), normals * scales[:, None])
