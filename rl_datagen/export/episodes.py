"""The episodes of a part of an export, one at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import compress
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Bool

from rl_datagen.core.errors import DatasetError
from rl_datagen.data.branches import opening_of
from rl_datagen.data.dataset import ShardReader
from rl_datagen.data.images import RenderedEpisode, decode_images, row_group_episodes
from rl_datagen.data.manifest import FileEntry, Shard, check_file
from rl_datagen.data.shards import open_parquet, read_row_group
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.export.plan import Look, Plan, Planned

_NOT_ROWS = ("init_state", "fixture_poses")  # arrays of a trajectory that have no row per env step


@dataclass(frozen=True)
class Part:
    """Episodes that follow one another and share files.

    Attributes:
        number: Of the part.
        num_parts: How many there are.
        episodes: The episodes.
    """

    number: int
    num_parts: int
    episodes: tuple[Planned, ...]

    @property
    def num_frames(self) -> int:
        """Frames of all its episodes."""
        return sum(each.length for each in self.episodes)


def in_parts(groups: list[list[Planned]]) -> list[Part]:
    """Returns groups of episodes as parts."""
    return [Part(number, len(groups), tuple(group)) for number, group in enumerate(groups)]


def in_parts_of(plan: Plan, max_frames: float) -> list[Part]:
    """Returns the episodes in parts; one that begins beyond so many frames begins a new part.

    The parts depend on the dataset and the settings alone, and not on who writes them.
    """
    groups: list[list[Planned]] = [[]]
    count = 0
    for episode in plan.episodes:
        if groups[-1] and count >= max_frames:
            groups.append([])
            count = 0
        groups[-1].append(episode)
        count += episode.length
    return in_parts(groups)


@dataclass(frozen=True)
class Source:
    """Where a worker reads the episodes of a part.

    Attributes:
        dataset: Folder of the dataset, absolute.
        shards: Those of the episodes, by steps file.
        drop_noops: See ``Choice``.
        look: What their images have in common; None: they are not read.
        views: See ``Choice``.
    """

    dataset: Path
    shards: dict[str, Shard]
    drop_noops: bool
    look: Look | None
    views: bool = False

    def read(self, part: Part) -> Iterator[tuple[Trajectory, RenderedEpisode | None]]:
        """Yields the episodes of a part, each with its images.

        Raises:
            DatasetError: A file is missing or damaged, or an episode is not as its table says.
        """
        for planned in part.episodes:
            opened = open_shard(self.dataset, self.shards[planned.shard])  # pyright: ignore[reportArgumentType]
            trajectory = opened.reader.read(planned.episode_id)
            rendered = None
            if self.look is not None:
                rendered = opened.images(planned.episode_id, views=self.views)
            if rendered is not None:
                self._check_look(rendered)
            kept = kept_steps(trajectory, drop_noops=self.drop_noops)
            if not kept.all():
                trajectory, rendered = only(kept, trajectory, rendered)
            if len(trajectory) != planned.length:
                raise DatasetError(
                    f"Episode '{planned.episode_id}' of dataset {self.dataset} has "
                    f"{len(trajectory)} env steps to export, and by its columns length and is_noop "
                    f"{planned.length}. `rl-datagen dataset verify {self.dataset}` says more."
                )
            yield trajectory, rendered

    def _check_look(self, rendered: RenderedEpisode) -> None:
        assert self.look is not None
        size = rendered.agentview.shape[1:3]
        if (size, rendered.appearance) != (self.look.size, self.look.appearance):
            raise DatasetError(
                f"The images of episode '{rendered.episode_id}' have {size[0]} x {size[1]} pixels "
                f"and the appearance '{rendered.appearance}', those before it {self.look.size[0]} "
                f"x {self.look.size[1]} and '{self.look.appearance}': one export has one kind. "
                "Render all of them again."
            )
        if self.views and rendered.settings != self.look.views:
            raise DatasetError(
                f"The images of episode '{rendered.episode_id}' have other depth, segmentation, "
                "cameras or copies beside them than those before it: one export has one kind. "
                "Render all of them again."
            )


def read_plan(plan: Plan) -> Iterator[tuple[Planned, Trajectory, RenderedEpisode | None]]:
    """Yields all episodes of a plan, each with its images.

    Raises:
        DatasetError: As ``Source.read``.
    """
    open_shard.cache_clear()  # files are checked anew
    source = Source(plan.dataset, plan.shards, plan.choice.drop_noops, plan.look, plan.choice.views)
    pairs = source.read(Part(0, 1, plan.episodes))
    for planned, (trajectory, rendered) in zip(plan.episodes, pairs, strict=True):
        yield planned, trajectory, rendered


class OpenShard:
    """A shard whose files are checked when they are first read."""

    def __init__(self, dataset: Path, shard: Shard) -> None:
        self.reader = ShardReader(dataset, shard)
        self._dataset = dataset
        self._open = lru_cache(2)(self._check)
        self._places: dict[str, tuple[FileEntry, int]] = {
            name: (entry, group)
            for entry in shard.images
            for group, name in enumerate(row_group_episodes(dataset / entry.path))
        }

    def images(self, episode_id: str, *, views: bool) -> RenderedEpisode:
        """Returns an episode's images."""
        entry, group = self._places[episode_id]
        file = self._open(entry)  # pyright: ignore[reportArgumentType]
        table = read_row_group(self._dataset / entry.path, file, group)
        return decode_images(table, views=views)

    def _check(self, entry: FileEntry) -> pq.ParquetFile:
        return open_parquet(check_file(self._dataset, entry))


@lru_cache(2)
def open_shard(dataset: Path, shard: Shard) -> OpenShard:
    """Returns a shard, which stays open: parts that follow one another share it."""
    return OpenShard(dataset, shard)


def kept_steps(trajectory: Trajectory, *, drop_noops: bool) -> Bool[np.ndarray, " T"]:
    """Marks the env steps to learn from: of a recovery, those from the takeover on.

    Args:
        trajectory: The episode.
        drop_noops: Leave out no-ops.
    """
    kept = ~trajectory.noops if drop_noops else np.ones(len(trajectory), bool)
    kept[: opening_of(trajectory.episode_id)] = False
    return kept


def only(
    kept: Bool[np.ndarray, " T"], trajectory: Trajectory, rendered: RenderedEpisode | None
) -> tuple[Trajectory, RenderedEpisode | None]:
    """Returns some env steps of an episode; it does not replay bit for bit any more."""
    arrays = {
        field.name: getattr(trajectory, field.name)[kept]
        for field in fields(trajectory)
        if field.name not in _NOT_ROWS and hasattr(getattr(trajectory, field.name), "shape")
    }
    if rendered is not None:
        images = {"agentview": rendered.agentview[kept], "wrist": rendered.wrist[kept]}
        views = {name: view.at(kept) for name, view in rendered.views.items()}
        encoded = {name: [*compress(data, kept)] for name, data in rendered.encoded.items()}
        rendered = replace(rendered, **images, views=views, encoded=encoded)
    return replace(trajectory, **arrays), rendered
