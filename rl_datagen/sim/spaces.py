"""What environments observe and take: Gymnasium spaces, and an observation in them."""

from typing import Literal, get_args

import gymnasium as gym
import numpy as np

from rl_datagen.config import Rendering
from rl_datagen.core.errors import ConfigError, did_you_mean, quoted
from rl_datagen.sim.render import CAMERAS
from rl_datagen.sim.scene import Scene
from rl_datagen.sim.simulator import Simulator

Mode = Literal["state", "pixel"]


def observation_space(scene: Scene, mode: Mode, image_size: int) -> gym.spaces.Dict:
    """Returns the space of observations.

    ``proprio``, float32 [8]: hand position 3 (m, world), axis-angle 3 (rad), finger joints 2 (m);
    ``object_state``, float32 [Do]: the task's objects, laid out as ``scene.state_layout`` says; in
    pixel mode ``agentview`` and ``wrist``, uint8 [H, W, 3]: RGB, upright.

    Raises:
        ConfigError: There is no such mode.
    """
    check_choice("mode", mode, get_args(Mode))

    def numbers(size: int) -> gym.spaces.Box:
        return gym.spaces.Box(-np.inf, np.inf, (size,), np.float32)

    spaces: dict[str, gym.Space] = {
        "proprio": numbers(8),
        "object_state": numbers(scene.state_layout.size),
    }
    if mode == "pixel":
        shape = (image_size, image_size, 3)
        spaces |= {name: gym.spaces.Box(0, 255, shape, np.uint8) for name in CAMERAS}
    return gym.spaces.Dict(spaces)


def action_space(action_steps: int | None) -> gym.spaces.Box:
    """Returns the space of actions: ``[7]``, or chunks ``[action_steps, 7]``, float32 in [-1, 1].

    3 position (1.0 = 0.05 m), 3 axis-angle (1.0 = 0.5 rad), gripper (-1 open, +1 close).
    """
    shape = (7,) if action_steps is None else (action_steps, 7)
    return gym.spaces.Box(-1.0, 1.0, shape, np.float32)


def observe(
    simulator: Simulator, mode: Mode, image_size: int, rendering: Rendering = "exact"
) -> dict[str, np.ndarray]:
    """Returns the observation of a simulator."""
    images = simulator.images(image_size, rendering) if mode == "pixel" else {}
    return simulator.observe() | images


def check_choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Refuses a value that is none of those allowed.

    Raises:
        ConfigError: Names the setting, the value and what is allowed.
    """
    if value not in allowed:
        names = [str(each) for each in allowed]
        raise ConfigError(
            f"{name}: {quoted(value)} is not known.{did_you_mean(str(value), names)} "
            f"Allowed: {', '.join(names)}."
        )
