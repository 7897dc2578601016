"""Memory that compiling a model leaves behind, given back: two thirds of a scene's."""

import ctypes
import gc
import sys
from pathlib import Path

import mujoco

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false


def trim() -> None:
    """Frees MuJoCo's cache of decoded assets and its copy of the last model's source.

    Measured on libero_object/0: 1,342 MB resident before, 491 MB after. The next scene decodes
    the assets it shares with this one again (about 1.3 s of CPU).
    """
    gc.collect()
    mujoco.mj_clearCache(mujoco.mj_getCache())
    library = next(Path(mujoco.__file__).parent.glob("libmujoco.so.*"), None)
    if library is not None:
        ctypes.CDLL(str(library)).mj_freeLastXML()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
