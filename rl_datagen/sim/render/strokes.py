"""Settings of OpenGL for each geom, as ``mjr_render`` would make them."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass, replace

import mujoco
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from rl_datagen.sim.render.draw import CUBE, EXPLICIT, FLAT

_G = mujoco.mjtGeom
_RGB_ROLE, _NUM_ROLES = (
    int(mujoco.mjtTextureRole.mjTEXROLE_RGB),
    int(mujoco.mjtTextureRole.mjNTEXROLE),
)
_SHAPES = {_G.mjGEOM_SPHERE: 0, _G.mjGEOM_ELLIPSOID: 0, _G.mjGEOM_CYLINDER: 3, _G.mjGEOM_BOX: 6}
"""MuJoCo's built-in display list of each shape."""


@dataclass(frozen=True, eq=False)
class Strokes:
    """Geoms ready to draw; see ``draw`` for the arrays that only it reads.

    Attributes:
        poses: ``[G, 4, 4]``: from a geom's frame to the world.
        meshes: The mesh of each that has one; 0 of others.
        is_mesh: Which have triangles of their own.
        is_plane: Which are planes.
        is_known: Which can be drawn here at all.
        rgba: ``[G, 4]``.
        finish: ``[G, 3]``: emission, specular, shininess.
    """

    poses: Float64[np.ndarray, "G 4 4"]
    positions: Float32[np.ndarray, "G 3"]
    rotations: Float32[np.ndarray, "G 16"]
    meshes: Int64[np.ndarray, " G"]
    is_mesh: Bool[np.ndarray, " G"]
    is_plane: Bool[np.ndarray, " G"]
    is_known: Bool[np.ndarray, " G"]
    rgba: Float32[np.ndarray, "G 4"]
    finish: Float32[np.ndarray, "G 3"]
    lists: Int64[np.ndarray, " G"]
    scales: Float32[np.ndarray, "G 3"]
    materials: Float32[np.ndarray, "G 13"]
    textures: Int64[np.ndarray, " G"]
    names: Int64[np.ndarray, " G"]
    planes: Float32[np.ndarray, "G 3 4"]

    def arguments(self) -> tuple[np.ndarray, ...]:
        """Returns the last arguments of ``draw``."""
        names = ("lists", "scales", "positions", "rotations", "materials", "textures", "names")
        return tuple(getattr(self, name) for name in (*names, "planes"))

    def moved(self, geoms: np.ndarray) -> "Strokes":
        """Returns them where the geoms are now."""
        poses, positions, rotations = _places(geoms)
        return replace(self, poses=poses, positions=positions, rotations=rotations)

    def coloured(self, rgba: Float32[np.ndarray, "G 4"]) -> "Strokes":
        """Returns them in plain colours, without textures."""
        no_finish = np.zeros_like(self.finish)
        materials, textures = _materials(rgba, no_finish), np.zeros_like(self.textures)
        return replace(self, rgba=rgba, materials=materials, textures=textures)

    def dimmed(self, reflectance: float) -> "Strokes":
        """Returns them as a mirror shows them."""
        rgba = self.rgba.copy()
        rgba[:, :3] *= np.float32(reflectance)
        return replace(self, rgba=rgba, materials=_materials(rgba, self.finish))


