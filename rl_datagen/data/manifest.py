"""The manifest: a file belongs to a dataset if and only if this lists it with its SHA-256."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from rl_datagen.config import Appearance, Backend
from rl_datagen.core.errors import DatasetError, explained, shown
from rl_datagen.core.storage import sha256, write_json
from rl_datagen.data.journal import JOURNAL_NAME, damaged, read_journal
from rl_datagen.data.names import Number, RelativePath, Sha256, TaskId, refused
from rl_datagen.data.schema import SCHEMA_VERSION, UNRECORDED_APPEARANCE
from rl_datagen.tasks import get_task

MANIFEST_NAME = "manifest.json"
_IMAGES_END = re.compile(r"[\w.-]{1,128}\.parquet", re.ASCII)  # of a name, after its shard's
_BACKENDS: tuple[Backend, ...] = get_args(Backend)


class Entry(BaseModel):
    """A part of a manifest: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(Entry):
    """One file of a dataset.

    Attributes:
        path: Relative to the dataset's folder.
        num_rows: Rows of the Parquet table.
        num_bytes: Size of the file.
        sha256: Checksum of its bytes, hexadecimal.
    """

    path: RelativePath
    num_rows: Number
    num_bytes: Number
    sha256: Sha256


class Shard(Entry):
    """Some whole episodes of one task.

    Attributes:
        task: Task id such as ``"libero_goal/3"``.
        num_episodes: Episodes in it.
        steps: One row per env step.
        episodes: One row per episode.
        images: Rendered episodes, one row per env step; empty before rendering.
        labels: One row per env step; None: it is not labelled.
        num_attempts: Episodes that were run for it, the failed ones included; None: not known.
    """

    task: TaskId
    num_episodes: Number
    steps: FileEntry
    episodes: FileEntry
    images: tuple[FileEntry, ...] = ()
    labels: FileEntry | None = None
    num_attempts: Number | None = None

    @model_serializer(mode="wrap")
    def _without_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Manifests without labels are as they were before there were any."""
        written = handler(self)
        if self.labels is None:
            written.pop("labels", None)
        return written

    @model_validator(mode="after")
    def _is_where_it_belongs(self) -> Self:
        name = rf"{re.escape(self.task)}/part-(\d{{5,9}})"
        found = re.fullmatch(rf"shards/{name}\.parquet", self.steps.path, re.ASCII)
        part = found[1] if found else "00000"
        wanted = f"{self.task}/part-{part}"
        images = [each.path for each in self.images]
        expected = [
            (self.steps.path, f"shards/{wanted}.parquet", found is not None),
            (self.episodes.path, path := f"episodes/{wanted}.parquet", self.episodes.path == path),
        ]
        expected += [
            (each, f"images/{wanted}-00000.parquet", _is_of(each, wanted)) for each in images
        ]
        if self.labels is not None:
            path = f"labels/{wanted}.parquet"
            expected.append((self.labels.path, path, self.labels.path == path))
        for path, right, holds in expected:
            if not holds:
                raise ValueError(
                    f"'{path}' is not a file of {self.task}: such as '{right}' is allowed"
                )
        if len(set(images)) < len(images):
            raise ValueError(f"a file of images of '{self.steps.path}' is listed twice")
        return self

    @property
    def part(self) -> int:
        """Its number among the shards of its task, from its steps file's name."""
        return part_of(self.steps.path)

    def files(self) -> Iterator[FileEntry]:
        """Yields every file of the shard."""
        yield from (self.steps, self.episodes, *self.images)
        if self.labels is not None:
            yield self.labels

    def with_images(self, entry: FileEntry) -> "Shard":
        """Returns the shard with one more file of images."""
        images = {each.path: each for each in (*self.images, entry)}
        return self.model_copy(update={"images": tuple(images[path] for path in sorted(images))})

    def with_labels(self, entry: FileEntry) -> "Shard":
        """Returns the shard with labels."""
        return self.model_copy(update={"labels": entry})


