"""Reading a dataset: its episodes, their constants and their images.

::

    <dataset>/manifest.json
              shards/libero_goal/3/part-00000.parquet     one row per env step
              episodes/libero_goal/3/part-00000.parquet   one row per episode
              images/libero_goal/3/part-00000-00.parquet  one row per rendered env step
              videos/  README.md

The Parquet files are plain: ``ray.data.read_parquet(f"{dataset}/shards")`` and
``pyarrow.dataset.dataset(f"{dataset}/shards")`` read them too. The readers here compare each
file's checksum with the manifest's first.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rl_datagen.core.errors import DatasetError
from rl_datagen.data.images import RenderedEpisode, decode_images
from rl_datagen.data.manifest import FileEntry, check_file, read_manifest
from rl_datagen.data.schema import EPISODES_SCHEMA
from rl_datagen.data.shards import open_parquet, to_trajectory
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
        if task not in (None, shard.task):
            continue
        rows = _read_table(dataset, shard.episodes).to_pylist()
        rows = [row for row in rows if episode_ids is None or row["episode_id"] in episode_ids]
        if rows:
            file = open_parquet(check_file(dataset, shard.steps))
            for row in rows:
                yield to_trajectory(file.read_row_group(row["row_group"]), row)


def read_episodes(dataset: Path, *, task: str | None = None) -> pa.Table:
    """Returns the episodes table: one row per episode, the columns of ``EPISODES_SCHEMA``.

    Raises:
        DatasetError: A file is missing or damaged.
    """
    shards = [s for s in read_manifest(dataset).shards if task in (None, s.task)]
    tables = [_read_table(dataset, shard.episodes) for shard in shards]
    return pa.concat_tables(tables) if tables else EPISODES_SCHEMA.empty_table()


def read_images(dataset: Path, episode_id: str) -> RenderedEpisode:
    """Returns an episode's camera images.

    Raises:
        DatasetError: The episode is unknown or not rendered, or its file is damaged.
    """
    rendered: list[str] = []
    for shard in read_manifest(dataset).shards:
        for entry in shard.images:
            file = open_parquet(check_file(dataset, entry))
            for index, name in enumerate(_row_group_episodes(file)):
                if name == episode_id:
                    return decode_images(file.read_row_group(index))
                rendered.append(name)
    raise DatasetError(
        f"Episode '{episode_id}' of dataset {dataset} has no images. Rendered are: "
        f"{', '.join(rendered) or 'none'}."
    )


def rendered_episodes(dataset: Path) -> list[str]:
    """Returns the ids of the episodes that have images, in the order of rendering."""
    return [
        name
        for shard in read_manifest(dataset).shards
        for entry in shard.images
        for name in _row_group_episodes(open_parquet(check_file(dataset, entry)))
    ]


def _row_group_episodes(file: pq.ParquetFile) -> Iterator[str]:
    """Yields the episode id of each row group, from the file's statistics alone."""
    for index in range(file.num_row_groups):
        yield file.metadata.row_group(index).column(0).statistics.min


def _read_table(dataset: Path, entry: FileEntry) -> pa.Table:
    return open_parquet(check_file(dataset, entry)).read()
