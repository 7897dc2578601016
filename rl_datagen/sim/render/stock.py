"""Images by MuJoCo's own renderer."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8, UInt16

from rl_datagen.sim.dynamics import kinematics
from rl_datagen.sim.model_view import ModelView
from rl_datagen.sim.render.geoms import view_geoms
from rl_datagen.sim.render.labels import element_labels
from rl_datagen.sim.render.variation import Look, Variation
from rl_datagen.sim.render.viewpoint import Camera, Viewpoint, intrinsics, libero_extrinsics
from rl_datagen.sim.scene import Scene

CAMERAS: dict[Camera, str] = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
"""Our camera names and LIBERO's."""

MIN_WIDTH, MIN_HEIGHT = 640, 480  # LIBERO's framebuffer, which sets the multisampling grid
SOLID = 0.5
"""Alpha from which on a surface hides what is behind it, for ``Geometry``."""
_IDENTITIES = [int(mujoco.mjtRndFlag.mjRND_SEGMENT), int(mujoco.mjtRndFlag.mjRND_IDCOLOR)]


@dataclass(frozen=True, eq=False)
class Pose:
    """Visible state of a scene at one moment.

    Attributes:
        qpos: ``[nq]``.
        fixture_poses: ``[Nf, 7]``: position (m) and quaternion (w, x, y, z) of each fixture.
        sites_on: Which burners glow.
    """

    qpos: Float64[np.ndarray, " nq"]
    fixture_poses: Float64[np.ndarray, "Nf 7"]
    sites_on: Bool[np.ndarray, " L"]


@dataclass(frozen=True, eq=False)
class Geometry:
    """What is in each pixel of a camera's image, and where, measured at the pixel's centre.

    What lets more than half of the light through, such as a microwave's window, is looked through.

    Attributes:
        depth: Distance along the camera's z axis, m; 0: nothing is there.
        segmentation: Which instance; see ``data.classes``.
        intrinsics: From points in the camera's frame to pixels, whose centres are whole.
        extrinsics: From the camera's frame (x right, y down, z forward) to the world's, m.
    """

    depth: Float32[np.ndarray, "H W"]
    segmentation: UInt16[np.ndarray, "H W"]
    intrinsics: Float64[np.ndarray, "3 3"]
    extrinsics: Float64[np.ndarray, "4 4"]


