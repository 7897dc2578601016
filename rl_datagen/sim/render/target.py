"""A framebuffer with one sample at the centre of each pixel, for what may not be blended.

An image is blended from four samples; a blend of two identities is a third. So identities and depth
are drawn here, with the meshes and textures that the images' context holds already.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterator
from contextlib import contextmanager

import mujoco
import numpy as np
from jaxtyping import Float32, Int64

from rl_datagen.sim.render.opengl import GL

_FORMATS = (
    (GL.GL_COLOR_ATTACHMENT0, GL.GL_RGBA8),
    (GL.GL_DEPTH_STENCIL_ATTACHMENT, GL.GL_DEPTH32F_STENCIL8),
)


class Target:
    """The framebuffer, as large as what was drawn into it last.

    Attributes:
        size: Width and height in pixels.
    """

    def __init__(self) -> None:
        self.size = (0, 0)
        self._framebuffer, self._buffers = 0, ()

    @contextmanager
    def bound(self, size: tuple[int, int], context: mujoco.MjrContext) -> Iterator[None]:
        """Has MuJoCo draw here in place of its own offscreen framebuffer."""
        if size != self.size:
            self.free()
            self._allocate(size)
        own = context.offFBO
        context.offFBO = self._framebuffer  # which every call of MuJoCo's binds anew
        try:
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
            yield
        finally:
            context.offFBO = own
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)

    def clear(self) -> None:
        """Forgets the colours that are here."""
        GL.glClearColor(0, 0, 0, 0)
        GL.glClear(GL.GL_COLOR_BUFFER_BIT)

    def read(self) -> tuple[Int64[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
        """Returns what was drawn, the first row on top.

        Returns:
            The number that each pixel's colour stands for; and its distance along the camera's
            axis, m, 0 where nothing is.
        """
        width, height = self.size
        GL.glPixelStorei(GL.GL_PACK_ALIGNMENT, 1)
        colours, depth = np.empty((height, width, 4), np.uint8), np.empty((height, width), "f4")
        GL.glReadPixels(0, 0, width, height, GL.GL_RGBA, GL.GL_UNSIGNED_BYTE, colours)
        GL.glReadPixels(0, 0, width, height, GL.GL_DEPTH_COMPONENT, GL.GL_FLOAT, depth)
        projection = np.asarray(GL.glGetFloatv(GL.GL_PROJECTION_MATRIX), np.float64)
        numbers = colours[..., :3].astype(np.int64) @ [1, 1 << 8, 1 << 16]
        # Nearer is more, 0 is nothing, and no range lies between: MuJoCo's "reversed z".
        metres = projection[3, 2] / (depth.astype(np.float64) + projection[2, 2])
        metres = np.where(numbers > 0, metres, 0).astype(np.float32)
        return numbers[::-1], metres[::-1]

    def free(self) -> None:
        """Gives the GL resources back."""
        if self._framebuffer:
            GL.glDeleteFramebuffers(1, [self._framebuffer])
            GL.glDeleteRenderbuffers(len(self._buffers), list(self._buffers))
        self._framebuffer, self._buffers, self.size = 0, (), (0, 0)

    def _allocate(self, size: tuple[int, int]) -> None:
        self._framebuffer, self.size = int(GL.glGenFramebuffers(1)), size
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self._framebuffer)
        for attachment, kind in _FORMATS:
            buffer = int(GL.glGenRenderbuffers(1))
            self._buffers += (buffer,)
            GL.glBindRenderbuffer(GL.GL_RENDERBUFFER, buffer)
            GL.glRenderbufferStorage(GL.GL_RENDERBUFFER, kind, *size)
            GL.glFramebufferRenderbuffer(GL.GL_FRAMEBUFFER, attachment, GL.GL_RENDERBUFFER, buffer)


def colours_of(numbers: np.ndarray) -> Float32[np.ndarray, "G 4"]:
    """Returns the colour that stands for each number, from 1 to 2**24 - 1."""
    parts = [numbers & 255, numbers >> 8 & 255, numbers >> 16 & 255]
    opaque = np.full(len(numbers), 255)
    return (np.stack([*parts, opaque], axis=1) / 255).astype(np.float32)
