"""Which episodes an export takes, in which order, and how they are numbered, before any is read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq

from rl_datagen.config import Appearance
from rl_datagen.config.views import PLAIN, ViewsConfig
from rl_datagen.core.errors import DatasetError
from rl_datagen.data.branches import opening_of
from rl_datagen.data.dataset import read_episodes_of
from rl_datagen.data.images import appearance_of_file, decode_image, row_group_episodes
from rl_datagen.data.manifest import Manifest, Shard, read_manifest
from rl_datagen.data.shards import open_parquet, read_row_group, reading
from rl_datagen.data.views import views_of_file
from rl_datagen.export.subtasks import Span, read_spans
from rl_datagen.tasks import Task, get_task, select_present

_JPEG = 0.2  # of the size of a PNG


@dataclass
class Exported:
    """What an export wrote.

    Attributes:
        path: The folder.
        num_episodes: Episodes in it.
        num_frames: Env steps in it.
        num_failed: Episodes left out because they did not reach the goal.
        num_noops: Env steps left out as no-ops.
        num_not_rendered: Successful episodes left out because they have no images.
    """

    path: Path
    num_episodes: int = 0
    num_frames: int = 0
    num_failed: int = 0
    num_noops: int = 0
    num_not_rendered: int = 0


@dataclass(frozen=True)
class Choice:
    """What of a dataset is exported.

    Attributes:
        tasks: Selector of tasks, such as ``"libero_goal"``; those that the dataset lacks are left
            out.
        drop_noops: Leave out the env steps that are no-ops.
        rendered_only: Leave out episodes without images, of which there may be some after a
            replay that departed from its record.
        images: Whether images are exported.
        views: Whether what was rendered besides LIBERO's two images is exported, too.
        subtasks: Whether subtasks are; None: if all episodes are labelled.
    """

    tasks: str = "all"
    drop_noops: bool = False
    rendered_only: bool = False
    images: bool = True
    views: bool = False
    subtasks: bool | None = False


@dataclass(frozen=True)
class Planned:
    """An episode that is exported.

    Attributes:
        episode_id: As in the dataset.
        task: Its task's id.
        shard: Its steps file.
        index: Number of the episode.
        first: Number of its first frame.
        length: Frames; without no-ops, if they are left out.
        task_index: Number of its instruction.
        subtasks: Its subtasks; empty: they are not exported.
    """

    episode_id: str
    task: str
    shard: str
    index: int
    first: int
    length: int
    task_index: int
    subtasks: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Look:
    """What all images of a dataset have in common.

    Attributes:
        size: Height and width, in pixels.
        encoding: ``png`` or ``jpeg``.
        appearance: How textures are coloured.
        num_bytes: Of a frame of both cameras, on average.
        views: What was rendered besides LIBERO's two images.
    """

    size: tuple[int, int]
    encoding: str
    appearance: Appearance
    num_bytes: float
    views: ViewsConfig = PLAIN

    @property
    def num_jpeg_bytes(self) -> float:
        """About as many bytes a frame has as JPEG."""
        return self.num_bytes * (_JPEG if self.encoding == "png" else 1)


@dataclass(frozen=True)
class Plan:
    """The episodes of an export.

    Attributes:
        dataset: Its folder.
        choice: What was chosen.
        manifest: Of the dataset.
        episodes: Successful ones, task by task.
        look: Of the images; None: there are none in the export.
        num_failed: See ``Exported``.
        num_noops: See ``Exported``.
        num_not_rendered: See ``Exported``.
    """

    dataset: Path
    choice: Choice
    manifest: Manifest
    episodes: tuple[Planned, ...]
    look: Look | None
    num_failed: int
    num_noops: int
    num_not_rendered: int

    @property
    def num_frames(self) -> int:
        """Frames of all episodes."""
        return self.episodes[-1].first + self.episodes[-1].length

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        assert self.look is not None
        return self.look.size

    @cached_property
    def tasks(self) -> list[Task]:
        """Tasks of the episodes."""
        return [get_task(name) for name in dict.fromkeys(each.task for each in self.episodes)]

    @cached_property
    def instructions(self) -> dict[str, int]:
        """The number of each instruction."""
        return {get_task(each.task).instruction: each.task_index for each in self.episodes}

    @cached_property
    def subtasks(self) -> dict[str, int]:
        """The number of each subtask's sentence; empty: they are not exported."""
        return {span.sentence: span.index for each in self.episodes for span in each.subtasks}

    @cached_property
    def shards(self) -> dict[str, Shard]:
        """Shards of the dataset, by steps file."""
        return {shard.steps.path: shard for shard in self.manifest.shards}

    def report(self, path: Path) -> Exported:
        """Returns what the export comes to."""
        counts = (self.num_failed, self.num_noops, self.num_not_rendered)
        return Exported(path, len(self.episodes), self.num_frames, *counts)


