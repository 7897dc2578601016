"""Camera images, rendered offscreen and equal to LIBERO's.

A GL context belongs to the process and the thread that created it. One is created per process,
on the first image, in a thread of its own through which every image of the process goes: callers
may be any threads, and nothing is created before a fork.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import atexit
import importlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

import mujoco
import numpy as np
from jaxtyping import Bool, Float64, UInt8

from rl_datagen.core.errors import MachineError
from rl_datagen.sim.model_view import ModelView

if TYPE_CHECKING:
    from rl_datagen.sim.scene import Scene

Camera = Literal["agentview", "wrist"]

CAMERAS: dict[Camera, str] = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
"""Our camera names and LIBERO's."""

_MIN_WIDTH, _MIN_HEIGHT = 640, 480  # LIBERO's framebuffer, which sets the multisampling grid
_APT = "apt-get install -y libegl1 libgl1-mesa-dri libosmesa6"


class Renderer:
    """Renders one scene; lives in the GL thread."""

    def __init__(self, scene: "Scene", gl_context: Any) -> None:
        self._scene, self._gl = scene, gl_context
        self._view = ModelView(scene.model)
        self._data = mujoco.MjData(scene.model)
        self._gl.make_current()
        self._drawing = mujoco.MjvScene(scene.model, maxgeom=1000)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._options = mujoco.MjvOption()
        self._options.geomgroup[0] = 0  # collision meshes
        self._perturbation = mujoco.MjvPerturb()
        self._context = self._make_context(_MIN_WIDTH, _MIN_HEIGHT)

    def _make_context(self, width: int, height: int) -> mujoco.MjrContext:
        size = self._scene.model.vis.global_
        size.offwidth, size.offheight = width, height
        return mujoco.MjrContext(self._scene.model, mujoco.mjtFontScale.mjFONTSCALE_150)

    def draw(
        self,
        camera: Camera,
        height: int,
        width: int,
        qpos: Float64[np.ndarray, " nq"],
        fixture_poses: Float64[np.ndarray, "Nf 7"],
        lamps_on: Bool[np.ndarray, " L"],
    ) -> UInt8[np.ndarray, "H W 3"]:
        """Returns the image of a camera."""
        from rl_datagen.sim.dynamics import kinematics

        model, data = self._scene.model, self._data
        self._gl.make_current()
        if width > self._context.offWidth or height > self._context.offHeight:
            self._context.free()
            self._context = self._make_context(
                max(width, self._context.offWidth), max(height, self._context.offHeight)
            )
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._view.place(self._scene.fixture_ids, fixture_poses)
        data.qpos[:] = qpos
        kinematics(self._view.address, data._address)
        for lamp, lit in zip(self._scene.lamps, lamps_on, strict=True):
            alpha = model.site_rgba[lamp.site, 3]
            if (alpha > 0) != lit:  # LIBERO's toggle
                model.site_rgba[lamp.site, 3] = 1 - alpha
        self._camera.fixedcamid = model.camera(CAMERAS[camera]).id
        everything = mujoco.mjtCatBit.mjCAT_ALL
        state = (self._options, self._perturbation, self._camera, everything)
        mujoco.mjv_updateScene(model, data, *state, self._drawing)
        viewport = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(viewport, self._drawing, self._context)
        image = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_readPixels(image, None, viewport, self._context)
        return image[::-1].copy()

    def free(self) -> None:
        """Gives the GL resources back."""
        self._gl.make_current()
        self._context.free()


class _GLThread:
    """The one thread of a process that talks to GL."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Future]] = SimpleQueue()
        self._gl: Any = None
        self._model: mujoco.MjModel | None = None
        self._renderer: Renderer | None = None
        threading.Thread(target=self._work, name="gl", daemon=True).start()

    def render(self, scene: "Scene", *arguments: Any) -> np.ndarray:
        """Renders in the GL thread and waits."""
        return self._call(lambda: self._draw(scene, *arguments))

    def close(self) -> None:
        """Gives every GL resource back."""
        self._call(self._close)

    def _call(self, job: Callable[[], Any]) -> Any:
        future: Future = Future()
        self._jobs.put((job, future))
        return future.result()

    def _work(self) -> None:
        while True:
            job, future = self._jobs.get()
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)

    def _draw(self, scene: "Scene", *arguments: Any) -> np.ndarray:
        if self._gl is None:
            self._gl = _make_gl_context()
        if self._model is not scene.model:  # one model's meshes and textures at a time
            self._free_renderer()
            self._renderer, self._model = Renderer(scene, self._gl), scene.model
        assert self._renderer is not None
        return self._renderer.draw(*arguments)

    def _free_renderer(self) -> None:
        if self._renderer is not None:
            self._renderer.free()
        self._renderer = self._model = None

    def _close(self) -> None:
        self._free_renderer()
        if self._gl is not None:
            self._gl.free()
            self._gl = None


def _make_gl_context() -> Any:
    """Creates the GL context that ``MUJOCO_GL`` names, EGL unless it is set."""
    kind = os.environ.get("MUJOCO_GL", "").lower() or "egl"
    with suppress(ImportError):
        # PyTorch imports triton, which has an LLVM of its own. Loaded after Mesa's, whose symbols
        # are global, it finds those and crashes the process: so it comes first.
        importlib.import_module("triton")
    try:
        if kind == "osmesa":
            from mujoco.osmesa import GLContext
        elif kind in ("glfw", "glx"):
            from mujoco.glfw import GLContext
        else:
            from mujoco.egl import GLContext
        context = GLContext(_MIN_WIDTH, _MIN_HEIGHT)
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        raise MachineError(
            f"Cannot create a GL context (MUJOCO_GL={kind}): {error}. Install the GL libraries "
            f"with `{_APT}`, or stay in state mode, which needs none."
        ) from error
    atexit.unregister(close)  # mujoco's own farewell was registered since: ours must precede it
    atexit.register(close)
    return context


_LOCK = threading.Lock()
_THREAD: _GLThread | None = None


def render(scene: "Scene", *arguments: Any) -> UInt8[np.ndarray, "H W 3"]:
    """Renders a pose of a scene; see ``Renderer.draw`` for the arguments."""
    global _THREAD
    with _LOCK:
        if _THREAD is None or _THREAD.pid != os.getpid():
            _THREAD = _GLThread()
        thread = _THREAD
    return thread.render(scene, *arguments)


@atexit.register
def close() -> None:
    """Frees this process's GL context, if it has one; the next image makes another."""
    global _THREAD
    with _LOCK:
        thread, _THREAD = _THREAD, None
    if thread is not None and thread.pid == os.getpid():
        thread.close()
