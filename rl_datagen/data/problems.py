"""What is wrong with a dataset: one problem, all of them, and what the bytes of a file show."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rl_datagen.core.errors import DatasetError, first_line
from rl_datagen.core.storage import sha256
from rl_datagen.data.manifest import FileEntry, next_step

Kind = Literal[
    "manifest", "missing", "truncated", "checksum", "swapped", "extra", "schema", "episode"
]
MAX_SHOWN = 100
"""Problems that an error lists."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: What sort of damage.
        path: The damaged file, relative to the dataset.
        message: A sentence that names the file, and the checksums where they differ.
    """

    kind: Kind
    path: str
    message: str

    @classmethod
    def of_episode(cls, path: str, message: str) -> "Problem":
        """Returns what is wrong with an episode of a file; the message begins small."""
        return cls("episode", path, f"{path}: {message}.")

    @classmethod
    def unreadable(cls, path: str, error: Exception) -> "Problem":
        """Returns what to say of a file whose bytes are as listed and yet no Parquet."""
        return cls("schema", path, f"{path} is not a readable Parquet file: {first_line(error)}.")


@dataclass(frozen=True)
class VerifyReport:
    """What was looked at and what was wrong.

    Attributes:
        dataset: The dataset's folder.
        num_shards: Shards the manifest lists.
        num_episodes: Episodes the manifest lists.
        num_rows: Env steps the manifest lists.
        num_bytes: Size of the listed files.
        problems: Empty for a sound dataset.
        content_hash: See ``Manifest``; empty if the manifest cannot be read.
    """

    dataset: Path
    num_shards: int
    num_episodes: int
    num_rows: int
    num_bytes: int
    problems: tuple[Problem, ...]
    content_hash: str = ""

    @property
    def ok(self) -> bool:
        """Whether the dataset is sound."""
        return not self.problems

    def check(self) -> None:
        """Raises if anything is wrong.

        Raises:
            DatasetError: Names each problem and the next step.
        """
        if self.problems:
            found = "\n".join(f"- {problem.message}" for problem in self.problems[:MAX_SHOWN])
            more = len(self.problems) - MAX_SHOWN
            raise DatasetError(
                f"Dataset {self.dataset} has {len(self.problems)} problem(s):\n{found}\n"
                f"{f'- and {more} more' + chr(10) if more > 0 else ''}{next_step(self.dataset)}"
            )


def check_bytes(dataset: Path, entry: FileEntry, listed: Mapping[str, str]) -> Iterator[Problem]:
    """Yields what is wrong with a file's bytes; ``listed`` says whose they are, by checksum."""
    path = dataset / entry.path
    if not path.is_file():
        yield Problem("missing", entry.path, f"{entry.path} is missing.")
        return
    actual, size = sha256(path), path.stat().st_size
    if actual == entry.sha256:
        if size != entry.num_bytes:
            message = f"{entry.path} has {size} bytes, the manifest says {entry.num_bytes}."
            yield Problem("manifest", entry.path, message)
        return
    sums = f"its SHA-256 is {actual}, the manifest says {entry.sha256}"
    if actual in listed:
        message = f"{entry.path} holds the content of {listed[actual]}: {sums}."
        yield Problem("swapped", entry.path, message)
    elif size < entry.num_bytes:
        message = f"{entry.path} is cut off at {size} of {entry.num_bytes} bytes: {sums}."
        yield Problem("truncated", entry.path, message)
    else:
        yield Problem("checksum", entry.path, f"{entry.path} is damaged: {sums}.")
