"""Camera images, rendered offscreen and equal to LIBERO's."""

from rl_datagen.sim.render.stock import CAMERAS, Camera, Pose
from rl_datagen.sim.render.thread import close, describe_gl, render

__all__ = ["CAMERAS", "Camera", "Pose", "close", "describe_gl", "render"]
