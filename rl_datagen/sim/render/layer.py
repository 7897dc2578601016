"""Layers of what stands still before a camera that stands still, drawn once.

A layer is a copy of the multisampled image and its depth with some geoms in it. A later image in
which those are exactly where they were starts from the copy. Several are kept, since simulators of
one scene take turns and each has its objects elsewhere.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from rl_datagen.sim.render.opengl import GL

_FORMATS = (  # MuJoCo's
    (GL.GL_COLOR_ATTACHMENT0, GL.GL_RGBA8),
    (GL.GL_DEPTH_STENCIL_ATTACHMENT, GL.GL_DEPTH32F_STENCIL8),
)
_EVERYTHING = GL.GL_COLOR_BUFFER_BIT | GL.GL_DEPTH_BUFFER_BIT | GL.GL_STENCIL_BUFFER_BIT
_NUM_LAYERS = 8
_SAME = 0.3  # share of a scene that stands still between images of one simulator
_WORTH = 0.25  # redraw a layer for this share of what would be drawn over it


@dataclass(eq=False)
class Layer:
    """One image's memory.

    Attributes:
        size: Width and height in pixels.
        key: What else must be equal: camera and view.
        previous: ``[G, B]``: where each geom was in the last image; see ``poses``.
        drawn: Which geoms the copy holds.
        poses: Where those were.
        framebuffer: The GL name of the copy; 0: there is none yet.
        renderbuffers: What that is made of.
    """

    size: tuple[int, int]
    key: bytes
    previous: UInt8[np.ndarray, "G B"]
    drawn: Bool[np.ndarray, " G"]
    poses: UInt8[np.ndarray, "G B"]
    framebuffer: int = 0
    renderbuffers: tuple[int, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the copy, if there is one, shows geoms where they are now."""
        drawn = self.drawn
        return bool(drawn.any()) and np.array_equal(self.previous[drawn], self.poses[drawn])


class Layers:
    """The layers of one scene.

    Args:
        num_samples: Of a pixel.
    """

    def __init__(self, num_samples: int) -> None:
        self._num_samples = num_samples
        self._layers: list[Layer] = []  # the last used comes last

    def find(
        self,
        size: tuple[int, int],
        key: bytes,
        poses: UInt8[np.ndarray, "G B"],
        allowed: Bool[np.ndarray, " G"],
        weights: Int64[np.ndarray, " G"],
    ) -> tuple[Layer, bool]:
        """Returns the layer to start from, and whether to draw it anew first.

        Args:
            size: Width and height in pixels.
            key: What must be equal, besides.
            poses: Where each geom is.
            allowed: Which geoms may be in a layer.
            weights: What it costs to draw each.
        """
        fitting = [
            layer
            for layer in self._layers
            if (layer.size, layer.key, layer.previous.shape) == (size, key, poses.shape)
        ]
        if not fitting:
            return self._make(size, key, poses), False
        still = [(layer.previous == poses).all(axis=1) & allowed for layer in fitting]
        scores = [int(weights[mask].sum()) for mask in still]
        best = int(np.argmax(scores))
        if len(fitting) < _NUM_LAYERS and scores[best] < _SAME * weights[allowed].sum():
            return self._make(size, key, poses), False  # of a simulator not seen before
        layer, mask = fitting[best], still[best]
        self._layers.remove(layer)
        self._layers.append(layer)
        layer.previous = poses
        gain = weights[mask & ~layer.drawn].sum()
        if layer.holds and gain <= _WORTH * weights[~layer.drawn].sum():
            return layer, False
        layer.drawn, layer.poses = mask, poses
        return layer, bool(mask.any())

    def save(self, layer: Layer, source: int) -> None:
        """Copies the image in a framebuffer, one of MuJoCo's, to a layer."""
        if not layer.framebuffer:
            self._allocate(layer)
        _copy(source, layer.framebuffer, layer.size)

    def restore(self, layer: Layer, target: int) -> None:
        """Copies a layer to a framebuffer."""
        _copy(layer.framebuffer, target, layer.size)

    def free(self) -> None:
        """Gives the GL resources back."""
        while self._layers:
            self._drop()

    def _make(self, size: tuple[int, int], key: bytes, poses: np.ndarray) -> Layer:
        while len(self._layers) >= _NUM_LAYERS:
            self._drop()
        layer = Layer(size, key, poses, np.zeros(len(poses), bool), poses)
        self._layers.append(layer)
        return layer

    def _drop(self) -> None:
        layer = self._layers.pop(0)
        if layer.framebuffer:
            GL.glDeleteFramebuffers(1, [layer.framebuffer])
            GL.glDeleteRenderbuffers(len(layer.renderbuffers), list(layer.renderbuffers))

    def _allocate(self, layer: Layer) -> None:
        layer.framebuffer = int(GL.glGenFramebuffers(1))
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, layer.framebuffer)
        for attachment, kind in _FORMATS:
            buffer = int(GL.glGenRenderbuffers(1))
            layer.renderbuffers += (buffer,)
            GL.glBindRenderbuffer(GL.GL_RENDERBUFFER, buffer)
            storage = (GL.GL_RENDERBUFFER, self._num_samples, kind, *layer.size)
            GL.glRenderbufferStorageMultisample(*storage)
            GL.glFramebufferRenderbuffer(GL.GL_FRAMEBUFFER, attachment, GL.GL_RENDERBUFFER, buffer)


def _copy(source: int, target: int, size: tuple[int, int]) -> None:
    GL.glBindFramebuffer(GL.GL_READ_FRAMEBUFFER, source)
    GL.glBindFramebuffer(GL.GL_DRAW_FRAMEBUFFER, target)
    GL.glBlitFramebuffer(0, 0, *size, 0, 0, *size, _EVERYTHING, GL.GL_NEAREST)
