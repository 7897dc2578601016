"""Images by MuJoCo's own renderer."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass
from typing import Any, Literal

import mujoco
import numpy as np
from jaxtyping import Bool, Float64, UInt8

from rl_datagen.sim.dynamics import kinematics
from rl_datagen.sim.model_view import ModelView
from rl_datagen.sim.scene import Scene

Camera = Literal["agentview", "wrist"]

CAMERAS: dict[Camera, str] = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
"""Our camera names and LIBERO's."""

MIN_WIDTH, MIN_HEIGHT = 640, 480  # LIBERO's framebuffer, which sets the multisampling grid


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
        self._begin(height, width, pose)
        return {camera: self._draw(camera, height, width) for camera in cameras}

    def draw_plainly(
        self, cameras: tuple[Camera, ...], height: int, width: int, pose: Pose
    ) -> dict[Camera, UInt8[np.ndarray, "H W 3"]]:
        """Returns the same images, drawn by MuJoCo itself."""
        self._begin(height, width, pose)
        return {camera: StockRenderer._draw(self, camera, height, width) for camera in cameras}

    def free(self) -> None:
        """Gives the GL resources back."""
        self._gl.make_current()
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

    def _draw(self, camera: Camera, height: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
        """Draws what a camera sees of the present pose."""
        self._look(camera, self._drawing, mujoco.mjtCatBit.mjCAT_ALL)
        mujoco.mjr_render(mujoco.MjrRect(0, 0, width, height), self._drawing, self._context)
        return self._read(height, width)

    def _look(self, camera: Camera, drawing: mujoco.MjvScene, categories: int) -> None:
        """Makes ``drawing`` what a camera sees: lights, and geoms of some categories."""
        self._camera.fixedcamid = self._model.camera(CAMERAS[camera]).id
        state = (self._options, self._perturbation, self._camera, int(categories))
        mujoco.mjv_updateScene(self._model, self._data, *state, drawing)

    def _read(self, height: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
        image = np.empty((height, width, 3), np.uint8)
        viewport = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_readPixels(image, None, viewport, self._context)
        return image[::-1].copy()
