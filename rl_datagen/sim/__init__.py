"""LIBERO, stepped fast: scenes, simulators and the vector environment."""

from rl_datagen.sim.gl import import_mujoco

import_mujoco()  # before any module that needs it

# ruff: noqa: E402
from rl_datagen.config import Appearance, Backend
from rl_datagen.sim.episode import Episode
from rl_datagen.sim.factory import load_scene
from rl_datagen.sim.gym_env import LiberoEnv
from rl_datagen.sim.render import CAMERAS, Camera
from rl_datagen.sim.replay import first_that_replays, replay
from rl_datagen.sim.scene import InitialState, Scene
from rl_datagen.sim.simulator import SETTLE_ACTION, Simulator
from rl_datagen.sim.vector_env import LiberoVectorEnv

__all__ = [
    "CAMERAS",
    "SETTLE_ACTION",
    "Appearance",
    "Backend",
    "Camera",
    "Episode",
    "InitialState",
    "LiberoEnv",
    "LiberoVectorEnv",
    "Scene",
    "Simulator",
    "first_that_replays",
    "load_scene",
    "replay",
]
