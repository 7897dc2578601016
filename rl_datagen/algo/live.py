"""How an iteration goes while it runs: told by the env runners, said about every second."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from rl_datagen.runtime.background import every_second


@dataclass
class Sampled:
    """Counts the episodes that have ended; a Ray actor, where env runners are.

    Attributes:
        episodes: How many have.
        successes: How many of them reached the goal.
        env_steps: Their lengths together.
    """

    episodes: int = 0
    successes: int = 0
    env_steps: int = 0
    _begin: float = field(default_factory=time.monotonic)

    def add(self, success: bool, num_env_steps: int) -> None:
        """Counts an episode."""
        self.episodes += 1
        self.successes += success
        self.env_steps += num_env_steps

    def clear(self) -> None:
        """Begins anew."""
        self.__init__()

    def describe(self, num_episodes: int) -> str:
        """Returns success, length and throughput so far, in words.

        Args:
            num_episodes: How many are sampled.
        """
        count = f"{self.episodes}/{num_episodes}"
        if not self.episodes:
            return count
        rate = self.env_steps / max(time.monotonic() - self._begin, 1e-9)
        return (
            f"{count}: {self.successes / self.episodes:.0%} success, "
            f"{self.env_steps / self.episodes:.0f} env steps, {rate:.0f} steps/s"
        )


class Watch:
    """Says what an algorithm is at.

    Args:
        algo: A ``DPPO``, whose ``activity`` says what it does.
        say: Told in words.
    """

    def __init__(self, algo: Any, say: Callable[[str], None]) -> None:
        self._algo, self._say = algo, say
        self._num_episodes = algo.config.settings.num_episodes_per_iteration

    @contextmanager
    def iteration(self) -> Generator[None]:
        """Watches the iteration that runs inside."""
        self._clear()
        with every_second(self._look):
            yield

    def _look(self) -> None:
        line = self._algo.activity
        if line == "samples":
            with suppress(RayError):  # the algorithm says what is wrong
                line += f" {self._describe()}"
        self._say(line)

    def _clear(self) -> None:
        if board := self._algo.config.board:
            board.clear.remote()
        else:
            self._algo.env_runner_group.local_env_runner.sampled.clear()

    def _describe(self) -> str:
        if board := self._algo.config.board:
            return ray.get(board.describe.remote(self._num_episodes))
        sampled: Sampled = self._algo.env_runner_group.local_env_runner.sampled
        return sampled.describe(self._num_episodes)


def make_board() -> Any:
    """Returns a ``Sampled`` that env runners in other processes tell."""
    return ray.remote(num_cpus=0)(Sampled).remote()


def note_episode(*, episode: Any, env_runner: Any, **_: Any) -> None:
    """RLlib's callback at an episode's end."""
    info = episode.get_infos(-1)
    counts = bool(info["success"]), int(info["num_env_steps"])
    if board := env_runner.config.board:
        board.add.remote(*counts)
    else:
        env_runner.sampled.add(*counts)