class _Line(Entry):
    """A line of the journal; see ``append_line``."""

    shard: Shard | None = None
    images: FileEntry | None = None
    labels: FileEntry | None = None
    of: RelativePath | None = None
    appearance: Appearance | None = None


class Manifest(Entry):
    """What a dataset holds and where it came from.

    Attributes:
        schema_version: ``SCHEMA_VERSION`` of the writer.
        config: The resolved configuration.
        provenance: Code, versions and hardware of the first writer.
        shards: In the order of the 130 tasks, whichever was finished first.
        appearance: How the textures of its images are coloured; see ``SimConfig``. None: there are
            none, or they are from before this was recorded.
    """

    schema_version: int = SCHEMA_VERSION
    config: dict[str, Any]
    provenance: dict[str, Any]
    shards: tuple[Shard, ...] = ()
    appearance: Appearance | None = None

    @model_validator(mode="after")
    def _lists_each_file_once(self) -> Self:
        paths = [file.path for file in self.files()]
        if len(set(paths)) < len(paths):
            twice = next(path for path in paths if paths.count(path) > 1)
            raise ValueError(f"'{twice}' is listed twice")
        if unknown := [each for each in _backends(self.config) if each not in _BACKENDS]:
            raise ValueError(f"the backend {unknown[0]!r} of config is none of {_BACKENDS}")
        return self

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Each ``sim.backend`` its episodes were stepped with; several if it was merged."""
        return tuple(dict.fromkeys(_backends(self.config))) or ("exact",)

    @property
    def images_appearance(self) -> Appearance | None:
        """How the textures of its images are coloured; None: there are no images."""
        if not any(shard.images for shard in self.shards):
            return None
        return self.appearance or UNRECORDED_APPEARANCE

    def with_shards(self, shards: Iterable[Shard], appearance: Appearance | None) -> "Manifest":
        """Returns the manifest with these shards instead, in the order of the 130 tasks."""
        ordered = sorted(shards, key=lambda shard: (get_task(shard.task), shard.part))
        return self.model_copy(update={"shards": tuple(ordered), "appearance": appearance})

    def files(self) -> Iterator[FileEntry]:
        """Yields every file of the dataset."""
        for shard in self.shards:
            yield from shard.files()

    @property
    def content_hash(self) -> str:
        """SHA-256 over names and checksums of all files: equal if and only if these are equal."""
        return hash_files(self.files())


def _is_of(images: str, shard: str) -> bool:
    prefix = f"images/{shard}-"  # apart, since a pattern for each shard would have to be compiled
    end = images.removeprefix(prefix)
    return images.startswith(prefix) and _IMAGES_END.fullmatch(end) is not None


def part_of(path: str) -> int:
    """Returns the number of a shard among those of its task, from its steps file's name."""
    return int(Path(path).stem.rpartition("-")[2])


def describe_file(dataset: Path, path: str, num_rows: int) -> FileEntry:
    """Returns the manifest's entry of a file just written."""
    file = dataset / path
    size = file.stat().st_size
    return FileEntry(path=path, num_rows=num_rows, num_bytes=size, sha256=sha256(file))


