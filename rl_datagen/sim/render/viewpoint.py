"""Where a camera is and how wide it sees, when that is not as LIBERO has it.

Frames are OpenCV's: x is right, y down and z forward. MuJoCo's cameras look along -z with y up.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from dataclasses import dataclass
from typing import Any, Literal

import mujoco
import numpy as np
from jaxtyping import Float64

from rl_datagen.config.views import CameraConfig

Camera = Literal["agentview", "wrist"]

_FLIP = np.diag([1.0, -1.0, -1.0])  # between OpenCV's axes and OpenGL's


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """A camera: one of LIBERO's, or somewhere else.

    Attributes:
        camera: LIBERO's camera that it is, that it moves with, or in whose place it is drawn.
        pose: ``[4, 4]``: from its frame to that camera's, or to the world's.
        in_world: Whether ``pose`` leads to the world.
        fov: Vertical field of view, degrees; None: that camera's.
        fov_scale: What the tangent of half the field of view is multiplied by.
    """

    camera: Camera
    pose: Float64[np.ndarray, "4 4"] | None = None
    in_world: bool = False
    fov: float | None = None
    fov_scale: float = 1.0

    def moved(self, offset: Float64[np.ndarray, "4 4"], fov_scale: float) -> "Viewpoint":
        """Returns it moved by a transformation in its own frame, with another field of view."""
        pose = offset if self.pose is None else self.pose @ offset
        return Viewpoint(self.camera, pose, self.in_world, self.fov, self.fov_scale * fov_scale)

    def extrinsics(self, libero: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "4 4"]:
        """Returns the transformation from its frame to the world's.

        Args:
            libero: That of LIBERO's camera.
        """
        if self.pose is None:
            return libero
        return self.pose if self.in_world else libero @ self.pose

    def half_height(self, libero: float) -> float:
        """Returns the tangent of half its vertical field of view.

        Args:
            libero: The field of view of LIBERO's camera, degrees.
        """
        fov = libero if self.fov is None else self.fov
        return float(np.tan(np.radians(fov) / 2)) * self.fov_scale

    @property
    def is_liberos(self) -> bool:
        """Whether it is as LIBERO has it."""
        return self.pose is None and self.fov is None and self.fov_scale == 1

    def aim(self, drawing: mujoco.MjvScene, extrinsics: np.ndarray, half_height: float) -> None:
        """Turns the cameras of a scene that MuJoCo has just filled."""
        for eye in drawing.camera:
            eye.pos[:] = extrinsics[:3, 3]
            eye.forward[:], eye.up[:] = extrinsics[:3, 2], -extrinsics[:3, 1]
            eye.frustum_top = eye.frustum_near * half_height
            eye.frustum_bottom = -eye.frustum_top


def placed(config: CameraConfig) -> Viewpoint:
    """Returns the viewpoint of a camera that is placed by settings."""
    position, target = np.array(config.position, float), np.array(config.look_at, float)
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross(forward, np.array(config.upward, float))
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = position
    if config.mount == "wrist":
        return Viewpoint("wrist", pose, fov=config.fov)
    return Viewpoint("agentview", pose, in_world=True, fov=config.fov)


def libero_extrinsics(data: Any, camera: int) -> Float64[np.ndarray, "4 4"]:
    """Returns the transformation from the frame of a model's camera to the world's."""
    pose = np.eye(4)
    pose[:3, :3] = data.cam_xmat[camera].reshape(3, 3) @ _FLIP
    pose[:3, 3] = data.cam_xpos[camera]
    return pose


def intrinsics(half_height: float, height: int, width: int) -> Float64[np.ndarray, "3 3"]:
    """Returns the matrix from points in a camera's frame to pixels, whose centres are whole.

    Args:
        half_height: Tangent of half its vertical field of view.
        height: Pixels.
        width: Pixels, which are square.
    """
    focal = height / 2 / half_height
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
