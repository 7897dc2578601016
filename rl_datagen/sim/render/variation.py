"""Another look of a scene, drawn at random: light, colours, room, cameras, sensor noise.

Nothing is written to the model: what MuJoCo lists for an image is changed before it is drawn. So
physics and unvaried images cannot notice.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import mujoco
import numpy as np
from jaxtyping import UInt8, UInt16
from scipy.spatial.transform import Rotation

from rl_datagen.config.views import Axis
from rl_datagen.core.seeding import derive_seed
from rl_datagen.data.classes import segmentation_id
from rl_datagen.sim.render.labels import element_labels
from rl_datagen.sim.render.viewpoint import Viewpoint
from rl_datagen.sim.scene import Scene

_BRIGHTNESS = (0.5, 1.5)  # of the lights
_LIGHT_COLOUR = (0.85, 1.15)  # of each channel
_COLOUR = (0.4, 1.0)  # of each channel of a surface
_SHIFT, _WRIST_SHIFT = 0.05, 0.01  # m along each axis of the camera
_TURN, _WRIST_TURN = 4.0, 2.0  # degrees about each
_FOV = (0.85, 1.2)  # of the tangent of half the field of view
_NOISE = (2.0, 15.0)  # standard deviation, of 255
_ROOM = [segmentation_id(name) for name in ("floor", "wall", "background")]
_MACHINE = [segmentation_id(name) for name in ("robot", "gripper", "mount")]


@dataclass(frozen=True, eq=False)
class Variation:
    """What was drawn for a copy; what does not vary is as it was.

    Attributes:
        seed: What noise is drawn from.
        light: ``brightness`` and ``colour`` (3) of all lights; ``turn`` (rad, about the vertical)
            of those that hang still.
        colours: Three factors of the colour of each instance, by the segmentation's value.
        room: The model's material of each part of the room, by the segmentation's value.
        cameras: ``shift`` (m, 3) and ``turn`` (axis-angle, rad, 3) of each, in its own frame.
        fov: Factor of the tangent of half the field of view, by camera.
        noise: Standard deviation of the noise of each channel, of 255.
    """

    seed: int = 0
    light: Mapping[str, Any] = field(default_factory=dict)
    colours: Mapping[int, list[float]] = field(default_factory=dict)
    room: Mapping[int, int] = field(default_factory=dict)
    cameras: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)
    fov: Mapping[str, float] = field(default_factory=dict)
    noise: float = 0.0

    def as_dict(self) -> dict[str, object]:
        """Returns what was drawn, for a record."""
        return {name: value for name, value in asdict(self).items() if value not in ({}, 0.0)}

    def view(self, name: str, viewpoint: Viewpoint) -> Viewpoint:
        """Returns a camera where it is in this copy."""
        moved, scale = self.cameras.get(name), self.fov.get(name, 1.0)
        if moved is None and scale == 1:
            return viewpoint
        offset = np.eye(4)
        if moved is not None:
            offset[:3, :3] = Rotation.from_rotvec(moved["turn"]).as_matrix()
            offset[:3, 3] = moved["shift"]
        return viewpoint.moved(offset, scale)

    def add_noise(
        self, images: UInt8[np.ndarray, "T H W 3"], name: str
    ) -> UInt8[np.ndarray, "T H W 3"]:
        """Returns a camera's images with the noise of its sensor."""
        if not self.noise:
            return images
        generator = np.random.default_rng(derive_seed(self.seed, name))
        noisy = np.empty_like(images)
        for index, image in enumerate(images):
            added = generator.standard_normal(image.shape, np.float32) * np.float32(self.noise)
            noisy[index] = np.clip(np.rint(image + added), 0, 255)
        return noisy


