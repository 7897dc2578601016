"""Camera images, rendered offscreen and equal to LIBERO's; depth, segmentation, other cameras."""

from rl_datagen.sim.render.stock import CAMERAS, Geometry, Pose
from rl_datagen.sim.render.thread import close, describe_gl, measure, render, render_views
from rl_datagen.sim.render.variation import Variation, draw_variation
from rl_datagen.sim.render.viewpoint import Camera, Viewpoint, placed

__all__ = [
    "CAMERAS",
    "Camera",
    "Geometry",
    "Pose",
    "Variation",
    "Viewpoint",
    "close",
    "describe_gl",
    "draw_variation",
    "measure",
    "placed",
    "render",
    "render_views",
]
