"""Success predicates: LIBERO's own geometry on precomputed indices, in microseconds.

The tests of positions and joints are LIBERO's methods, called with the same numbers; what is
replaced is the search around them: names are resolved once, cheap geometry is asked before
contacts, and contacts are looked up in a table instead of compared by name.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

Predicate = Callable[[mujoco.MjData], bool]


class Goal:
    """A task's goal: the conjunction of its BDDL predicates.

    Positions and contacts are read as MuJoCo left them: after an env step they belong to the
    start of its last physics step, as in LIBERO.
    """

    def __init__(self, env: Any, model: mujoco.MjModel) -> None:
        self.statements: tuple[tuple[str, ...], ...] = tuple(
            tuple(statement) for statement in env.parsed_problem["goal_state"]
        )
        self._predicates = [_compile(statement, env, model) for statement in self.statements]

    def reached(self, data: mujoco.MjData) -> bool:
        """Whether every predicate holds."""
        return all(predicate(data) for predicate in self._predicates)

    def holding(self, data: mujoco.MjData) -> tuple[bool, ...]:
        """Whether each of the statements holds."""
        return tuple(predicate(data) for predicate in self._predicates)


@dataclass(frozen=True, eq=False)
class VisualSite:
    """A site that is visible while a joint is turned on (the stove's burner).

    Attributes:
        site: Site id.
        qpos: Address of the joint that switches it.
        is_on: Whether a joint position (rad) means on.
    """

    site: int
    qpos: int
    is_on: Callable[[float], bool]


def find_visual_sites(env: Any, model: mujoco.MjModel) -> tuple[VisualSite, ...]:
    """Returns the sites whose visibility follows a joint."""
    visual_sites = []
    for name in env.visualization_sites_list:
        thing = env.get_object(name)
        for site, _ in thing.object_properties["vis_site_names"].values():
            address = int(model.joint(thing.joints[-1]).qposadr[0])
            visual_sites.append(VisualSite(model.site(site).id, address, thing.turn_on))
    return tuple(visual_sites)


def _compile(statement: tuple[str, ...], env: Any, model: mujoco.MjModel) -> Predicate:
    name, *arguments = statement
    if name in _JOINT_TESTS:
        return _joint_predicate(name, arguments[0], env, model)
    moved, target = arguments
    body = model.body(env.objects_dict[moved].root_body).id
    if target in env.object_sites_dict:
        return _site_predicate(name, moved, body, target, env, model)
    if name != "on":
        raise NotImplementedError(f"No predicate for {statement}")
    return _on_object(moved, body, target, env, model)


def _site_predicate(
    name: str, moved: str, body: int, target: str, env: Any, model: mujoco.MjModel
) -> Predicate:
    zone, site = env.object_sites_dict[target], model.site(target).id
    parent = env.get_object(zone.parent_name) if name == "on" else None
    inside = {"in": zone.in_box, "on": zone.under}[name]
    touches = None if parent is None else _contact(parent, env.objects_dict[moved], model)

    def predicate(data: mujoco.MjData) -> bool:
        position, matrix = data.site_xpos[site], data.site_xmat[site].reshape(3, 3)
        if not inside(position, matrix, data.xpos[body]):
            return False
        return touches is None or touches(data)

    return predicate


def _on_object(moved: str, body: int, target: str, env: Any, model: mujoco.MjModel) -> Predicate:
    below = env.get_object(target)
    support = model.body(below.root_body).id
    touches = _contact(below, env.objects_dict[moved], model)

    def predicate(data: mujoco.MjData) -> bool:
        low, high = data.xpos[support], data.xpos[body]
        if not low[2] <= high[2] or not np.linalg.norm(low[:2] - high[:2]) < 0.03:
            return False
        return touches(data)

    return predicate


_JOINT_TESTS = {  # LIBERO's method, and whether one joint is enough
    "open": ("is_open", any),
    "close": ("is_close", all),
    "turnon": ("turn_on", any),
    "turnoff": ("turn_off", all),
}


def _joint_predicate(name: str, target: str, env: Any, model: mujoco.MjModel) -> Predicate:
    method, combine = _JOINT_TESTS[name]
    thing = owner = env.get_object(target)
    if target in env.object_sites_dict:
        owner = env.get_object(thing.parent_name)
    test = getattr(owner, method)
    addresses = [int(model.joint(joint).qposadr[0]) for joint in thing.joints]

    def predicate(data: mujoco.MjData) -> bool:
        return combine(test(data.qpos[address]) for address in addresses)

    return predicate


def _contact(first: Any, second: Any, model: mujoco.MjModel) -> Predicate:
    """Returns the test whether two LIBERO objects touch."""
    in_first, in_second = _geom_mask(first, model), _geom_mask(second, model)

    def predicate(data: mujoco.MjData) -> bool:
        pairs = data.contact.geom
        a, b = pairs[:, 0], pairs[:, 1]
        forward, backward = in_first[a] & in_second[b], in_second[a] & in_first[b]
        return bool((forward | backward).any())

    return predicate


def _geom_mask(thing: Any, model: mujoco.MjModel) -> np.ndarray:
    """Marks the geoms that count as the object's, by id."""
    names = set(thing.contact_geoms)
    return np.array([model.geom(i).name in names for i in range(model.ngeom)])
