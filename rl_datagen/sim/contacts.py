"""What the hand touches, how hard, and what it holds."""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import mujoco
import numpy as np
from jaxtyping import Bool, Float64

from rl_datagen.sim.scene import Scene

_HAND = "gripper0_"  # what robosuite calls the hand's parts
_FINGERS = ("gripper0_leftfinger", "gripper0_rightfinger")
_JOINTS = ("gripper0_finger_joint1", "gripper0_finger_joint2")
_OPENS = (1, -1)  # along its joint's axis
MIN_GRIP = 0.1
"""Less than this a finger does not press on what it touches, N."""

Touch = tuple[list[int], list[float], int | None]
"""Numbers of things that are touched, how hard, N, and which is held."""


class HandContacts:
    """Reads the contacts of a scene's hand.

    Things are objects, fixtures and moving parts by their names in ``scene.state_layout``, and
    other bodies (the table, the arm) by MuJoCo's.

    Args:
        scene: The scene.
    """

    def __init__(self, scene: Scene) -> None:
        model = scene.model
        self._model = model
        self._things, self.names = _things(scene)
        parts = zip(scene.sample_layout.bodies.tolist(), scene.state_layout.parts, strict=True)
        self._bodies = {self.names.index(part.name): body for body, part in parts}
        self._is_hand = np.array(
            [model.geom(i).name.startswith(_HAND) for i in range(model.ngeom)], bool
        )
        self._finger = np.full(model.ngeom, -1)
        for number, name in enumerate(_FINGERS):
            inside = _descends(model, model.body(name).id)
            self._finger[inside[model.geom_bodyid]] = number
        self._joints = [model.joint(name).id for name in _JOINTS]
        self._graspable = np.zeros(len(self.names), bool)
        for part in scene.state_layout.parts:
            self._graspable[self.names.index(part.name)] = part.kind != "fixture"
        self._force = np.zeros(6)

    def read(self, data: mujoco.MjData) -> Touch:
        """Returns what the hand touches, how hard, and what it holds.

        Args:
            data: With the forces of its state.

        Returns:
            Numbers of things in ``names``, in this order; for each the sum over its contacts with
            the hand of the force's size, N; and which of them is held: an object or a moving part
            on which both fingers press from their sides, each by ``MIN_GRIP`` at least. Of several
            the one they press on most.
        """
        pairs = data.contact.geom
        if not len(pairs):
            return [], [], None
        hand = self._is_hand[pairs]
        forces: dict[int, float] = {}
        grips: dict[int, list[float]] = {}
        for number in np.flatnonzero(hand[:, 0] != hand[:, 1]).tolist():
            side = 0 if hand[number, 0] else 1  # which of the two geoms is the hand's
            thing = int(self._things[pairs[number, 1 - side]])
            force = self._world_force(data, number) * (1 if side == 0 else -1)
            forces[thing] = forces.get(thing, 0.0) + float(np.linalg.norm(force))
            finger = self._finger[pairs[number, side]]
            if finger >= 0 and self._graspable[thing]:
                inward = -_OPENS[finger] * data.xaxis[self._joints[finger]]
                grips.setdefault(thing, [0.0, 0.0])[finger] += float(force @ inward)
        order = sorted(forces)
        held = [thing for thing, pressed in grips.items() if min(pressed) >= MIN_GRIP]
        hardest = max(held, key=lambda thing: min(grips[thing]), default=None)
        return order, [forces[thing] for thing in order], hardest

    def mark(self, touched: list[int]) -> Bool[np.ndarray, " Nb"]:
        """Marks the bodies of objects, fixtures and moving parts among what is touched.

        Args:
            touched: Numbers of things in ``names``.
        """
        marks = np.zeros(self._model.nbody, bool)
        marks[[self._bodies[each] for each in touched if each in self._bodies]] = True
        return marks

    def _world_force(self, data: mujoco.MjData, contact: int) -> Float64[np.ndarray, " 3"]:
        """Returns the force of a contact's first geom on its second, N, world frame."""
        mujoco.mj_contactForce(self._model, data, contact, self._force)
        return self._force[:3] @ data.contact.frame[contact].reshape(3, 3)


def _things(scene: Scene) -> tuple[np.ndarray, list[str]]:
    """Returns of each geom the number of the thing it is part of, and the things' names."""
    model = scene.model
    parts = zip(scene.sample_layout.bodies, scene.state_layout.parts, strict=True)
    named = {int(body): part.name for body, part in parts}
    names = list(dict.fromkeys(named.values()))
    numbers = np.zeros(model.nbody, int)
    for body in range(model.nbody):
        owner = body
        while owner and owner not in named:
            owner = int(model.body_parentid[owner])
        name = named.get(owner) or str(model.body(body).name)
        if name not in names:
            names.append(name)
        numbers[body] = names.index(name)
    return numbers[model.geom_bodyid], names


def _descends(model: mujoco.MjModel, root: int) -> np.ndarray:
    """Marks the bodies that hang on a body, itself included."""
    inside = np.zeros(model.nbody, bool)
    inside[root] = True
    for body in range(root + 1, model.nbody):  # parents come before their children
        inside[body] = inside[model.body_parentid[body]]
    return inside
