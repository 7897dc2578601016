"""Reading a dataset: its episodes, their constants and their images.

::

    <dataset>/manifest.json
              shards/libero_goal/3/part-00000.parquet     one row per env step
              episodes/libero_goal/3/part-00000.parquet   one row per episode
              images/libero_goal/3/part-00000-00000.parquet  one row per rendered env step
              labels/libero_goal/3/part-00000.parquet     one row per labelled env step
              videos/  README.md

The Parquet files are plain: ``ray.data.read_parquet(f"{dataset}/shards")`` and
``pyarrow.dataset.dataset(f"{dataset}/shards")`` read them too. The readers here compare each
file's checksum with the manifest's first.
"""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rl_datagen.core.errors import DatasetError, did_you_mean, quoted
from rl_datagen.data.images import RenderedEpisode, decode_images, row_group_episodes
from rl_datagen.data.labels import EpisodeLabels, decode_labels
from rl_datagen.data.manifest import Shard, check_file, next_step, read_manifest
from rl_datagen.data.names import check_name, refused
from rl_datagen.data.schema import EPISODES_SCHEMA
from rl_datagen.data.shards import (
    open_parquet,
    read_parquet,
    read_row_group,
    reading,
    to_trajectory,
)
from rl_datagen.data.trajectory import Trajectory


def read_trajectories(
    dataset: Path, *, task: str | None = None, episode_ids: Collection[str] | None = None
) -> Iterator[Trajectory]:
    """Yields stored episodes, bit for bit as they were written, in the order of writing.

    Args:
        dataset: The dataset's folder.
        task: Only this task's, such as ``"libero_goal/3"``.
        episode_ids: Only these.

    Raises:
        DatasetError: A file is missing or damaged.
    """
    for shard in read_manifest(dataset).shards:
        if task in (None, shard.task):
            yield from _read_shard(dataset, shard, episode_ids)


def read_rendered(
    dataset: Path,
    *,
    task: str | None = None,
    episode_ids: Collection[str] | None = None,
    views: bool = False,
) -> Iterator[tuple[Trajectory, RenderedEpisode | None]]:
    """Yields stored episodes with their images, one episode in memory at a time.

    Each file's checksum is compared once.

    Args:
        dataset: The dataset's folder.
        task: Only this task's, such as ``"libero_goal/3"``.
        episode_ids: Only these.
        views: Decode also what was rendered besides LIBERO's two images; see ``RenderedEpisode``.

    Yields:
        Episodes in the order of writing, each with what the cameras saw; None: not rendered.

    Raises:
        DatasetError: A file is missing or damaged.
    """
    for shard in read_manifest(dataset).shards:
        if task not in (None, shard.task):
            continue
        images = {
            name: (path, file, index)
            for path in [check_file(dataset, entry) for entry in shard.images]
            for file in [open_parquet(path)]
            for index, name in enumerate(row_group_episodes(path, file))
        }
        for trajectory in _read_shard(dataset, shard, episode_ids):
            found = images.get(trajectory.episode_id)
            table = found and read_row_group(*found)
            yield trajectory, decode_images(table, views=views) if table else None


def read_episodes(dataset: Path, *, task: str | None = None) -> pa.Table:
    """Returns the episodes table: one row per episode, the columns of ``EPISODES_SCHEMA``.

    Raises:
        DatasetError: A file is missing or damaged.
    """
    shards = [s for s in read_manifest(dataset).shards if task in (None, s.task)]
    return read_episodes_of(dataset, shards)


def check_episodes(dataset: Path, episode_ids: Collection[str]) -> None:
    """Checks that a dataset has these episodes.

    Raises:
        DatasetError: It lacks one; or a file is missing or damaged.
    """
    there = read_episodes(dataset)["episode_id"].to_pylist()
    for name in episode_ids:
        if name not in set(there):
            known = f"has {len(there)}, such as {', '.join(there[:3])}" if there else "has none"
            raise DatasetError(
                f"{dataset} holds no episode {quoted(name)}.{did_you_mean(name, there)} It {known}."
            )


def read_episodes_of(dataset: Path, shards: Iterable[Shard]) -> pa.Table:
    """Returns the rows of some shards in the episodes table.

    Raises:
        DatasetError: A file is missing or damaged.
    """
    tables = [_read_episodes(dataset, shard) for shard in shards]
    return pa.concat_tables(tables) if tables else EPISODES_SCHEMA.empty_table()


def read_images(dataset: Path, episode_id: str, *, views: bool = False) -> RenderedEpisode:
    """Returns an episode's camera images.

    Args:
        dataset: The dataset's folder.
        episode_id: The episode.
        views: Also what was rendered besides LIBERO's two images.

    Raises:
        DatasetError: The episode is unknown or not rendered, or its file is damaged.
    """
    table = read_encoded_images(dataset, episode_id)
    if table is None:
        rendered = rendered_episodes(dataset, check=False)
        raise DatasetError(
            f"Episode '{episode_id}' of dataset {dataset} has no images. Rendered are: "
            f"{', '.join(rendered) or 'none'}."
        )
    return decode_images(table, views=views)


