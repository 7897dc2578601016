"""The one thread of a process that talks to GL.

A GL context belongs to the process and the thread that created it. One is created per process,
on the first image, in a thread of its own through which every image of the process goes: callers
may be any threads, and nothing is created before a fork.
"""

import atexit
import importlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext, suppress
from queue import SimpleQueue
from typing import Any

from jaxtyping import UInt8
from numpy import ndarray

from rl_datagen.config import Rendering
from rl_datagen.core.errors import MachineError
from rl_datagen.sim.render.choice import make_renderer
from rl_datagen.sim.render.stock import MIN_HEIGHT, MIN_WIDTH, Geometry, Pose, StockRenderer
from rl_datagen.sim.render.variation import Variation
from rl_datagen.sim.render.viewpoint import Camera, Viewpoint
from rl_datagen.sim.scene import Scene

_APT = "apt-get install -y libegl1 libgl1-mesa-dri libosmesa6"


class _GLThread:
    def __init__(self) -> None:
        self.pid = os.getpid()
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Future]] = SimpleQueue()
        self._gl: Any = None
        self._drawn: tuple[Any, ...] = ()
        self._renderer: StockRenderer | None = None
        threading.Thread(target=self._work, name="gl", daemon=True).start()

    def render(self, scene: Scene, plain: bool, *arguments: Any) -> dict[Any, ndarray]:
        """Renders in the GL thread and waits."""
        return self._call(lambda: self._renderer_of(scene, plain).draw_views(*arguments))

    def measure(self, scene: Scene, *arguments: Any) -> dict[str, Geometry]:
        """Measures in the GL thread and waits."""
        return self._call(lambda: self._renderer_of(scene, False).measure(*arguments))

    def describe(self) -> str:
        """Returns renderer and version."""
        return self._call(self._describe)

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

    def _renderer_of(self, scene: Scene, plain: bool) -> StockRenderer:
        self._gl = self._gl or _make_gl_context()
        wanted = (scene.model, scene.appearance, scene.render_backend, plain)
        if self._drawn != wanted:  # one model's meshes and textures at a time
            self._free_renderer()
            self._renderer = make_renderer(scene, self._gl, plain=plain)
            self._drawn = wanted
        assert self._renderer is not None
        return self._renderer

    def _describe(self) -> str:
        self._gl = self._gl or _make_gl_context()
        self._gl.make_current()
        gl = importlib.import_module("OpenGL.GL")
        return " ".join(gl.glGetString(name).decode() for name in (gl.GL_RENDERER, gl.GL_VERSION))

    def _free_renderer(self) -> None:
        if self._renderer is not None:
            self._renderer.free()
        self._renderer, self._drawn = None, ()

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
        with _gpu_given() if kind == "egl" else nullcontext():
            context = GLContext(MIN_WIDTH, MIN_HEIGHT)
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        raise MachineError(
            f"Cannot create a GL context (MUJOCO_GL={kind}): {error}. Install the GL libraries "
            f"with `{_APT}`, or stay in state mode, which needs none."
        ) from error
    atexit.unregister(close)  # mujoco's own farewell was registered since: ours must precede it
    atexit.register(close)
    return context


@contextmanager
def _gpu_given() -> Iterator[None]:
    """Has EGL draw on the GPU that Ray gave this process, not on the node's first one.

    Only while the context is made: the processes that this one starts choose for themselves.
    """
    from mujoco.egl import egl_ext

    given = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
    chosen = "MUJOCO_EGL_DEVICE_ID" in os.environ
    # Where EGL knows fewer devices, none of them is that GPU: Mesa's one device, for instance.
    if chosen or not given.isdigit() or int(given) >= len(egl_ext.eglQueryDevicesEXT()):
        yield
        return
    os.environ["MUJOCO_EGL_DEVICE_ID"] = given
    try:
        yield
    finally:
        del os.environ["MUJOCO_EGL_DEVICE_ID"]


_LOCK = threading.Lock()
_THREAD: _GLThread | None = None


def render(
    scene: Scene,
    cameras: tuple[Camera, ...],
    height: int,
    width: int,
    pose: Pose,
    rendering: Rendering = "exact",
) -> dict[Camera, UInt8[ndarray, "H W 3"]]:
    """Returns what each camera sees of a pose of a scene: RGB, upright.

    Args:
        scene: The scene.
        cameras: Which.
        height: Pixels.
        width: Pixels.
        pose: Where everything is.
        rendering: ``exact``: as LIBERO; ``plain``: with one sample a pixel, for half the time.

    Raises:
        MachineError: This machine lacks a GL library.
    """
    views = {camera: Viewpoint(camera) for camera in cameras}
    return _this_process().render(scene, rendering == "plain", views, height, width, pose)


def render_views(
    scene: Scene,
    viewpoints: Mapping[str, Viewpoint],
    height: int,
    width: int,
    pose: Pose,
    variation: Variation | None = None,
) -> dict[str, UInt8[ndarray, "H W 3"]]:
    """Returns the image from each viewpoint, by its name: RGB, upright.

    Args:
        scene: The scene.
        viewpoints: From where.
        height: Pixels.
        width: Pixels.
        pose: Where everything is.
        variation: Another look than LIBERO's; an episode's images are given the same object.

    Raises:
        MachineError: This machine lacks a GL library.
    """
    return _this_process().render(scene, False, viewpoints, height, width, pose, variation)


def measure(
    scene: Scene, viewpoints: Mapping[str, Viewpoint], height: int, width: int, pose: Pose
) -> dict[str, Geometry]:
    """Returns depth, segmentation and camera from each viewpoint, by its name.

    Raises:
        MachineError: This machine lacks a GL library.
    """
    return _this_process().measure(scene, viewpoints, height, width, pose)


def describe_gl() -> str:
    """Returns which GL draws this process's images: its renderer and its version.

    Raises:
        MachineError: This machine lacks a GL library.
    """
    return _this_process().describe()


def _this_process() -> _GLThread:
    global _THREAD
    with _LOCK:
        if _THREAD is None or _THREAD.pid != os.getpid():
            _THREAD = _GLThread()
        return _THREAD


@atexit.register
def close() -> None:
    """Frees this process's GL context, if it has one; the next image makes another."""
    global _THREAD
    with _LOCK:
        thread, _THREAD = _THREAD, None
    if thread is not None and thread.pid == os.getpid():
        thread.close()
