"""A dataset's writer, which can be killed at any time.

What a kill leaves is sound because of the order of writes. A file is written under a temporary
name, brought to the disk, and renamed: under its own name it is whole. Only then a line of the
journal lists it, and what neither journal nor manifest lists does not exist. Only when the manifest
has every line of the journal is the journal deleted. So at each moment the listed files are there
and whole; what a killed writer leaves besides is hidden temporary files and whole files that
nothing lists, which the next writer replaces.
"""

import json
import logging
import re
import secrets
from collections.abc import Iterable, Iterator, KeysView, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import pyarrow as pa

from rl_datagen.config import Appearance
from rl_datagen.core.compare import differences
from rl_datagen.core.disk import reason
from rl_datagen.core.errors import DatasetError, DiskError
from rl_datagen.core.lock import lock
from rl_datagen.core.provenance import provenance
from rl_datagen.core.storage import temporary_of
from rl_datagen.data.dataset import read_episodes_of
from rl_datagen.data.files import (
    LOCK_NAME,
    Delivery,
    Images,
    Labels,
    NewImages,
    NewLabels,
    NewShard,
    Target,
    images_path,
    steps_path,
    writing,
)
from rl_datagen.data.images import RenderedEpisode, appearance_of, images_table
from rl_datagen.data.journal import JOURNAL_NAME, append_line
from rl_datagen.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    Shard,
    read_manifest,
    write_manifest,
)
from rl_datagen.data.schema import UNRECORDED_APPEARANCE
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.tasks.files import task_digests

_TEMPORARIES = {
    ".": r"manifest\.json|README\.md",
    "shards": r"part-[\w.-]+\.parquet",
    "episodes": r"part-[\w.-]+\.parquet",
    "images": r"part-[\w.-]+\.parquet",
    "labels": r"part-[\w.-]+\.parquet",
    "videos": r"[\w.-]+\.mp4",
}
"""Files that this program writes, by their folder."""

logger = logging.getLogger(__name__)