class StockRenderer:
    """Renders one scene with ``mjr_render``; lives in the GL thread.

    Args:
        scene: The scene.
        gl_context: What it draws with.
        plain: One sample a pixel in place of LIBERO's four, without smooth edges.
    """

    def __init__(self, scene: Scene, gl_context: Any, *, plain: bool = False) -> None:
        self._scene, self._gl, self._model = scene, gl_context, scene.model
        self._plain = plain
        self._view = ModelView(scene.model)
        self._data = mujoco.MjData(scene.model)
        self._gl.make_current()
        self._drawing = mujoco.MjvScene(scene.model, maxgeom=1000)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._options = mujoco.MjvOption()
        self._options.geomgroup[0] = 0  # collision meshes
        self._perturbation = mujoco.MjvPerturb()
        self._target: Any = None  # made when geometry is first asked for
        self._labels = element_labels(scene)
        self._varied: Look | None = None
        self._last_look = Look(Variation(), self._model, self._labels)
        self._context = self._make_context(MIN_WIDTH, MIN_HEIGHT)

    def _make_context(self, width: int, height: int) -> mujoco.MjrContext:
        size, colours = self._model.vis.global_, self._model.tex_colorspace
        quality = self._model.vis.quality
        size.offwidth, size.offheight = width, height
        as_read, samples = colours.copy(), quality.offsamples
        if self._plain:
            quality.offsamples = 0
        if self._scene.appearance == "original":
            colours[:] = mujoco.mjtColorSpace.mjCOLORSPACE_LINEAR
        try:
            return mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_150)
        finally:
            colours[:], quality.offsamples = as_read, samples

    def draw(
        self, cameras: tuple[Camera, ...], height: int, width: int, pose: Pose
    ) -> dict[Camera, UInt8[np.ndarray, "H W 3"]]:
        """Returns the image of each camera: RGB, upright."""
        return self.draw_views(
            {camera: Viewpoint(camera) for camera in cameras}, height, width, pose
        )

    def draw_views(
        self,
        viewpoints: Mapping[str, Viewpoint],
        height: int,
        width: int,
        pose: Pose,
        variation: Variation | None = None,
    ) -> dict[Any, UInt8[np.ndarray, "H W 3"]]:
        """Returns the image from each viewpoint: RGB, upright.

        Args:
            viewpoints: By any name.
            height: Pixels.
            width: Pixels.
            pose: Where everything is.
            variation: Another look than LIBERO's.
        """
        self._begin(height, width, pose)
        if variation is not None and self._last_look.variation is not variation:
            self._last_look = Look(variation, self._model, self._labels)
        self._varied = None if variation is None else self._last_look
        try:
            return {name: self._draw(view, height, width) for name, view in viewpoints.items()}
        finally:
            self._varied = None

    def measure(
        self, viewpoints: Mapping[str, Viewpoint], height: int, width: int, pose: Pose
    ) -> dict[str, Geometry]:
        """Returns depth, segmentation and camera from each viewpoint."""
        self._begin(height, width, pose)
        if self._target is None:
            from rl_datagen.sim.render.target import Target  # binds to the GL of the context

            self._target = Target()
        measured: dict[str, Geometry] = {}
        for name, view in viewpoints.items():
            with self._target.bound((width, height), self._context):
                elements = self._draw_identities(view, (width, height))
                numbers, depth = self._target.read()
            labels = self._labels[elements[numbers - 1]]  # 0 is none: the last
            extrinsics, half_height = self._place_of(view)
            inside = intrinsics(half_height, height, width)
            measured[name] = Geometry(depth, labels, inside, extrinsics)
        return measured

    def _draw_identities(
        self, viewpoint: Viewpoint, size: tuple[int, int]
    ) -> Int64[np.ndarray, " G+1"]:
        """Draws geoms in the colours of their numbers, from 1.

        Returns:
            The element (see ``element_labels``) of each; at the end the one that is nothing.
        """
        self._look(viewpoint, self._drawing, mujoco.mjtCatBit.mjCAT_ALL)
        geoms = view_geoms(self._drawing)
        solid = geoms[: self._drawing.ngeom][self._is_solid(geoms[: self._drawing.ngeom])]
        solid["segid"] = np.arange(len(solid))
        geoms[: len(solid)], self._drawing.ngeom = solid, len(solid)
        self._drawing.flags[_IDENTITIES] = 1
        try:
            mujoco.mjr_render(mujoco.MjrRect(0, 0, *size), self._drawing, self._context)
        finally:
            self._drawing.flags[_IDENTITIES] = 0
        return self._elements(solid)

    def _is_solid(self, geoms: np.ndarray) -> Bool[np.ndarray, " G"]:
        return geoms["rgba"][:, 3] >= SOLID

    def _elements(self, geoms: np.ndarray) -> Int64[np.ndarray, " G+1"]:
        """Returns the element that each geom is, and at the end the one that is nothing."""
        kinds, ids = geoms["objtype"], geoms["objid"].astype(np.int64)
        nothing = len(self._labels) - 1
        elements = np.where(kinds == mujoco.mjtObj.mjOBJ_GEOM, ids, nothing)
        sites = kinds == mujoco.mjtObj.mjOBJ_SITE
        return np.append(np.where(sites, self._model.ngeom + ids, elements), nothing)

    def draw_plainly(
        self, cameras: tuple[Camera, ...], height: int, width: int, pose: Pose
    ) -> dict[Camera, UInt8[np.ndarray, "H W 3"]]:
        """Returns the same images, drawn by MuJoCo itself."""
        self._begin(height, width, pose)
        images: dict[Camera, UInt8[np.ndarray, "H W 3"]] = {}
        for camera in cameras:
            images[camera] = StockRenderer._draw(self, Viewpoint(camera), height, width)
        return images

    def free(self) -> None:
        """Gives the GL resources back."""
        self._gl.make_current()
        if self._target is not None:
            self._target.free()
        self._free_context()

    def _begin(self, height: int, width: int, pose: Pose) -> None:
        """Makes room for an image and moves everything to a pose."""
        self._gl.make_current()
        if width > self._context.offWidth or height > self._context.offHeight:
            width_now, height_now = self._context.offWidth, self._context.offHeight
            self._free_context()
            self._context = self._make_context(max(width, width_now), max(height, height_now))
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._place(pose)

    def _free_context(self) -> None:
        self._context.free()

    def _place(self, pose: Pose) -> None:
        """Moves everything to a pose."""
        self._view.place(self._scene.fixture_ids, pose.fixture_poses)
        self._data.qpos[:] = pose.qpos
        kinematics(self._view.address, self._data._address)
        for site, lit in zip(self._scene.visual_sites, pose.sites_on, strict=True):
            alpha = self._model.site_rgba[site.site, 3]
            if (alpha > 0) != lit:  # LIBERO's toggle
                self._model.site_rgba[site.site, 3] = 1 - alpha

    def _draw(self, viewpoint: Viewpoint, height: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
        """Draws what a camera sees of the present pose."""
        self._look(viewpoint, self._drawing, mujoco.mjtCatBit.mjCAT_ALL)
        mujoco.mjr_render(mujoco.MjrRect(0, 0, width, height), self._drawing, self._context)
        return self._read(height, width)

    def _look(self, viewpoint: Viewpoint, drawing: mujoco.MjvScene, categories: int) -> None:
        """Makes ``drawing`` what a camera sees: lights, and geoms of some categories."""
        self._camera.fixedcamid = self._model.camera(CAMERAS[viewpoint.camera]).id
        state = (self._options, self._perturbation, self._camera, int(categories))
        mujoco.mjv_updateScene(self._model, self._data, *state, drawing)
        if not viewpoint.is_liberos:
            viewpoint.aim(drawing, *self._place_of(viewpoint))
        if self._varied is not None:
            self._varied.light(drawing)
            self._varied.paint(view_geoms(drawing)[: drawing.ngeom])

    def _place_of(self, viewpoint: Viewpoint) -> tuple[Float64[np.ndarray, "4 4"], float]:
        """Returns from where to where a camera looks, and the tangent of half its height."""
        camera = self._model.camera(CAMERAS[viewpoint.camera]).id
        extrinsics = viewpoint.extrinsics(libero_extrinsics(self._data, camera))
        return extrinsics, viewpoint.half_height(float(self._model.cam_fovy[camera]))

    def _read(self, height: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
        image = np.empty((height, width, 3), np.uint8)
        viewport = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_readPixels(image, None, viewport, self._context)
        return image[::-1].copy()
