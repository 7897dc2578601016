"""What datasets hold of a task, without reading its steps."""

from dataclasses import dataclass
from pathlib import Path

from rl_datagen.data.dataset import read_episodes
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.trajectory import Source


@dataclass(frozen=True)
class Stored:
    """One source's episodes of one task.

    Attributes:
        num_episodes: Stored.
        num_successes: Those that reached the goal.
        num_attempts: Episodes that were run for them; None: not recorded.
    """

    num_episodes: int = 0
    num_successes: int = 0
    num_attempts: int | None = 0

    def __add__(self, other: "Stored") -> "Stored":
        known = self.num_attempts is not None and other.num_attempts is not None
        return Stored(
            self.num_episodes + other.num_episodes,
            self.num_successes + other.num_successes,
            (self.num_attempts or 0) + (other.num_attempts or 0) if known else None,
        )


def stored_episodes(dataset: Path, task: str) -> dict[Source, Stored]:
    """Returns what a dataset holds of a task, by source.

    Raises:
        DatasetError: It is damaged.
    """
    found: dict[Source, Stored] = {}
    table = read_episodes(dataset, task=task).select(["shard", "source", "success"])
    successes: dict[str, dict[Source, list[bool]]] = {}
    for shard, source, success in zip(*(c.to_pylist() for c in table.columns), strict=True):
        successes.setdefault(shard, {}).setdefault(source, []).append(success)
    attempts = {shard.steps.path: shard.num_attempts for shard in read_manifest(dataset).shards}
    for shard, sources in successes.items():
        for source, outcomes in sources.items():
            # A shard's attempts are of one source.
            made = attempts[shard] if len(sources) == 1 else None
            stored = Stored(len(outcomes), sum(outcomes), made)
            found[source] = found.get(source, Stored()) + stored
    return found