class DatasetWriter:
    """Adds shards to a dataset; what is in it already is never repeated.

    Use it as a context manager. One writer at a time holds a dataset; a killed one leaves at most
    hidden temporary files and unlisted whole files, which the next writer replaces. The same
    shards make the same dataset in whichever order they are added. What adding a shard takes does
    not grow with the dataset.

    Args:
        path: The dataset's folder; made if it does not exist.
        config: Resolved configuration, JSON-ready. A dataset belongs to one configuration. None:
            the dataset exists, and whichever it belongs to is right.
        origin: Provenance to record; None describes this machine.

    Raises:
        DatasetError: The folder belongs to another configuration, is not a dataset, is damaged,
            cannot be written, or another process is writing to it.
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
                path / LOCK_NAME,
                f"Another process is writing to the dataset {path}. Wait until it has finished, or "
                "choose another name (name=...).",
                DatasetError,
            )
            try:
                token = secrets.token_hex(16)
                self._lock.truncate(0)
                print(token, end="", file=self._lock, flush=True)
                self.target = Target(path.absolute(), token)
                self._manifest = self._open(config, origin)
            except BaseException:
                self._lock.close()
                raise
        self._journal: BinaryIO | None = None
        self._changed = False
        self._shards = {shard.steps.path: shard for shard in self._manifest.shards}
        self._appearance: Appearance | None = self._manifest.appearance
        self._has_images = any(shard.images for shard in self._manifest.shards)
        self._places: dict[str, tuple[str, int]] = {}
        self._placed: set[str] = set()

    @property
    def manifest(self) -> Manifest:
        """What the dataset holds now."""
        if self._changed:
            self._manifest = self._manifest.with_shards(self._shards.values(), self._appearance)
            self._changed = False
        return self._manifest

    @property
    def episode_ids(self) -> KeysView[str]:
        """Episodes it holds now; a collector need not make them again."""
        return self._known().keys()

    def has_part(self, task: str, part: int) -> bool:
        """Whether the dataset holds the shard of a task with this number."""
        return steps_path(task, part) in self._shards

    def shard_of(self, episode_id: str) -> Shard:
        """Returns the shard that holds an episode.

        Raises:
            DatasetError: None does.
        """
        path, _ = self._known().get(episode_id, ("", 0))
        if path not in self._shards:
            raise DatasetError(f"The dataset {self.path} has no episode '{episode_id}'.")
        return self._shards[path]

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
        known = self._known()
        new = [t for t in trajectories if t.episode_id not in known]
        if len(new) < len(trajectories):
            logger.info("skipped dataset=%s present=%d", self.path, len(trajectories) - len(new))
        if new:
            part = self._next_part(new[0].task) if part is None else part
            self.take(NewShard(new, part, expert, num_attempts))
            path = steps_path(new[0].task, part)  # it need not be read to know who is in it
            self._places.update((t.episode_id, (path, index)) for index, t in enumerate(new))
            self._placed.add(path)

    def take(self, delivery: Delivery) -> None:
        """Lists what a worker has delivered, and first writes it if the worker could not.

        Raises:
            DatasetError: It is there already, cannot be stored, or there is no room left.
        """
        with writing(self.path):
            if isinstance(delivery, NewShard):
                self._refuse_taken(steps_path(delivery.trajectories[0].task, delivery.part))
            if isinstance(delivery, NewShard | NewImages | NewLabels):
                delivery = delivery.write(self.path)
            if isinstance(delivery, Shard):
                self.add(delivery)
            elif isinstance(delivery, Labels):
                self._add_labels(delivery)
            else:
                self._add_images(delivery)

    def add(self, shard: Shard, appearance: Appearance | None = None) -> None:
        """Lists a shard whose files are in place.

        Args:
            shard: The shard.
            appearance: How the textures of its images are coloured, if it has any.

        Raises:
            DatasetError: There is one with its name.
        """
        self._refuse_taken(shard.steps.path)
        self._log({"shard": shard.model_dump(mode="json"), "appearance": appearance})
        self._shards[shard.steps.path] = shard
        self._appearance = appearance or self._appearance
        self._has_images |= bool(shard.images)
        logger.info(
            "stored dataset=%s task=%s shard=%s episodes=%d rows=%d",
            *(self.path, shard.task, shard.steps.path, shard.num_episodes, shard.steps.num_rows),
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
        steps = shard.steps.path
        if steps not in self._shards:
            raise DatasetError(f"The dataset {self.path} has no shard {steps}.")
        tables = (images_table(e) if isinstance(e, RenderedEpisode) else e for e in episodes)
        if (first := next(tables, None)) is None:
            return
        name = first["episode_id"][0].as_py()
        holder, row_group = self._known().get(name, ("", 0))
        path = images_path(steps, row_group)
        if holder != steps or any(entry.path == path for entry in self._shards[steps].images):
            raise DatasetError(
                f"Episode '{name}' is not in {steps} of dataset {self.path}, or has its images "
                "already."
            )
        self._refuse_appearance(appearance_of(first))
        self.take(NewImages(chain([first], tables), steps, row_group))

    def close(self) -> None:
        """Writes the manifest if there is something new, and lets another writer in.

        Without room for the manifest the journal stays, which lists the same.
        """
        try:
            if self._journal is not None:
                self._journal.close()
                self._journal = None
                self._fold(self.manifest)
        except (OSError, DiskError) as error:
            logger.warning("manifest not written dataset=%s error=%s", self.path, reason(error))
        finally:
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
        for leftover in list(leftovers(self.path)):  # of a killed writer; we hold the lock
            leftover.unlink()
        config = json.loads(json.dumps(config))
        if config is not None and not (self.path / MANIFEST_NAME).exists():
            manifest = Manifest(config=dict(config), provenance=dict(origin or _origin()))
            write_manifest(self.path, manifest)
            return manifest
        manifest = read_manifest(self.path)
        if config is not None and (
            keys := [path for path, _, _ in differences(manifest.config, config)]
        ):
            raise DatasetError(
                f"The dataset {self.path} belongs to another configuration: {', '.join(keys[:8])} "
                "differ(s). Nothing was written. Choose another name (name=...) to keep both, or "
                f"start over by deleting {self.path} (quickstart: --fresh)."
            )
        if (self.path / JOURNAL_NAME).exists():  # a killed writer's
            self._fold(manifest)
        return manifest

    def _fold(self, manifest: Manifest) -> None:
        write_manifest(self.path, manifest)
        (self.path / JOURNAL_NAME).unlink(missing_ok=True)

    def _log(self, line: dict[str, Any]) -> None:
        with writing(self.path):
            if self._journal is None:
                self._journal = (self.path / JOURNAL_NAME).open("ab")
            append_line(self._journal, line)
        self._changed = True

    def _add_images(self, images: Images) -> None:
        self._refuse_appearance(images.appearance)
        shard = self._shards[images.of]
        entry = images.file.model_dump(mode="json")
        self._log({"images": entry, "of": images.of, "appearance": images.appearance})
        self._shards[images.of] = shard.with_images(images.file)
        self._appearance, self._has_images = images.appearance, True
        logger.info(
            "rendered dataset=%s images=%s frames=%d",
            *(self.path, images.file.path, images.file.num_rows),
        )

    def _add_labels(self, labels: Labels) -> None:
        self._log({"labels": labels.file.model_dump(mode="json"), "of": labels.of})
        self._shards[labels.of] = self._shards[labels.of].with_labels(labels.file)
        logger.info(
            "labelled dataset=%s labels=%s frames=%d",
            *(self.path, labels.file.path, labels.file.num_rows),
        )

    def _refuse_taken(self, path: str) -> None:
        if path in self._shards:
            raise DatasetError(f"The dataset {self.path} has a shard {path} with other episodes.")

    def _refuse_appearance(self, appearance: Appearance) -> None:
        there = self._appearance or UNRECORDED_APPEARANCE
        if self._has_images and there != appearance:
            raise DatasetError(
                f"The images of dataset {self.path} have the appearance '{there}', these "
                f"'{appearance}'; one dataset has one. Nothing was written."
            )

    def _known(self) -> dict[str, tuple[str, int]]:
        """Returns the shard and the row group of each episode."""
        if len(self._placed) == len(self._shards):
            return self._places
        new = [s for path, s in self._shards.items() if path not in self._placed]
        columns = ["episode_id", "shard", "row_group"]
        for row in read_episodes_of(self.path, new).select(columns).to_pylist():
            self._places[row["episode_id"]] = (row["shard"], row["row_group"])
        self._placed.update(shard.steps.path for shard in new)
        return self._places

    def _next_part(self, task: str) -> int:
        parts = [shard.part for shard in self._shards.values() if shard.task == task]
        return max(parts, default=-1) + 1


def _origin() -> dict[str, Any]:
    """Code, versions and hardware, and which definition each task has here.

    Only the manifest has the latter: it is not hashed, so the same episodes are the same dataset.
    """
    return {**provenance(), "task_files": task_digests()}


def leftovers(dataset: Path) -> Iterator[Path]:
    """Yields the temporary files that a killed writer left, and no other hidden file."""
    for folder, mine in _TEMPORARIES.items():
        pattern = ".*" if folder in (".", "videos") else "**/.*"
        for path in (dataset / folder).glob(pattern):
            if re.fullmatch(mine, temporary_of(path) or "") and path.is_file():
                yield path


def _refuse_foreign(path: Path) -> None:
    if not path.is_dir() or any(not item.name.startswith(".") for item in path.iterdir()):
        raise DatasetError(
            f"'{path}' exists and is not a dataset. Nothing was written. Choose another name "
            "(name=...), or move it away."
        )