def draw_variation(
    scene: Scene,
    axes: Sequence[Axis],
    cameras: Mapping[str, Viewpoint],
    *coordinates: str | int,
) -> Variation:
    """Draws a copy's look. Each axis has a stream of its own, so that others do not change it.

    Args:
        scene: The scene.
        axes: What varies.
        cameras: Which cameras there are.
        coordinates: What the seed derives from: a number, the episode, the copy.
    """
    drawn: dict[str, Any] = {"seed": derive_seed("noise", *coordinates)}
    labels = sorted(set(element_labels(scene).tolist()) - {0})
    for axis in axes:
        random = np.random.default_rng(derive_seed("variation", axis, *coordinates))
        if axis == "light":
            drawn["light"] = _draw_light(random)
        elif axis == "texture":
            drawn.setdefault("colours", {}).update(_draw_colours(random, labels, False))
        elif axis == "background":
            drawn.setdefault("colours", {}).update(_draw_colours(random, labels, True))
            drawn["room"] = _draw_room(random, scene)
        elif axis == "camera":
            drawn["cameras"] = {name: _draw_shift(random, v) for name, v in cameras.items()}
        elif axis == "fov":
            drawn["fov"] = {name: float(random.uniform(*_FOV)) for name in cameras}
        else:
            drawn["noise"] = float(random.uniform(*_NOISE))
    return Variation(**drawn)


def _draw_light(random: np.random.Generator) -> dict[str, Any]:
    return {
        "brightness": float(np.exp(random.uniform(*np.log(_BRIGHTNESS)))),
        "colour": random.uniform(*_LIGHT_COLOUR, 3).tolist(),
        "turn": float(random.uniform(-np.pi, np.pi)),
    }


def _draw_colours(
    random: np.random.Generator, labels: list[int], of_room: bool
) -> dict[int, list[float]]:
    chosen = [each for each in labels if each not in _MACHINE and (each in _ROOM) == of_room]
    return {label: random.uniform(*_COLOUR, 3).tolist() for label in chosen}


def _draw_room(random: np.random.Generator, scene: Scene) -> dict[int, int]:
    """Draws which of the room's flat textures its floor and its walls have."""
    model = scene.model
    own = np.unique(model.geom_matid[(model.geom_bodyid == 0) & (model.geom_matid >= 0)])
    textures = model.mat_texid[own, mujoco.mjtTextureRole.mjTEXROLE_RGB]
    flat = model.tex_type[textures] == mujoco.mjtTexture.mjTEXTURE_2D
    choices = own[(textures >= 0) & flat]
    if not len(choices):
        return {}
    return {label: int(random.choice(choices)) for label in _ROOM[:2] if label is not None}


def _draw_shift(random: np.random.Generator, viewpoint: Viewpoint) -> dict[str, list[float]]:
    in_hand = viewpoint.camera == "wrist"
    shift, turn = (_WRIST_SHIFT, _WRIST_TURN) if in_hand else (_SHIFT, _TURN)
    return {
        "shift": random.uniform(-shift, shift, 3).tolist(),
        "turn": np.radians(random.uniform(-turn, turn, 3)).tolist(),
    }


class Look:
    """A variation, ready to be applied to what MuJoCo lists of a scene.

    Args:
        variation: What was drawn.
        model: The scene's model.
        labels: See ``element_labels``.
    """

    def __init__(
        self, variation: Variation, model: mujoco.MjModel, labels: UInt16[np.ndarray, " E"]
    ) -> None:
        self.variation = variation
        labels = labels[: model.ngeom]
        self._tints = np.ones((len(labels), 3), np.float32)
        for label, tint in variation.colours.items():
            self._tints[labels == label] = tint
        self._materials = np.full(len(labels), -1, np.int32)
        room = model.geom_bodyid == 0
        for label, material in variation.room.items():
            self._materials[room & (labels == label)] = material

    def paint(self, geoms: np.ndarray) -> None:
        """Colours geoms of type ``GEOM``."""
        mine = np.flatnonzero(geoms["objtype"] == mujoco.mjtObj.mjOBJ_GEOM)
        ids = geoms["objid"][mine]
        rgba = geoms["rgba"][mine]
        rgba[:, :3] *= self._tints[ids]
        geoms["rgba"][mine] = rgba
        material = self._materials[ids]
        geoms["matid"][mine] = np.where(material >= 0, material, geoms["matid"][mine])

    def light(self, drawing: mujoco.MjvScene) -> None:
        """Changes the lights of a scene that MuJoCo has just filled."""
        if not (drawn := self.variation.light):
            return
        gain = np.float32(drawn["brightness"]) * np.asarray(drawn["colour"], np.float32)
        turn = Rotation.from_euler("z", drawn["turn"]).as_matrix()
        for light in list(drawing.lights)[: drawing.nlight]:
            for part in (light.ambient, light.diffuse, light.specular):
                part *= gain
            if not light.headlight:
                light.pos[:], light.dir[:] = turn @ light.pos, turn @ light.dir
