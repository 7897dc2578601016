"""Which body of a task stands for which body of the task that its demonstrations are of.

A perturbed task has no human demonstration of its own. Those of another task are cut up in that
task's scene, and each segment is attached to the body that plays the same part in the perturbed
one: of the same name, or in the same place of the goal (``alphabet_soup_1`` and
``bigger_alphabet_soup_1``; the first bowl and the second).
"""

# MuJoCo's bindings are compiled and untyped.
# pyright: reportAttributeAccessIssue=false

from rl_datagen.core.errors import UserError
from rl_datagen.sim import Scene


class Correspondence:
    """Maps names of bodies of one scene to those of another.

    Args:
        shown: The scene of the demonstrations.
        scene: The scene to act in.
    """

    def __init__(self, shown: Scene, scene: Scene) -> None:
        self._shown, self._scene = shown, scene
        self._owners: dict[str, str] = {}
        self._bodies: dict[str, str] = {}
        for one, other in zip(shown.goal.statements, scene.goal.statements, strict=False):
            if len(one) == len(other):
                self._match(one[1:], other[1:])

    def _match(self, names: tuple[str, ...], others: tuple[str, ...]) -> None:
        for name, other in zip(names, others, strict=True):
            self._bodies[_body(self._shown, name)] = _body(self._scene, other)
            self._owners[_owner(self._shown, name)] = _owner(self._scene, other)

    def __call__(self, body: str) -> str:
        """Returns the name of the body that stands for another.

        Raises:
            UserError: There is none.
        """
        if body in self._bodies:
            return self._bodies[body]
        owner = _owner(self._shown, body)
        other = self._owners.get(owner, owner) + body.removeprefix(owner)
        if other not in self._scene.body_ids:
            raise UserError(
                f"{self._scene.task} has nothing that stands for '{body}' in the demonstration of "
                f"{self._shown.task}. Give human demonstrations of its own."
            )
        return other


def _body(scene: Scene, name: str) -> str:
    """Returns the body of an object, a fixture, or a region of one."""
    return scene.model.body(scene.body_ids[name]).name


def _owner(scene: Scene, name: str) -> str:
    """Returns the object or fixture that a body or a region belongs to; else the name itself."""
    things = [part.name for part in scene.state_layout.parts if part.kind != "joint"]
    owners = [thing for thing in things if name == thing or name.startswith(f"{thing}_")]
    return max(owners, key=len, default=name)