def prepare(geoms: np.ndarray, context: mujoco.MjrContext) -> Strokes:
    """Returns what OpenGL needs to know of some geoms of type ``GEOM``."""
    kinds = geoms["type"]
    is_mesh = (kinds == _G.mjGEOM_MESH) & (geoms["dataid"] >= 0)
    rgba = geoms["rgba"].copy()
    finish = np.stack([geoms[name] for name in ("emission", "specular", "shininess")], axis=1)
    lists, scales = _lists(geoms, context)
    textures, names, planes = _textures(geoms, context)
    return Strokes(
        *_places(geoms),
        np.where(is_mesh, geoms["dataid"] // 2, 0).astype(np.int64),
        is_mesh,
        kinds == _G.mjGEOM_PLANE,
        lists >= 0,
        rgba,
        finish,
        lists,
        scales,
        _materials(rgba, finish),
        textures,
        names,
        planes,
    )


def _places(
    geoms: np.ndarray,
) -> tuple[Float64[np.ndarray, "G 4 4"], Float32[np.ndarray, "G 3"], Float32[np.ndarray, "G 16"]]:
    """Returns where geoms are: as matrices, and as OpenGL is told."""
    rotations = geoms["mat"].reshape(-1, 3, 3)
    poses = np.zeros((len(geoms), 4, 4))
    poses[:, :3, :3], poses[:, :3, 3], poses[:, 3, 3] = rotations, geoms["pos"], 1
    columns = np.zeros((len(geoms), 4, 4), np.float32)
    columns[:, :3, :3], columns[:, 3, 3] = rotations.transpose(0, 2, 1), 1
    return poses, geoms["pos"].copy(), columns.reshape(-1, 16)


def _materials(
    rgba: Float32[np.ndarray, "G 4"], finish: Float32[np.ndarray, "G 3"]
) -> Float32[np.ndarray, "G 13"]:
    materials = np.ones((len(rgba), 13), np.float32)
    materials[:, :3] = finish[:, :1] * rgba[:, :3]
    materials[:, 4:8] = rgba
    materials[:, 8:11] = finish[:, 1:2]
    materials[:, 12] = finish[:, 2] * np.float32(128)
    return materials


def _lists(
    geoms: np.ndarray, context: mujoco.MjrContext
) -> tuple[Int64[np.ndarray, " G"], Float32[np.ndarray, "G 3"]]:
    """Returns each geom's display list (-1: not known here) and its scale (0: none)."""
    kinds, data = geoms["type"], geoms["dataid"].astype(np.int64)
    lists = np.full(len(geoms), -1, np.int64)
    scales = np.zeros((len(geoms), 3), np.float32)
    lists[kinds == _G.mjGEOM_MESH] = context.baseMesh + data[kinds == _G.mjGEOM_MESH]
    for kind, number in _SHAPES.items():
        lists[kinds == kind] = context.baseBuiltin + number
        scales[kinds == kind] = geoms["size"][kinds == kind]
    plane = kinds == _G.mjGEOM_PLANE
    lists[plane] = context.basePlane + data[plane] + 1
    stretched = plane & (data < 0)
    scales[stretched] = geoms["size"][stretched] * [1, 1, 0] + [0, 0, 1]
    return lists, scales


def _textures(
    geoms: np.ndarray, context: mujoco.MjrContext
) -> tuple[Int64[np.ndarray, " G"], Int64[np.ndarray, " G"], Float32[np.ndarray, "G 3 4"]]:
    """Returns how each texture lies, its GL name, and the planes of generated coordinates."""
    count, materials, sizes = len(geoms), geoms["matid"], geoms["size"]
    texture = np.asarray(context.mat_texid)[_NUM_ROLES * materials + _RGB_ROLE]
    texture = np.where(materials >= 0, texture, -1)
    flat = np.asarray(context.textureType)[texture] == mujoco.mjtTexture.mjTEXTURE_2D
    kinds = np.where(geoms["texcoord"] > 0, EXPLICIT, np.where(flat, FLAT, CUBE))
    uniform = np.asarray(context.mat_texuniform)[materials] > 0
    planes = np.zeros((count, 3, 4), np.float32)
    repeat = np.asarray(context.mat_texrepeat).reshape(-1, 2)[materials].astype(np.float32)
    for axis, half in ((0, 0.5), (1, -0.5)):
        size = sizes[:, axis]
        own = np.where(size > 0, np.maximum(1e-15, size.astype(np.float64)), 1)
        scale = repeat[:, axis]
        scale = np.where(geoms["dataid"] >= 0, (scale / own).astype(np.float32), scale)
        scale = np.where(uniform & (size > 0), scale * size, scale)
        planes[:, axis, axis], planes[:, axis, 3] = half * scale, -0.5
    cube = kinds == CUBE
    planes[cube] = 0
    for axis in range(3):
        planes[cube, axis, axis] = np.where(uniform, sizes[:, axis], 1)[cube]
    kinds = np.where(texture >= 0, kinds, 0)
    return kinds, np.asarray(context.texture)[texture].astype(np.int64), planes
