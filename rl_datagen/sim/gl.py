"""Imports without GL libraries, since state mode must run where there are none."""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gl_disabled() -> Iterator[None]:
    """Makes MuJoCo and robosuite load no GL library while they are imported."""
    wanted = os.environ.get("MUJOCO_GL")
    os.environ["MUJOCO_GL"] = "disabled"
    try:
        yield
    finally:
        if wanted is None:
            del os.environ["MUJOCO_GL"]
        else:
            os.environ["MUJOCO_GL"] = wanted


def import_mujoco() -> None:
    """Imports MuJoCo, without its GL context if ``MUJOCO_GL`` names a library that is missing.

    MuJoCo loads that library on import. ``sim.render`` loads it again on the first image, and says
    then what to install.
    """
    try:
        importlib.import_module("mujoco")
    except (ImportError, AttributeError, RuntimeError):
        with gl_disabled():
            importlib.import_module("mujoco")
