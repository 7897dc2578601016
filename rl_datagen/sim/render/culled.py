"""The same images as MuJoCo's own renderer, from the triangles that show.

Software GL pays per triangle, and nine in ten of LIBERO's are off screen, face away or lie
between samples. Opaque geoms are drawn here, meshes from the triangles that ``cull`` keeps, in the
order and with the settings of ``mjr_render``. That function itself clears the image and sets the
view and the lights before, and draws the sky and what is transparent after. What stands still
before a camera that stands still is drawn once; see ``layer``.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from rl_datagen.sim.render.culling import WHOLE, cull, make_scratch
from rl_datagen.sim.render.draw import draw, load_gl
from rl_datagen.sim.render.geoms import looks, poses, view_geoms
from rl_datagen.sim.render.layer import Layers
from rl_datagen.sim.render.meshes import read_meshes
from rl_datagen.sim.render.mirror import (
    Mirror,
    find_mirror,
    mirrored,
    place_lights,
    window_of,
)
from rl_datagen.sim.render.opengl import GL
from rl_datagen.sim.render.stock import StockRenderer
from rl_datagen.sim.render.strokes import Strokes, prepare
from rl_datagen.sim.render.target import colours_of
from rl_datagen.sim.render.viewpoint import Viewpoint
from rl_datagen.sim.scene import Scene

_OPAQUE = 0.995  # mjr_render's threshold


@dataclass(frozen=True, eq=False)
class View:
    """Viewpoint of a camera.

    Attributes:
        matrix: ``[4, 4]``: from the world to clip coordinates.
        eye: ``[3]``, m.
        near: Distance (m) of the near plane.
        focal: Pixels per unit of tangent.
        size: Width and height in pixels.
    """

    matrix: Float64[np.ndarray, "4 4"]
    eye: Float32[np.ndarray, "3"]
    near: float
    focal: float
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Visible:
    """The triangles of geoms that show; see ``cull``."""

    indices: np.ndarray
    starts: Int64[np.ndarray, " G"]
    counts: Int64[np.ndarray, "G 2"]

    def shown(self) -> Bool[np.ndarray, " G"]:
        """Which geoms have some."""
        return (self.counts != 0).any(axis=1)


@dataclass(frozen=True, eq=False)
class Frame:
    """One image to draw.

    Attributes:
        geoms: ``[G]``, as MuJoCo lists them.
        strokes: What OpenGL needs to know of them.
        view: Where they are seen from.
        opaque: Which hide what is behind them.
        clear: Which let it shine through.
        mirror: The face that reflects, if it shows.
        reflection: What it shows.
    """

    geoms: np.ndarray
    strokes: Strokes
    view: View
    opaque: Bool[np.ndarray, " G"]
    clear: Bool[np.ndarray, " G"]
    mirror: Mirror | None
    reflection: Visible | None


class CulledRenderer(StockRenderer):
    """Renders one scene, bit for bit as ``StockRenderer`` does, whose arguments it takes.

    Raises:
        OSError: There is no GL library to call.
        RuntimeError: This MuJoCo is not the one this was written for.
    """

    def __init__(self, scene: Scene, gl_context: Any, *, plain: bool = False) -> None:
        load_gl()
        super().__init__(scene, gl_context, plain=plain)
        self._geoms = view_geoms(self._drawing)
        self._rest = mujoco.MjvScene(scene.model, maxgeom=self._drawing.maxgeom)
        self._rest_geoms = view_geoms(self._rest)
        self._meshes = read_meshes(scene.model)
        self._vertices = _upload(self._meshes.vertices)
        self._indices = [np.zeros(6 * len(self._meshes.faces), np.uint32) for _ in range(2)]
        self._scratch = make_scratch(self._meshes)
        self._num_faces = np.diff(self._meshes.first_face)

    def _make_context(self, width: int, height: int) -> mujoco.MjrContext:
        context = super()._make_context(width, height)
        self._samples = _sample_positions(context)
        self._layers = Layers(context.offSamples)
        self._look_before = b""
        self._release = int(GL.glGenLists(1))
        GL.glNewList(self._release, GL.GL_COMPILE)
        GL.glDisable(GL.GL_RASTERIZER_DISCARD)
        GL.glEndList()
        return context

    def free(self) -> None:
        """Gives the GL resources back."""
        self._gl.make_current()
        GL.glDeleteBuffers(1, [self._vertices])
        super().free()

    def _free_context(self) -> None:
        self._layers.free()
        GL.glDeleteLists(self._release, 1)
        super()._free_context()

    def _draw(self, viewpoint: Viewpoint, height: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
        self._look(viewpoint, self._drawing, mujoco.mjtCatBit.mjCAT_ALL)
        self._look(viewpoint, self._rest, 0)
        frame = self._compose((width, height))
        if frame is None:
            return super()._draw(viewpoint, height, width)
        if self._model.cam_bodyid[self._camera.fixedcamid] == 0:  # fixed to the world
            self._draw_layered(frame, viewpoint)
        else:
            self._draw_opaque(frame, frame.opaque)
        self._finish(frame)
        return self._read(height, width)

    def _compose(self, size: tuple[int, int]) -> Frame | None:
        """Clears the image, sets camera and lights; None: there is something unknown here."""
        view = self._set_view(size)
        geoms = self._geoms[: self._drawing.ngeom]
        alpha = geoms["rgba"][:, 3].astype(np.float64)
        opaque, clear = alpha >= _OPAQUE, (alpha < _OPAQUE) & (alpha > 0)
        strokes = self._prepare(geoms)
        behind = ((view.eye - geoms["pos"]) * geoms["mat"][:, [2, 5, 8]]).sum(axis=1) < 1e-6
        if (opaque & ~strokes.is_known).any() or (behind & strokes.is_plane).any():
            return None
        mirror = find_mirror(geoms, opaque, view.eye)
        window = mirror and window_of(mirror, view.matrix, view.near, np.array(size))
        if mirror is None or window is None:
            return Frame(geoms, strokes, view, opaque, clear, None, None)
        candidates = opaque | clear
        candidates[mirror.index] = False
        reflection = self._cull(strokes, candidates, view, window, mirror)
        if (reflection.shown() & clear).sum() > 1:  # their order would matter
            return None
        return Frame(geoms, strokes, view, opaque, clear, mirror, reflection)

    def _prepare(self, geoms: np.ndarray) -> Strokes:
        """Returns what OpenGL needs to know of the geoms: mostly what it was told before."""
        look = looks(geoms).tobytes()
        if look != self._look_before:
            self._look_before, self._strokes = look, prepare(geoms, self._context)
        return self._strokes.moved(geoms)

    def _set_view(self, size: tuple[int, int]) -> View:
        """Has MuJoCo clear the image and set camera and lights."""
        self._render_rest(self._geoms[:0], size, sky=False)
        projection = np.asarray(GL.glGetFloatv(GL.GL_PROJECTION_MATRIX), np.float64).T
        world = np.asarray(GL.glGetFloatv(GL.GL_MODELVIEW_MATRIX), np.float64).T
        first, second = self._rest.camera
        focal = float(max(projection[0, 0] * size[0], projection[1, 1] * size[1]) / 2)
        eye = (first.pos + second.pos) / 2
        return View(projection @ world, eye, float(first.frustum_near), focal, size)

    def _draw_identities(
        self, viewpoint: Viewpoint, size: tuple[int, int]
    ) -> Int64[np.ndarray, " G+1"]:
        self._look(viewpoint, self._drawing, mujoco.mjtCatBit.mjCAT_ALL)
        self._look(viewpoint, self._rest, 0)
        view = self._set_view(size)
        geoms = self._geoms[: self._drawing.ngeom]
        strokes, solid = self._prepare(geoms), self._is_solid(geoms)
        if (solid & ~strokes.is_known).any():
            return super()._draw_identities(viewpoint, size)
        self._target.clear()
        samples, self._samples = self._samples, np.full((1, 2), 0.5, np.float32)
        GL.glDisable(GL.GL_LIGHTING)
        try:
            coloured = strokes.coloured(colours_of(np.arange(1, len(geoms) + 1)))
            visible = self._cull(strokes, solid, view)
            self._draw_geoms(coloured, visible, np.flatnonzero(solid))
        finally:
            GL.glEnable(GL.GL_LIGHTING)
            self._samples = samples
        return self._elements(geoms)

    def _draw_layered(self, frame: Frame, viewpoint: Viewpoint) -> None:
        """Draws the opaque geoms, those that stand still from memory."""
        key = viewpoint.camera.encode() + frame.view.matrix.tobytes() + self._lights()
        now, weights = poses(frame.geoms), self._weigh(frame.strokes)
        layer, anew = self._layers.find(frame.view.size, key, now, frame.opaque, weights)
        if not layer.drawn.any() or self._reflects_motion(frame, layer.drawn):
            layer.drawn[:] = False
            self._draw_opaque(frame, frame.opaque)
            return
        if anew:
            self._draw_opaque(frame, layer.drawn)
            self._layers.save(layer, self._context.offFBO)
        else:
            self._layers.restore(layer, self._context.offFBO)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._draw_opaque(frame, frame.opaque & ~layer.drawn)

    def _lights(self) -> bytes:
        """Returns bytes that differ if the lights do."""
        if self._varied is None:
            return b""
        lights = list(self._rest.lights)[: self._rest.nlight]
        parts = [(each.pos, each.dir, each.ambient, each.diffuse, each.specular) for each in lights]
        return np.array(parts, np.float32).tobytes()

    def _weigh(self, strokes: Strokes) -> Int64[np.ndarray, " G"]:
        """Returns about how many triangles each geom has."""
        return np.where(strokes.is_mesh, self._num_faces[strokes.meshes], 50)

    def _reflects_motion(self, frame: Frame, still: Bool[np.ndarray, " G"]) -> bool:
        """Whether the mirror shows something that may move, or moves."""
        if frame.mirror is None or frame.reflection is None:
            return False
        return bool((frame.reflection.shown() & ~still).any()) or not still[frame.mirror.index]

    def _draw_opaque(self, frame: Frame, chosen: Bool[np.ndarray, " G"]) -> None:
        mirror, chosen = frame.mirror, chosen.copy()
        if mirror is not None and chosen[mirror.index]:
            self._draw_reflection(frame, mirror)
            chosen[mirror.index] = False
        visible = self._cull(frame.strokes, chosen, frame.view)
        self._draw_geoms(frame.strokes, visible, np.flatnonzero(chosen))

    def _draw_reflection(self, frame: Frame, mirror: Mirror) -> None:
        strokes, reflection = frame.strokes, frame.reflection
        assert reflection is not None
        lights = list(self._rest.lights)[: self._rest.nlight]
        geom = frame.geoms[mirror.index]
        dimmed = strokes.dimmed(float(geom["reflectance"]))
        with mirrored(mirror, geom, self._context.basePlane, lights):
            self._draw_geoms(dimmed, reflection, np.flatnonzero(frame.opaque))
            GL.glDepthMask(False)
            GL.glEnable(GL.GL_BLEND)
            GL.glBlendFunc(GL.GL_SRC_ALPHA, GL.GL_ONE_MINUS_SRC_ALPHA)
            for _ in range(2):  # front to back, and back to front
                self._draw_geoms(dimmed, reflection, np.flatnonzero(frame.clear))
            GL.glDepthMask(True)
            GL.glDisable(GL.GL_BLEND)
        place_lights(lights)
        GL.glEnable(GL.GL_BLEND)
        GL.glBlendFunc(GL.GL_ONE, GL.GL_ONE)
        itself = np.zeros(len(frame.geoms), bool)
        itself[mirror.index] = True
        self._draw_geoms(strokes, self._cull(strokes, itself, frame.view), np.flatnonzero(itself))
        GL.glDisable(GL.GL_BLEND)

    def _finish(self, frame: Frame) -> None:
        """Draws the sky and what is transparent over what is there.

        ``mjr_render`` clears the image first. So rasterising is off when it begins, and its first
        geom, which is there for that only, turns it on.
        """
        starter = np.zeros(1, frame.geoms.dtype)
        starter["type"], starter["matid"] = mujoco.mjtGeom.mjGEOM_MESH, -1
        starter["dataid"] = self._release - self._context.baseMesh
        starter["rgba"] = 1
        GL.glEnable(GL.GL_RASTERIZER_DISCARD)
        geoms = np.concatenate([starter, frame.geoms[frame.clear]])
        self._render_rest(geoms, frame.view.size, sky=True)

    def _render_rest(self, geoms: np.ndarray, size: tuple[int, int], *, sky: bool) -> None:
        self._rest_geoms[: len(geoms)] = geoms
        self._rest.ngeom = len(geoms)
        self._rest.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = sky
        mujoco.mjr_render(mujoco.MjrRect(0, 0, *size), self._rest, self._context)

    def _cull(
        self,
        strokes: Strokes,
        chosen: Bool[np.ndarray, " G"],
        view: View,
        window: Float32[np.ndarray, "4"] | None = None,
        mirror: Mirror | None = None,
    ) -> Visible:
        """Returns the triangles that show in a window of the view, or in a mirror there."""
        count = len(chosen)
        starts, counts = np.zeros(count, np.int64), np.zeros((count, 2), np.int64)
        counts[chosen & ~strokes.is_mesh, 0] = WHOLE
        own = np.flatnonzero(chosen & strokes.is_mesh)
        matrix, eye = view.matrix, np.append(view.eye, 1).astype(np.float64)
        planes = np.tile(np.array([0, 0, 0, 1], np.float32), (len(own), 1))
        if mirror is not None:
            matrix, eye = matrix @ mirror.matrix, mirror.matrix @ eye
            planes = (mirror.plane @ strokes.poses[own]).astype(np.float32)
        if window is None:
            window = np.array([0, view.size[0], 0, view.size[1]], np.float32)
        own_starts, own_counts = starts[own], counts[own]
        indices = self._indices[mirror is not None]
        cull(
            self._meshes,
            strokes.meshes[own],
            (matrix @ strokes.poses[own]).astype(np.float32),
            _into(strokes.poses[own], eye),
            np.float32(view.near),
            np.float32(view.focal),
            np.array(view.size, np.float32),
            window,
            np.float32(1 if mirror is None else -1),
            planes,
            self._samples,
            indices,
            own_starts,
            own_counts,
            self._scratch,
        )
        starts[own], counts[own] = own_starts, own_counts
        return Visible(indices, starts, counts)

    def _draw_geoms(self, strokes: Strokes, visible: Visible, chosen: np.ndarray) -> None:
        lights = [GL.GL_LIGHT0 + i for i in range(self._rest.nlight)]
        arrays = (GL.GL_VERTEX_ARRAY, GL.GL_NORMAL_ARRAY, GL.GL_TEXTURE_COORD_ARRAY)
        for light in lights:
            GL.glEnable(light)
        GL.glBindBuffer(GL.GL_ARRAY_BUFFER, self._vertices)
        for kind in arrays:
            GL.glEnableClientState(kind)
        GL.glVertexPointer(3, GL.GL_FLOAT, 32, None)
        GL.glNormalPointer(GL.GL_FLOAT, 32, GL.GLvoidp(12))
        GL.glTexCoordPointer(2, GL.GL_FLOAT, 32, GL.GLvoidp(24))
        draw(chosen, visible.indices, visible.starts, visible.counts, *strokes.arguments())
        for kind in arrays:
            GL.glDisableClientState(kind)
        GL.glBindBuffer(GL.GL_ARRAY_BUFFER, 0)
        for light in lights:
            GL.glDisable(light)


def _upload(vertices: Float32[np.ndarray, "U 8"]) -> int:
    """Returns a buffer that holds vertices."""
    buffer = int(GL.glGenBuffers(1))
    GL.glBindBuffer(GL.GL_ARRAY_BUFFER, buffer)
    GL.glBufferData(GL.GL_ARRAY_BUFFER, vertices.nbytes, vertices, GL.GL_STATIC_DRAW)
    GL.glBindBuffer(GL.GL_ARRAY_BUFFER, 0)
    return buffer


def _into(
    poses: Float64[np.ndarray, "G 4 4"], point: Float64[np.ndarray, "4"]
) -> Float32[np.ndarray, "G 3"]:
    """Returns a point of the world in the frame of each geom."""
    offsets = point[:3] - poses[:, :3, 3]
    return np.einsum("gij,gi->gj", poses[:, :3, :3], offsets).astype(np.float32)


def _sample_positions(context: mujoco.MjrContext) -> Float32[np.ndarray, "S 2"]:
    """Returns where in a pixel its samples lie."""
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
    if not context.offSamples:
        return np.full((1, 2), 0.5, np.float32)
    positions = []
    for i in range(context.offSamples):
        position = np.zeros(2, np.float32)
        GL.glGetMultisamplefv(GL.GL_SAMPLE_POSITION, i, position)
        positions.append(position)
    return np.array(positions)