def hash_files(files: Iterable[FileEntry]) -> str:
    """Returns the SHA-256 over names and checksums of files."""
    lines = sorted(f"{file.sha256}  {file.path}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_manifest(dataset: Path, manifest: Entry) -> None:
    """Replaces the dataset's manifest atomically, sealed with a checksum of its own content."""
    body = manifest.model_dump(mode="json")
    write_json(dataset / MANIFEST_NAME, {**body, "sha256": _seal(body)})


def read_manifest(dataset: Path) -> Manifest:
    """Returns the dataset's manifest, with what a writer has added to it since.

    Raises:
        DatasetError: There is none, it was edited, or another schema version wrote it; or the
            journal is damaged.
    """
    lines = read_journal(dataset)  # first: a writer deletes it once the manifest has its lines
    path = dataset / MANIFEST_NAME
    if not path.is_file():
        raise DatasetError(
            f"'{dataset}' is not a dataset: it has no {MANIFEST_NAME}. Give the folder that holds "
            "it, such as outputs/datasets/quickstart."
        )
    body = read_sealed(path)
    if body.get("kind") == "compact":
        raise DatasetError(
            f"'{dataset}' is a compact dataset: init states and actions alone. `rl-datagen dataset "
            f"hydrate {dataset} OUT` replays it into a dataset."
        )
    _check_version(path, body)
    try:
        manifest = Manifest.model_validate(body)
    except ValidationError as error:
        raise refused(path, error, next_step(dataset)) from None
    if not lines:
        return manifest
    try:
        return _fold(manifest, lines)
    except (KeyError, ValueError) as error:
        raise damaged(dataset / JOURNAL_NAME, explained(error)) from None


def _fold(manifest: Manifest, lines: Iterable[Mapping[str, Any]]) -> Manifest:
    """Returns the manifest with the lines of a journal.

    One that it has already says nothing new: a writer may be killed, or a reader come, after the
    manifest was written and before the journal was deleted.
    """
    shards = {shard.steps.path: shard for shard in manifest.shards}
    appearance, changed = manifest.appearance, set[str]()
    for line in map(_Line.model_validate, lines):
        appearance = line.appearance or appearance
        if line.shard is not None:
            shards.setdefault(line.shard.steps.path, line.shard)
        elif (line.images is None) == (line.labels is None) or line.of not in shards:
            raise ValueError(f"images of '{line.of}', which is not a shard of the dataset")
        else:
            shards[line.of] = _with_file(shards[line.of], line)
            changed.add(line.of)
    for path in changed:
        Shard.model_validate(shards[path].model_dump())  # the files belong to their shard
    return manifest.with_shards(shards.values(), appearance)


def _with_file(shard: Shard, line: _Line) -> Shard:
    """Returns a shard with the images or the labels that a line lists."""
    shard = shard if line.images is None else shard.with_images(line.images)
    return shard if line.labels is None else shard.with_labels(line.labels)


def read_sealed(path: Path) -> dict[str, Any]:
    """Returns a manifest's content.

    Raises:
        DatasetError: It cannot be read, holds something else, or was edited.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        sealed = body.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise DatasetError(
            f"{path} cannot be read as a manifest ({shown(repr(error))}). Restore it from a copy, "
            "or delete the dataset and make it again."
        ) from None
    if sealed != (actual := _seal(body)):
        raise DatasetError(
            f"{path} was edited: its content has the SHA-256 {actual} but is sealed with "
            f"{shown(sealed)}. Restore it from a copy, or delete the dataset and make it again."
        )
    return body


def check_file(dataset: Path, entry: FileEntry) -> Path:
    """Returns the path of a listed file after comparing its checksum.

    Raises:
        DatasetError: It is missing or damaged; the message names it and both checksums.
    """
    path = dataset / entry.path
    if not path.is_file():
        raise DatasetError(f"{entry.path} of dataset {dataset} is missing. {next_step(dataset)}")
    if (actual := sha256(path)) != entry.sha256:
        raise DatasetError(
            f"{entry.path} of dataset {dataset} is damaged: its SHA-256 is {actual}, the manifest "
            f"says {entry.sha256}. {next_step(dataset)}"
        )
    return path


def next_step(dataset: Path) -> str:
    """Returns the sentence that says what to do about damage."""
    return f"Restore it from a copy, or delete {dataset} and make the dataset again."


def _backends(config: Mapping[str, Any]) -> Iterator[Backend]:
    """Yields each ``sim.backend`` in a configuration, whatever made the dataset."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _backends(value)
        elif key == "backend":
            yield value


def _check_version(path: Path, body: Mapping[str, Any]) -> None:
    version = body.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DatasetError(
            f"{path} has the schema version {shown(version)}; this release reads "
            f"{SCHEMA_VERSION}. Read it with the release that wrote it, or make the dataset again."
        )


def _seal(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