def read_encoded_images(dataset: Path, episode_id: str) -> pa.Table | None:
    """Returns an episode's rows of ``IMAGES_SCHEMA``: its images as they are stored.

    Returns:
        None if the episode is unknown or not rendered.

    Raises:
        DatasetError: A file is missing or damaged.
    """
    for shard in read_manifest(dataset).shards:
        for entry in shard.images:
            path = check_file(dataset, entry)
            file = open_parquet(path)
            for index, name in enumerate(row_group_episodes(path, file)):
                if name == episode_id:
                    return read_row_group(path, file, index)
    return None


def read_labels(dataset: Path, episode_id: str) -> EpisodeLabels:
    """Returns an episode's labels.

    Raises:
        DatasetError: The episode is unknown or not labelled, or its file is damaged.
    """
    for shard in read_manifest(dataset).shards:
        rows = _read_episodes(dataset, shard).select(["episode_id", "row_group"]).to_pylist()
        group = {row["episode_id"]: row["row_group"] for row in rows}.get(episode_id)
        if group is not None and shard.labels is not None:
            path = check_file(dataset, shard.labels)
            with reading(path):
                return decode_labels(open_parquet(path).read_row_group(group))
    raise DatasetError(
        f"Episode '{episode_id}' of dataset {dataset} has no labels. `rl-datagen dataset label "
        f"{dataset}` makes those of all its episodes."
    )


def read_failures(dataset: Path) -> dict[str, str | None]:
    """Returns why each labelled episode did not reach the goal; None: it did.

    Raises:
        DatasetError: A file is missing or damaged.
    """
    found: dict[str, str | None] = {}
    for shard in read_manifest(dataset).shards:
        if shard.labels is None:
            continue
        path = check_file(dataset, shard.labels)
        with reading(path):
            table = open_parquet(path).read(columns=["episode_id", "failure"])
            found.update(zip(*table.to_pydict().values(), strict=True))
    return found


def rendered_episodes(dataset: Path, *, check: bool = True) -> list[str]:
    """Returns the ids of the episodes that have images, in the order of rendering.

    Args:
        dataset: The dataset's folder.
        check: Compare the checksums of the files, which reads all of them.

    Raises:
        DatasetError: A file is missing or damaged.
    """
    return [
        name
        for shard in read_manifest(dataset).shards
        for entry in shard.images
        for name in row_group_episodes(
            check_file(dataset, entry) if check else dataset / entry.path
        )
    ]


class ShardReader:
    """Reads episodes of one shard, whose checksums are compared once.

    Args:
        dataset: The dataset's folder.
        shard: One of its shards.

    Raises:
        DatasetError: A file is missing or damaged.
    """

    def __init__(self, dataset: Path, shard: Shard) -> None:
        rows = _read_episodes(dataset, shard).to_pylist()
        self._rows = {row["episode_id"]: row for row in rows}
        self._file: pq.ParquetFile | None = None
        self._dataset, self._steps = dataset, shard.steps

    @property
    def episode_ids(self) -> list[str]:
        """Its episodes, in the order of writing."""
        return list(self._rows)

    def read(self, episode_id: str) -> Trajectory:
        """Returns an episode, bit for bit as it was written."""
        if self._file is None:
            self._file = open_parquet(check_file(self._dataset, self._steps))
        row = self._rows[episode_id]
        with reading(self._dataset / self._steps.path):
            return to_trajectory(self._file.read_row_group(row["row_group"]), row)


def _read_shard(
    dataset: Path, shard: Shard, episode_ids: Collection[str] | None
) -> Iterator[Trajectory]:
    reader = ShardReader(dataset, shard)
    for name in reader.episode_ids:
        if episode_ids is None or name in episode_ids:
            yield reader.read(name)


def _read_episodes(dataset: Path, shard: Shard) -> pa.Table:
    """Returns a shard's episodes, whose names are checked: files are called after them."""
    path = check_file(dataset, shard.episodes)
    table = read_parquet(path, EPISODES_SCHEMA)
    try:
        check_places(table, shard)
    except ValueError as error:
        raise refused(path, error, next_step(dataset)) from None
    return table


def check_places(table: pa.Table, shard: Shard) -> None:
    """Checks what rows of the episodes table name: episodes, task, file and row groups.

    Raises:
        ValueError: A name is not allowed, or is of another shard.
    """
    for name in table["episode_id"].to_pylist():
        check_name(name)
    for column, expected in (("task", shard.task), ("shard", shard.steps.path)):
        for found in table[column].unique().to_pylist():
            if found != expected:
                raise ValueError(f"{column}={quoted(found)} is not '{expected}', its own")
    groups = table["row_group"].to_pylist()
    if groups != list(range(len(groups))):
        raise ValueError(f"row_group={quoted(groups)}: 0, 1, ... in this order is allowed")
