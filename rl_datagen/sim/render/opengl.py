"""OpenGL, bound to what MuJoCo draws with: PyOpenGL decides that when it is first imported."""

import os
from typing import Any

os.environ.setdefault(
    "PYOPENGL_PLATFORM", "osmesa" if os.environ.get("MUJOCO_GL", "").lower() == "osmesa" else "egl"
)

import OpenGL.GL

GL: Any = OpenGL.GL  # untyped, and made at run time
"""OpenGL's functions and constants."""
