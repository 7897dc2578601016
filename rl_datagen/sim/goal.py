"""Success predicates: LIBERO's own geometry on precomputed indices, in microseconds.

The tests of positions and joints are LIBERO's methods, called with the same numbers; what is
replaced is the search around them: names are resolved once, cheap geometry is asked before
contacts, and contacts are looked up in a table instead of compared by name.
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

Predicate = Callable[[mujoco.MjData], bool]
Distance = Callable[[mujoco.MjData], float]


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
        self._distances = [_measure(statement, env, model) for statement in self.statements]
        self.moved: tuple[tuple[int, ...], ...] = tuple(
            _moved(statement, env, model) for statement in self.statements
        )
        """Bodies whose motion makes each statement hold: an object, or moving parts."""

    def reached(self, data: mujoco.MjData) -> bool:
        """Whether every predicate holds."""
        return all(predicate(data) for predicate in self._predicates)

    def holding(self, data: mujoco.MjData) -> tuple[bool, ...]:
        """Whether each of the statements holds."""
        return tuple(predicate(data) for predicate in self._predicates)

    def distances(self, data: mujoco.MjData) -> tuple[float, ...]:
        """Returns how far it is to each of the statements.

        Of ``on`` and ``in``: m, between the object's position and the target's: a region's centre,
        or another object's position. Of ``open``, ``close``, ``turnon`` and ``turnoff``: m of a
        slide or rad of a hinge, to the nearest joint position at which it holds; 0 if it does.
        """
        return tuple(distance(data) for distance in self._distances)


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


def _measure(statement: tuple[str, ...], env: Any, model: mujoco.MjModel) -> Distance:
    name, *arguments = statement
    if name in _JOINT_TESTS:
        return _joint_distance(name, arguments[0], env, model)
    moved, target = arguments
    body = model.body(env.objects_dict[moved].root_body).id
    if target in env.object_sites_dict:
        site = model.site(target).id
        return lambda data: math.dist(data.xpos[body], data.site_xpos[site])
    support = model.body(env.get_object(target).root_body).id
    return lambda data: math.dist(data.xpos[body], data.xpos[support])


def _moved(statement: tuple[str, ...], env: Any, model: mujoco.MjModel) -> tuple[int, ...]:
    name, first, *_ = statement
    if name in _JOINT_TESTS:
        return tuple(int(model.joint(each).bodyid[0]) for each in env.get_object(first).joints)
    return (model.body(env.objects_dict[first].root_body).id,)


_JOINT_TESTS = {  # LIBERO's method, and whether one joint is enough
    "open": ("is_open", any),
    "close": ("is_close", all),
    "turnon": ("turn_on", any),
    "turnoff": ("turn_off", all),
}


def _joint_predicate(name: str, target: str, env: Any, model: mujoco.MjModel) -> Predicate:
    test, combine, joints = _joint_test(name, target, env)
    addresses = [int(model.joint(joint).qposadr[0]) for joint in joints]

    def predicate(data: mujoco.MjData) -> bool:
        return combine(test(data.qpos[address]) for address in addresses)

    return predicate


def _joint_distance(name: str, target: str, env: Any, model: mujoco.MjModel) -> Distance:
    test, combine, joints = _joint_test(name, target, env)
    edges = [
        (int(model.joint(joint).qposadr[0]), threshold(test, *model.joint(joint).range))
        for joint in joints
    ]
    nearest = min if combine is any else max

    def distance(data: mujoco.MjData) -> float:
        left = (
            0.0 if test(data.qpos[address]) else abs(float(data.qpos[address]) - edge)
            for address, edge in edges
        )
        return nearest(left)

    return distance


def _joint_test(
    name: str, target: str, env: Any
) -> tuple[Callable[[float], bool], Callable[[Iterable[bool]], bool], list[str]]:
    """Returns LIBERO's test of one joint, how several combine, and the joints' names."""
    method, combine = _JOINT_TESTS[name]
    thing = owner = env.get_object(target)
    if target in env.object_sites_dict:
        owner = env.get_object(thing.parent_name)
    return getattr(owner, method), combine, thing.joints


def threshold(test: Callable[[float], bool], low: float, high: float) -> float:
    """Returns the joint position at which a test changes, to the last bit, by bisection.

    Args:
        test: Holds on one side of a joint position, as all of LIBERO's do.
        low: Of the joint's range, m or rad.
        high: Likewise.
    """
    low, high = (
        float(2 * low - high),
        float(2 * high - low),
    )  # LIBERO's ranges end beyond the joint's
    below = test(low)
    assert test(high) != below, "the test does not change along the joint"
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if test(middle) == below else (low, middle)
    return high


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
