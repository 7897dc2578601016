"""LIBERO's own observations, by its names: what ``rl_datagen.libero`` returns."""

from collections.abc import Callable, Iterator, MutableMapping
from functools import cache, partial
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

from rl_datagen.sim.compiled import CompiledSimulator
from rl_datagen.sim.libero import pose_in_hand
from rl_datagen.sim.observation import NUM_ROBOT
from rl_datagen.sim.render import CAMERAS, Camera, Pose, render
from rl_datagen.sim.scene import Scene

LIBERO_CAMERAS: dict[str, Camera] = {theirs: ours for ours, theirs in CAMERAS.items()}
"""Our camera names by LIBERO's."""

_PROPRIO = ("joint_pos", "joint_pos_cos", "joint_pos_sin", "joint_vel")
_PROPRIO += ("eef_pos", "eef_quat", "gripper_qpos", "gripper_qvel")


_Value = np.ndarray | Callable[[], np.ndarray]


class Observation(dict[str, Any]):
    """Dictionary whose images and derived numbers are computed when they are first read.

    So a frame that nobody looks at, such as one of settling, is never drawn. What is not computed
    yet is a function; whoever reads or copies the dictionary finds arrays only.
    """

    def __getitem__(self, key: str) -> np.ndarray:
        value: Any = super().__getitem__(key)
        if callable(value):
            value = self[key] = value()
        return value

    def __iter__(self) -> Iterator[str]:
        # Without a method of its own, ``dict(observation)`` would copy past ``__getitem__``.
        return super().__iter__()

    def __or__(self, other: Any) -> Any:
        return dict(self) | other

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def pop(self, key: str, *default: Any) -> Any:
        """Removes and returns an entry."""
        self.get(key)
        return super().pop(key, *default)

    def copy(self) -> dict[str, Any]:
        """Returns a plain dictionary with everything computed."""
        return dict(self)

    get: Any = MutableMapping.get
    items: Any = MutableMapping.items
    values: Any = MutableMapping.values
    popitem: Any = MutableMapping.popitem  # by way of ``__getitem__``, as the others
    setdefault: Any = MutableMapping.setdefault


def observe_as_libero(
    simulator: CompiledSimulator, sizes: dict[str, tuple[int, int]], pose: Pose
) -> Observation:
    """Returns what LIBERO observes at the moment a simulator last sampled.

    Args:
        simulator: The simulator.
        sizes: Height and width of the image of each camera, by LIBERO's names.
        pose: What the images show.
    """
    numbers = simulator.robot_state() | simulator.robot_velocity()
    joints = numbers["joint_pos"]
    numbers |= {"joint_pos_cos": np.cos(joints), "joint_pos_sin": np.sin(joints)}
    numbers |= {"eef_pos": numbers["ee_pos"], "eef_quat": numbers["ee_quat"]}
    proprio = {f"robot0_{name}": numbers[name] for name in _PROPRIO}
    images = {
        f"{camera}_image": partial(_image, simulator.scene, camera, size, pose)
        for camera, size in sizes.items()
    }
    objects = _objects(simulator, (numbers["ee_pos"], numbers["ee_quat"]))
    states = {
        "robot0_proprio-state": partial(_joined, list(proprio.values())),
        "object-state": partial(_joined, list(objects.values())),
    }
    return Observation(proprio | images | objects | states)


def _image(
    scene: Scene, camera: str, size: tuple[int, int], pose: Pose
) -> UInt8[np.ndarray, "H W 3"]:
    """Draws what a camera sees, upside down as LIBERO has it."""
    ours = LIBERO_CAMERAS[camera]
    return np.ascontiguousarray(render(scene, (ours,), *size, pose)[ours][::-1])


def _objects(
    simulator: CompiledSimulator, hand: tuple[np.ndarray, np.ndarray]
) -> dict[str, _Value]:
    """Returns position (m), quaternion (x, y, z, w) and pose in the hand's frame of each object."""
    values: dict[str, _Value] = {}
    parts, sample = simulator.scene.state_layout.parts, simulator.sample()
    for i, part in enumerate(parts):
        if part.kind == "object":
            body = sample[NUM_ROBOT + 7 * i :]
            place = body[0:3].copy(), body[[4, 5, 6, 3]]
            values[f"{part.name}_pos"], values[f"{part.name}_quat"] = place
            in_hand = cache(partial(pose_in_hand, hand, place))
            for index, what in enumerate(("pos", "quat")):
                values[f"{part.name}_to_robot0_eef_{what}"] = partial(_item, in_hand, index)
    return values


def _item(pair: Callable[[], tuple[np.ndarray, np.ndarray]], index: int) -> np.ndarray:
    return pair()[index]


def _joined(values: list[_Value]) -> Float64[np.ndarray, " n"]:
    return np.concatenate([value() if callable(value) else value for value in values], axis=-1)
