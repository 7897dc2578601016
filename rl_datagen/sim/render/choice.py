"""Choice of the renderer that draws a scene."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_datagen.sim.render.stock import CAMERAS, Pose, StockRenderer
from rl_datagen.sim.scene import Scene

if TYPE_CHECKING:
    from rl_datagen.sim.render.culled import CulledRenderer

logger = logging.getLogger(__name__)

_SIZE = 64  # pixels, of the images that are compared


def make_renderer(scene: Scene, gl_context: Any, *, plain: bool = False) -> StockRenderer:
    """Returns the fastest renderer whose images are MuJoCo's own, with this GL.

    Under software GL that is ``CulledRenderer``, if what it draws of the scene at rest equals what
    MuJoCo draws. On a GPU triangles cost nothing.

    Args:
        scene: The scene.
        gl_context: What it draws with.
        plain: One sample a pixel; see ``StockRenderer``.
    """
    if scene.render_backend == "stock" or not _is_software(gl_context):
        return StockRenderer(scene, gl_context, plain=plain)
    try:
        # Imported here since it binds to the GL that the context was made with.
        from rl_datagen.sim.render.culled import CulledRenderer

        culled = CulledRenderer(scene, gl_context, plain=plain)
    except (OSError, RuntimeError, AttributeError) as error:
        logger.warning("images are drawn by MuJoCo itself, which is slower: %s", error)
        return StockRenderer(scene, gl_context, plain=plain)
    if _is_exact(culled, scene):
        return culled
    logger.warning(
        "images are drawn by MuJoCo itself, which is slower: with this GL the faster renderer's "
        "image of %s differs",
        scene.task,
    )
    culled.free()
    return StockRenderer(scene, gl_context, plain=plain)


def _is_software(gl_context: Any) -> bool:
    gl_context.make_current()
    from rl_datagen.sim.render.opengl import GL

    return b"llvmpipe" in (GL.glGetString(GL.GL_RENDERER) or b"")


def _is_exact(culled: "CulledRenderer", scene: Scene) -> bool:
    """Whether a renderer draws what MuJoCo draws: twice, since it remembers the first image."""
    init, cameras = scene.shipped_state(0), tuple(CAMERAS)
    qpos = init.sim_state[1 : 1 + scene.model.nq]
    pose = Pose(qpos, init.fixture_poses, np.zeros(len(scene.visual_sites), bool))
    expected = culled.draw_plainly(cameras, _SIZE, _SIZE, pose)
    images = [culled.draw(cameras, _SIZE, _SIZE, pose) for _ in range(2)]
    return all(np.array_equal(image[c], expected[c]) for image in images for c in cameras)
