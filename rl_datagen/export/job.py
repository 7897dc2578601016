"""The job that writes an export: part by part, on many workers, and resumed where it was.

While it runs, everything is in ``.OUT.export`` beside OUT::

    .OUT.export/identity.yaml    what is exported, and how
                files/           becomes OUT, when all of it is there
                parts/00012.npz  what the end needs of a part; there if its files are whole

A part's files depend on the dataset, the settings and its number alone, so neither the number of
workers nor an interruption changes a byte.
"""

import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np

from rl_datagen.core.disk import check_space, disk_errors
from rl_datagen.core.errors import UserError
from rl_datagen.core.lock import lock
from rl_datagen.core.progress import Progress
from rl_datagen.core.storage import atomic_path, check_absent, remove_temporaries
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.export.episodes import Part, Source, open_shard
from rl_datagen.export.plan import Choice, Exported, Plan, plan_export
from rl_datagen.runtime.executor import Job, Tell, execute
from rl_datagen.runtime.workdir import LEAST_SPACE, bind

_FEW_FRAMES = 2000  # are written here in less time than Ray takes to start

Episodes = Iterator[tuple[Trajectory, RenderedEpisode | None]]
Receipt = Mapping[str, np.ndarray]
"""What the end of an export needs to know of a part besides its files."""


class Format(Protocol):
    """How episodes become files; a worker has a copy."""

    def options(self) -> dict[str, Any]:
        """Returns what the files depend on besides the dataset, JSON-ready."""
        ...

    def split(self, plan: Plan) -> list[Part]:
        """Returns which episodes share files."""
        ...

    def paths(self, part: Part) -> list[str]:
        """Returns the names of a part's files, relative to the folder."""
        ...

    def write(self, folder: Path, part: Part, episodes: Episodes) -> Receipt:
        """Writes a part's files, each whole or not at all."""
        ...

    def finish(
        self, folder: Path, plan: Plan, parts: Sequence[Part], receipts: Sequence[Receipt]
    ) -> None:
        """Writes what describes all episodes."""
        ...


@dataclass(frozen=True)
class _Unit:
    """A part, and all that is needed to write it."""

    part: Part
    source: Source
    form: Format
    folder: Path


class _Export(Job[int, _Unit, Receipt]):
    """Parts of an export."""

    name = "export"

    def __init__(self, plan: Plan, form: Format, folder: Path, num_workers: int | None) -> None:
        self.folder, self.num_workers = folder.absolute(), num_workers
        self.files = self.folder / "files"
        self._plan, self._form = plan, form
        self.parts = form.split(plan)
        left = sum(part.num_frames for part in self.parts if not self.is_done(part.number))
        if num_workers == 1 or left <= _FEW_FRAMES:
            self.num_in_process = len(self.parts)

    def keys(self) -> Sequence[int]:
        return range(len(self.parts))

    def is_done(self, key: int) -> bool:
        paths = self._form.paths(self.parts[key])
        return all((self.files / p).is_file() for p in paths) and self.receipt(key) is not None

    def unit(self, key: int) -> _Unit:
        part, plan = self.parts[key], self._plan
        shards = {each.shard: plan.shards[each.shard] for each in part.episodes}
        dataset = plan.dataset.absolute()
        source = Source(dataset, shards, plan.choice.drop_noops, plan.look, plan.choice.views)
        return _Unit(part, source, self._form, self.files)

    @staticmethod
    def run(unit: _Unit, tell: Tell) -> Receipt:
        for folder in (unit.source.dataset, unit.folder.parent):
            if not folder.is_dir():
                raise UserError(
                    f"{socket.gethostname()}, a machine of the cluster, does not see {folder}, "
                    "which an export reads and writes where it works: keep both on a disk that "
                    "all machines mount, or unset RAY_ADDRESS to export on this machine alone."
                )
        with disk_errors(unit.folder):
            return unit.form.write(unit.folder, unit.part, _told(unit, tell))

    def store(self, unit: _Unit, result: Receipt) -> None:
        with atomic_path(self._receipt_path(unit.part.number)) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **result)

    def size(self, key: int) -> int:
        return len(self.parts[key].episodes)

    def label(self, key: int) -> str:
        episodes = self.parts[key].episodes
        return f"episodes {episodes[0].index} to {episodes[-1].index}"

    def receipts(self) -> list[Receipt]:
        """Returns what all parts left, once all are whole."""
        return [each for part in self.parts if (each := self.receipt(part.number)) is not None]

    def receipt(self, key: int) -> Receipt | None:
        """Returns what a part left; None: it is not whole."""
        try:
            with (
                self._receipt_path(key).open("rb") as file,
                np.load(file, allow_pickle=False) as stored,
            ):
                return dict(stored)
        except (OSError, ValueError, BadZipFile):
            return None

    def _receipt_path(self, key: int) -> Path:
        return self.folder / "parts" / f"{key:05d}.npz"


def _told(unit: _Unit, tell: Tell) -> Episodes:
    for number, pair in enumerate(unit.source.read(unit.part)):
        tell(number)
        yield pair
    tell(len(unit.part.episodes))


def prepare_export(
    dataset: Path, out: Path, choice: Choice, prepare: Callable[[], None] | None
) -> Plan:
    """Returns what is exported, after a preparation that may take long.

    Args:
        dataset: Folder of the dataset.
        out: Folder that does not exist yet.
        choice: What of the dataset is exported.
        prepare: Called first, once ``out`` is known to be free; such as to render.

    Raises:
        UserError: ``out`` exists.
        DatasetError: As ``plan_export``.
    """
    check_absent(out)
    if prepare is not None:
        prepare()
    return plan_export(dataset, choice)


def run_export(
    plan: Plan,
    out: Path,
    form: Format,
    *,
    num_workers: int | None,
    progress: Progress,
    stage: str = "export",
) -> Exported:
    """Writes an export; its folder appears whole or not at all.

    The same call resumes one that was interrupted.

    Args:
        plan: What is exported.
        out: Folder that does not exist yet.
        form: Its format.
        num_workers: Parts worked on at a time; None: as many as the cluster has cores. Without
            Ray, and if there are few, one after the other.
        progress: Told of each episode.
        stage: What it is called there.

    Raises:
        UserError: ``out`` exists, another export is at work or was interrupted there, or an episode
            cannot be exported.
        DiskError: The disk is full or cannot be written.
    """
    work = out.with_name(f".{out.name}.export")
    held = lock(work / "lock", f"Another process exports to {out}. Wait until it has finished.")
    with closing(held), disk_errors(out):
        check_absent(out)  # another process may just have finished it
        check_space(work, LEAST_SPACE)
        _bind(work, plan, form, out)
        remove_temporaries(work)
        open_shard.cache_clear()
        job = _Export(plan, form, work, num_workers)
        job.name = stage
        execute(job, progress).check()
        progress.say("writes what describes all episodes")
        form.finish(job.files, plan, job.parts, job.receipts())
        job.files.rename(out)
        shutil.rmtree(work)
    return plan.report(out)


def _bind(work: Path, plan: Plan, form: Format, out: Path) -> None:
    choice = plan.choice
    identity = {
        "dataset": str(plan.dataset.absolute()),
        "dataset_content": plan.manifest.content_hash,
        "task": choice.tasks,
        "drop_noops": choice.drop_noops,
        "rendered_only": choice.rendered_only,
        **form.options(),
    }
    bind(
        work,
        identity,
        identity,
        f"It is an export to {out} that was interrupted: give the same options to resume it, or "
        f"delete {work} to begin anew.",
    )
