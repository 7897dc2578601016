"""Whether Ray can place what is asked of it: Ray itself waits for room that never comes, silently.

On this machine's own Ray what does not fit now never will, so it is refused. A cluster may be about
to grow, so there it is said about every minute.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray

from rl_datagen.config import AlgoConfig
from rl_datagen.core.errors import MachineError
from rl_datagen.runtime.background import every_second

logger = logging.getLogger(__name__)

Bundle = Mapping[str, float]
"""Resources that one process needs on one node, by Ray's names."""

_SECONDS_BETWEEN_WORDS = 60.0
_EPSILON = 1e-6  # shares of a GPU are added up


def actors(algo: AlgoConfig) -> list[Bundle]:
    """Returns what learners and env runners need, each."""
    learner = {"CPU": 1, "GPU": algo.num_gpus_per_learner}
    env_runner = {"CPU": 1, "GPU": algo.num_gpus_per_env_runner}
    bundles = [learner] * algo.num_learners + [env_runner] * algo.num_env_runners
    return [{name: amount for name, amount in bundle.items() if amount} for bundle in bundles]


def settings_of_actors(algo: AlgoConfig) -> str:
    """Returns the settings that decide what ``actors`` need, with their values."""
    names = ("num_learners", "num_gpus_per_learner", "num_env_runners", "num_gpus_per_env_runner")
    return ", ".join(f"algo.{name}={value:g}" for name in names if (value := getattr(algo, name)))


def missing_room(bundles: Sequence[Bundle]) -> str | None:
    """Returns what is asked for and what there is, if no room is large enough even when empty."""
    nodes: list[Bundle] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    total, asked = _sum(nodes), _sum(bundles)
    if not _holds(total, asked):
        return f"{_words(asked, asked)} needed, and {_words(total, asked)} there"
    for bundle in bundles:
        if not any(_holds(node, bundle) for node in nodes):
            return f"{_words(bundle, bundle)} needed on one node, and no node has as much"
    return None


def check_room(bundles: Sequence[Bundle], settings: str) -> None:
    """Refuses what this machine's own Ray can never place; elsewhere it may come.

    Args:
        bundles: What has to run at the same time.
        settings: Those that ask for it, with their values, for the message.

    Raises:
        MachineError: There will never be room.
    """
    missing = missing_room(bundles) if _alone() else None
    if missing:
        raise MachineError(
            f"{settings}: {missing}, so it would wait for ever. Lower what is asked for, or set "
            "RAY_ADDRESS to the address of a cluster that has as much."
        )


@contextmanager
def room_for(bundles: Sequence[Bundle], settings: str) -> Iterator[None]:
    """Checks as ``check_room``, and watches as ``RoomWatch`` what a library waits for meanwhile.

    Args:
        bundles: What has to run at the same time.
        settings: Those that ask for it, with their values.

    Raises:
        MachineError: There will never be room.
    """
    check_room(bundles, settings)
    with every_second(RoomWatch(bundles, settings).look):
        yield


class RoomWatch:
    """Says about every minute that there is no room on a cluster, while somebody waits for it.

    Args:
        bundles: What has to run at the same time.
        settings: Those that ask for it, with their values.

    Attributes:
        said: What it said last; None: there is room.
    """

    def __init__(self, bundles: Sequence[Bundle], settings: str) -> None:
        self.said: str | None = None
        self._bundles, self._settings = bundles, settings
        self._looked = time.monotonic()

    def look(self) -> bool:
        """Looks if a minute has passed; returns whether it has."""
        if time.monotonic() - self._looked < _SECONDS_BETWEEN_WORDS:
            return False
        self._looked = time.monotonic()
        missing = missing_room(self._bundles)
        self.said = missing and f"waits for room on the cluster: {missing} ({self._settings})"
        if self.said:
            logger.warning("%s; it goes on if the cluster grows", self.said)
        return True


def _alone() -> bool:
    """Whether Ray is this machine's own and this process drives it.

    What runs inside a task has its room already.
    """
    if os.environ.get("RAY_ADDRESS", "local") != "local" or len(ray.nodes()) > 1:
        return False
    context: Any = ray.get_runtime_context()
    return context.get_task_id() is None and context.get_actor_id() is None


def _sum(bundles: Sequence[Bundle]) -> Bundle:
    names = {name for bundle in bundles for name in bundle}
    return {name: sum(bundle.get(name, 0) for bundle in bundles) for name in names}


def _holds(room: Bundle, bundle: Bundle) -> bool:
    return all(room.get(name, 0) + _EPSILON >= amount for name, amount in bundle.items())


def _words(resources: Bundle, asked: Bundle) -> str:
    amounts = {name: resources.get(name, 0) for name, wanted in asked.items() if wanted}
    words = [f"{n:g} {name}{'' if n == 1 else 's'}" for name, n in sorted(amounts.items())]
    verb = "is" if list(amounts.values()) == [1] else "are"
    return f"{' and '.join(words)} {verb}"