def plan_export(dataset: Path, choice: Choice) -> Plan:
    """Returns what is exported of a dataset.

    Args:
        dataset: Its folder.
        choice: What of it.

    Raises:
        DatasetError: Nothing is selected, images are missing or differ, or it is damaged.
    """
    manifest = read_manifest(dataset)
    shards = _select(dataset, manifest, choice)
    rendered = _rendered(dataset, shards) if choice.images else None
    taken: list[dict[str, Any]] = []
    count: Counter[str] = Counter()
    for row in _rows(dataset, shards):
        name = row["episode_id"]
        if not row["success"]:
            count["failed"] += 1
        elif choice.rendered_only and rendered is not None and name not in rendered:
            count["not_rendered"] += 1
        else:
            taken.append(row)
    if not taken:
        raise DatasetError(_nothing(dataset, choice, count["not_rendered"]))
    if rendered is not None:
        _check_rendered(dataset, taken, rendered)
    openings = [opening_of(row["episode_id"]) for row in taken]
    noops = [0] * len(taken)
    if choice.drop_noops:
        noops = _count_noops(dataset, taken, openings)
    dropped = [sum(pair) for pair in zip(openings, noops, strict=True)]
    return Plan(
        dataset,
        choice,
        manifest,
        tuple(_number(taken, dropped, _subtasks(dataset, shards, taken, choice))),
        _look(dataset, shards) if choice.images else None,
        count["failed"],
        sum(noops),
        count["not_rendered"],
    )


def _select(dataset: Path, manifest: Manifest, choice: Choice) -> list[Shard]:
    rendered_only = choice.rendered_only and choice.images
    present = {shard.task for shard in manifest.shards if shard.images or not rendered_only}
    order = select_present(choice.tasks, present)
    shards = [shard for task in order for shard in manifest.shards if shard.task == task.id]
    if shards:
        return shards
    there = ", ".join(sorted(present)) or "nothing"
    raise DatasetError(
        f"Dataset {dataset} has no {'rendered ' if rendered_only else ''}episode of "
        f"task={choice.tasks}. It has: {there}."
    )


def _rows(dataset: Path, shards: Sequence[Shard]) -> Iterator[dict[str, Any]]:
    columns = ["episode_id", "task", "success", "length", "shard", "row_group"]
    for shard in shards:
        yield from read_episodes_of(dataset, [shard]).select(columns).to_pylist()


def _nothing(dataset: Path, choice: Choice, num_not_rendered: int) -> str:
    if num_not_rendered:
        return (
            f"None of the {num_not_rendered} successful episodes of task={choice.tasks} of dataset "
            f"{dataset} has images. Render them: --render in place of --rendered-only."
        )
    return (
        f"No episode of task={choice.tasks} of dataset {dataset} reached the goal, and only those "
        "that did are exported."
    )


def _rendered(dataset: Path, shards: Sequence[Shard]) -> set[str]:
    return {
        name
        for shard in shards
        for entry in shard.images
        for name in row_group_episodes(dataset / entry.path)
    }


def _check_rendered(dataset: Path, taken: Sequence[dict[str, Any]], rendered: set[str]) -> None:
    missing = [row for row in taken if row["episode_id"] not in rendered]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(taken)} episodes of dataset {dataset} have no images "
            f"('{missing[0]['episode_id']}' is the first), and camera images are needed. Render "
            f"them first: rl-datagen dataset render {dataset}, or let `rl-datagen export` do it: "
            "--render; or leave them out of the export: --rendered-only."
        )


