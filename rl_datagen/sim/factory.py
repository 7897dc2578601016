"""Scenes loaded by task, each compiled once, and simulators made of them."""

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import replace

import numpy as np

from rl_datagen.config import Appearance, Backend, RenderBackend
from rl_datagen.core.blas import check_kernel
from rl_datagen.core.errors import SimulatorError
from rl_datagen.sim import memory
from rl_datagen.sim.compiled import CompiledSimulator
from rl_datagen.sim.scene import Scene, compile_scene
from rl_datagen.sim.simulator import Simulator
from rl_datagen.sim.stock import StockSimulator
from rl_datagen.tasks import Task

logger = logging.getLogger(__name__)

_CACHE: OrderedDict[str, Scene] = OrderedDict()
_CACHE_SIZE = 2  # a model is 110 to 380 MB
_LOCK = threading.Lock()


def load_scene(
    task: Task,
    backend: Backend = "exact",
    appearance: Appearance = "original",
    render_backend: RenderBackend = "culled",
) -> Scene:
    """Returns a task's scene, compiling it (3 to 7 s) unless this process has done so lately.

    Args:
        task: The task.
        backend: ``exact``: compiled and bit-identical to LIBERO; ``stock``: LIBERO's own
            ``env.step``.
        appearance: ``original``: textures as MuJoCo read them up to 3.3.2, which is how all
            published LIBERO data looks; ``mujoco``: as this MuJoCo reads them.
        render_backend: ``culled``: the fastest renderer whose images are MuJoCo's own; ``stock``:
            MuJoCo's.

    Raises:
        SimulatorError: A file of the task is damaged or missing.
    """
    check_kernel()
    with _LOCK:
        if task.id not in _CACHE:
            while len(_CACHE) >= _CACHE_SIZE:
                _CACHE.popitem(last=False)
            _CACHE[task.id] = _compile(task)
        _CACHE.move_to_end(task.id)
        scene = _CACHE[task.id]
    return replace(
        scene, task=task, backend=backend, appearance=appearance, render_backend=render_backend
    )


def make_simulator(scene: Scene) -> Simulator:
    """Returns a new simulator, of the kind that the scene's backend names."""
    if scene.backend == "stock":
        return StockSimulator(scene)
    return CompiledSimulator(scene)


def _compile(task: Task) -> Scene:
    started, random_state = time.perf_counter(), np.random.get_state()
    try:
        scene = compile_scene(task, make_simulator)
    # MuJoCo raises ValueError for a bad or missing asset, robosuite asserts what is defined.
    except (OSError, ValueError, AssertionError) as error:
        message = f"cannot build the scene: {error}"
        raise SimulatorError(message, task=task.id) from error
    finally:  # LIBERO's constructor has drawn positions from the global stream
        np.random.set_state(random_state)
    memory.trim()
    logger.debug("compiled task=%s seconds=%.1f", task, time.perf_counter() - started)
    return scene
