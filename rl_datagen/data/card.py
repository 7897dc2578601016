"""What a dataset holds, in numbers and as a dataset card."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from rl_datagen.config.views import PLAIN
from rl_datagen.core.storage import write_text
from rl_datagen.core.templates import template_environment
from rl_datagen.data.dataset import read_episodes, rendered_episodes
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.schema import STEPS_SCHEMA
from rl_datagen.data.shards import open_parquet
from rl_datagen.data.views import images_schema, views_of_file
from rl_datagen.tasks import get_task


@dataclass(frozen=True)
class TaskInfo:
    """One task's share of a dataset.

    Attributes:
        task: Task id.
        instruction: The task's sentence.
        sources: What acted, sorted.
        num_episodes: Episodes stored.
        num_successes: Those that reached the goal.
        num_rows: Env steps.
        length_min: Shortest episode, env steps.
        length_mean: Mean episode, env steps.
        length_max: Longest episode, env steps.
        perturbs: Of a perturbed task: ``"position of libero_goal/3"``.
    """

    task: str
    instruction: str
    sources: tuple[str, ...]
    num_episodes: int
    num_successes: int
    num_rows: int
    length_min: int
    length_mean: float
    length_max: int
    perturbs: str = ""


@dataclass(frozen=True)
class DatasetInfo:
    """What a dataset holds.

    Attributes:
        path: Its folder.
        schema_version: Of its files.
        num_shards: Steps files.
        num_episodes: Episodes.
        num_rendered: Episodes with camera images.
        num_labelled: Episodes with labels.
        num_rows: Env steps.
        num_bytes: Size of all listed files.
        tasks: Per task, in the order of the 130.
    """

    path: Path
    schema_version: int
    num_shards: int
    num_episodes: int
    num_rendered: int
    num_labelled: int
    num_rows: int
    num_bytes: int
    tasks: tuple[TaskInfo, ...]


def dataset_info(dataset: Path) -> DatasetInfo:
    """Counts what a dataset holds.

    Raises:
        DatasetError: It is not a dataset, or damaged.
    """
    manifest = read_manifest(dataset)
    columns = ["task", "source", "success", "length"]
    rows = read_episodes(dataset).select(columns).to_pylist()
    tasks = sorted({get_task(row["task"]) for row in rows})
    return DatasetInfo(
        path=dataset,
        schema_version=manifest.schema_version,
        num_shards=len(manifest.shards),
        num_episodes=len(rows),
        num_rendered=len(rendered_episodes(dataset)),
        num_labelled=sum(s.num_episodes for s in manifest.shards if s.labels is not None),
        num_rows=sum(row["length"] for row in rows),
        num_bytes=sum(file.num_bytes for file in manifest.files()),
        tasks=tuple(_task_info(t.id, [r for r in rows if r["task"] == t.id]) for t in tasks),
    )


def write_card(dataset: Path) -> Path:
    """Writes the dataset's README.md, with the YAML header that data hubs read; returns it.

    Raises:
        DatasetError: It is not a dataset, or damaged.
    """
    environment = template_environment("rl_datagen.data", html=False)
    text = environment.get_template("card.md.j2").render(
        info=dataset_info(dataset),
        columns=[(field.name, str(field.type), _description(field)) for field in STEPS_SCHEMA],
        image_fields=_image_fields(dataset),
        manifest=read_manifest(dataset),
    )
    path = dataset / "README.md"
    write_text(path, text)
    return path


def _image_fields(dataset: Path) -> list[dict[str, object]]:
    """Returns what a dataset's files of images hold, as data hubs spell it."""
    entries = [entry for shard in read_manifest(dataset).shards for entry in shard.images]
    views = PLAIN
    if entries:
        views = views_of_file(open_parquet(dataset / entries[0].path).schema_arrow)
    fields: list[dict[str, object]] = []
    for field in images_schema(views):
        kind, size = str(field.type), 0
        if pa.types.is_binary(field.type):
            kind = "image"
        elif pa.types.is_fixed_size_list(field.type):
            kind, size = "float64", field.type.list_size
        fields.append({"name": field.name, "dtype": kind, "size": size})
    return fields


def _task_info(task: str, rows: list[dict[str, object]]) -> TaskInfo:
    lengths = [int(str(row["length"])) for row in rows]
    known = get_task(task)
    return TaskInfo(
        task=task,
        instruction=known.instruction,
        perturbs=f"{known.perturbs} of {known.base}" if known.base else "",
        sources=tuple(sorted({str(row["source"]) for row in rows})),
        num_episodes=len(rows),
        num_successes=sum(bool(row["success"]) for row in rows),
        num_rows=sum(lengths),
        length_min=min(lengths),
        length_mean=sum(lengths) / len(lengths),
        length_max=max(lengths),
    )


def _description(field: object) -> str:
    metadata: dict[bytes, bytes] = getattr(field, "metadata", None) or {}
    return metadata[b"description"].decode()