def _count_noops(
    dataset: Path, taken: Sequence[dict[str, Any]], openings: Sequence[int]
) -> list[int]:
    counts: list[int] = []
    file, path = None, None
    for row, opening in zip(taken, openings, strict=True):
        if path != row["shard"]:
            path = row["shard"]
            file = open_parquet(dataset / path)
        assert file is not None
        flags = read_row_group(dataset / row["shard"], file, row["row_group"], ["is_noop"])[
            "is_noop"
        ]
        counts.append(sum(flags.to_pylist()[opening:]))
    return counts


def _subtasks(
    dataset: Path, shards: Sequence[Shard], taken: Sequence[dict[str, Any]], choice: Choice
) -> Sequence[tuple[Span, ...]]:
    """Returns the subtasks of each episode; empty: they are not exported."""
    spans: Sequence[tuple[Span, ...]] = []
    if choice.subtasks is not False:
        spans = read_spans(dataset, shards, taken, choice.drop_noops)
    if choice.subtasks and not spans:
        raise DatasetError(
            f"Not all episodes of task={choice.tasks} of dataset {dataset} have labels, and "
            f"subtasks come from them. Label them first: rl-datagen dataset label {dataset}; or "
            "export without: --subtasks none."
        )
    return spans or [()] * len(taken)


def _number(
    taken: Sequence[dict[str, Any]],
    dropped: Sequence[int],
    subtasks: Sequence[tuple[Span, ...]],
) -> Iterator[Planned]:
    instructions: dict[str, int] = {}
    first = 0
    for index, (row, left_out, spans) in enumerate(zip(taken, dropped, subtasks, strict=True)):
        instruction = get_task(row["task"]).instruction
        number = instructions.setdefault(instruction, len(instructions))
        length = row["length"] - left_out
        place = (row["episode_id"], row["task"], row["shard"])
        yield Planned(*place, index, first, length, number, spans)
        first += length


def _look(dataset: Path, shards: Sequence[Shard]) -> Look:
    """Looks at the first image of each file, of which a dataset's writer makes only one kind."""
    first: tuple[Any, ...] | None = None
    for shard in shards:
        for entry in shard.images:
            found = _look_at(dataset / entry.path)
            if first is not None and found[1:3] != first[1:3]:
                raise _differ(found, first)
            first = first or found
    assert first is not None
    entries = [entry for shard in shards for entry in shard.images]
    num_rows = sum(entry.num_rows for entry in entries)
    size, appearance, encoding, views = first[1:]
    average = sum(entry.num_bytes for entry in entries) / max(num_rows, 1)
    return Look(size, encoding, appearance, average, views)


def _look_at(path: Path) -> tuple[str, tuple[int, int], Appearance, str, ViewsConfig]:
    """Returns a file's first episode, and its images' size, appearance, encoding and views."""
    name = next(iter(row_group_episodes(path)))
    with reading(path):  # one image is read, not a row group
        file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 16)
        batch = next(file.iter_batches(1, row_groups=[0], columns=["agentview"]))
        data = batch.column(0)[0].as_py()
        height, width = decode_image(data).shape[:2]
    encoding = "png" if data.startswith(b"\x89PNG") else "jpeg"
    appearance = cast("Appearance", appearance_of_file(file.schema_arrow))
    return name, (height, width), appearance, encoding, views_of_file(file.schema_arrow)


def _differ(found: tuple[Any, ...], first: tuple[Any, ...]) -> DatasetError:
    (name, (height, width), look, *_), (before, (rows, columns), other, *_) = found, first
    if (height, width) != (rows, columns):
        return DatasetError(
            f"The images of episode '{name}' have {height} x {width} pixels, those of '{before}' "
            f"{rows} x {columns}. One export has one size: export tasks of one size at a time "
            "(--task), or render all of them again."
        )
    return DatasetError(
        f"The images of episode '{name}' have the appearance '{look}', those of '{before}' "
        f"'{other}'. One export has one: render the dataset again (`rl-datagen dataset merge COPY "
        "DATASET --no-images`, then `rl-datagen dataset render COPY`)."
    )
