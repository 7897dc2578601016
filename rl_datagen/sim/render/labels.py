"""Which instance each geom and site of a scene belongs to; see ``data.classes``."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Mapping

import mujoco
import numpy as np
from jaxtyping import UInt16

from rl_datagen.data.classes import segmentation_id
from rl_datagen.sim.scene import Scene

_PREFIXES = {"robot0_": "robot", "gripper0_": "gripper", "mount0_": "mount"}
_WORLD = {"floor": "floor", "wall_": "wall"}  # how geoms of the room are called


def element_labels(scene: Scene) -> UInt16[np.ndarray, " E"]:
    """Returns the segmentation's value of each geom, then of each site, then 0 for nothing.

    An object's parts (drawers, knobs, doors) are the object.
    """
    model = scene.model
    owners = {body: name for name, body in scene.body_ids.items() if segmentation_id(name)}
    bodies = np.array([_label(model, body, owners) for body in range(model.nbody)])
    geoms = bodies[model.geom_bodyid]
    for geom in np.flatnonzero(model.geom_bodyid == 0):
        geoms[geom] = segmentation_id(_part_of_room(model.geom(geom).name))
    return np.concatenate([geoms, bodies[model.site_bodyid], [0]]).astype(np.uint16)


def _part_of_room(name: str) -> str:
    if name.startswith("wall_decoration"):
        return "background"
    return next((part for start, part in _WORLD.items() if name.startswith(start)), "background")


def _label(model: mujoco.MjModel, body: int, owners: Mapping[int, str]) -> int:
    """Returns the value of a body's geoms; of what has no class, the background's.

    Args:
        model: The scene's model.
        body: The body.
        owners: LIBERO's name of the object or fixture that a body is the root of.
    """
    while body:
        name = model.body(body).name
        part = next((part for start, part in _PREFIXES.items() if name.startswith(start)), None)
        found = segmentation_id(part or owners.get(body, name))
        if found is not None:
            return found
        body = int(model.body_parentid[body])
    return segmentation_id("background") or 0
