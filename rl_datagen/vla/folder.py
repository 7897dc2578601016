"""A VLA's folder: what it was trained with and on, and whether two VLAs may be compared."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import Field

from rl_datagen.config import PERTURBED, Appearance, Mixture, VlaConfig, stored_config
from rl_datagen.core.compare import difference_lines, differences
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.core.paths import without_credentials
from rl_datagen.core.provenance import provenance
from rl_datagen.core.storage import write_json, write_text
from rl_datagen.core.stored import (
    Open,
    Seconds,
    damaged,
    object_form,
    parse_stored,
    read_bytes,
    read_stored,
)
from rl_datagen.data.dataset import read_episodes
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.names import Number, TaskId
from rl_datagen.data.schema import UNRECORDED_APPEARANCE
from rl_datagen.data.trajectory import Source
from rl_datagen.policy.weights import CONFIG
from rl_datagen.tasks import get_task, select_present

PROVENANCE, DATA, METRICS = "provenance.json", "data.json", "metrics.json"
EMBEDDINGS = "embeddings.safetensors"
CHECKPOINT = "checkpoint"
"""What lerobot calls ``pretrained_model``, in the folder of a VLA that it trained."""
_SOURCES: tuple[Source, ...] = get_args(Source)


def bind(config: VlaConfig) -> Path:
    """Begins a VLA's folder: configuration, provenance, data; or checks that it may resume.

    Returns:
        The folder.

    Raises:
        ConfigError: The folder belongs to another configuration, or its datasets have changed.
        DatasetError: A dataset cannot be read.
    """
    folder = config.folder
    contents = {part.path: read_manifest(Path(part.path)).content_hash for part in config.datasets}
    if not any((folder / name).exists() for name in (CONFIG, METRICS, "work")):
        write_json(folder / PROVENANCE, provenance())
        write_json(folder / DATA, {"fingerprint": config.fingerprint, "contents": contents})
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        write_text(folder / CONFIG, without_credentials(text))
        return folder
    found = difference_lines(read_config(folder).identity, config.identity)
    recorded = read_data(folder, "contents")["contents"]
    found += [f"{path} has changed" for path in contents if contents[path] != recorded.get(path)]
    if found:
        raise ConfigError(
            f"The VLA in {folder} was begun with other settings or data: {'; '.join(found)}. "
            "Nothing was changed. Choose another name with name=..., or delete that folder to "
            "train it again."
        )
    return folder


def describe(dataset: Path, selector: str) -> dict[str, Any]:
    """Returns the successful episodes of a selection by source, and their tasks.

    ``source`` ends in ``+perturbed`` if some of the tasks are.
    """
    rows = read_episodes(dataset).select(["task", "source", "success"]).to_pylist()
    rows = [row for row in rows if row["success"]]
    tasks = [task.id for task in select_present(selector, {row["task"] for row in rows})]
    count = Counter(row["source"] for row in rows if row["task"] in tasks)
    parts = [source for source in _SOURCES if count[source]]
    if any(get_task(task).base for task in tasks):
        parts.append(PERTURBED)
    return {
        "source": "+".join(parts),
        "num_episodes": {source: count[source] for source in _SOURCES if count[source]},
        "tasks": tasks,
    }


def record(folder: Path, values: dict[str, Any]) -> None:
    """Adds to what the folder says about the data."""
    write_json(folder / DATA, read_data(folder) | values)


def read_config(folder: Path) -> VlaConfig:
    """Returns the configuration of the VLA in a folder.

    Raises:
        UserError: There is none.
    """
    if not (folder / CONFIG).is_file() or not (folder / DATA).is_file():
        raise UserError(
            f"'{folder}' is not a VLA's folder: {CONFIG} or {DATA} is missing. Train one with "
            "`rl-datagen vla train`."
        )
    content = read_bytes(folder / CONFIG, _AGAIN)
    return stored_config(content, str(folder / CONFIG), VlaConfig, _AGAIN)


def read_data(folder: Path, *needed: str) -> dict[str, Any]:
    """Returns what a VLA was trained on.

    Args:
        folder: The VLA's.
        needed: What it must say.

    Returns:
        ``fingerprint`` of the hyper-parameters, ``contents`` (hashes of the datasets by path) and,
        once training is over, ``source`` such as ``"human+diffusion_rl"``, ``num_episodes`` by
        source, ``tasks``, and ``image_size`` as stored.
    """
    path = folder / DATA
    values = parse_data(read_bytes(path, _AGAIN), str(path))
    if lacking := [name for name in needed if name not in values]:
        raise damaged(str(path), f"{lacking[0]} is missing", _AGAIN)
    return values


def read_metrics(folder: Path) -> dict[str, Any]:
    """Returns what a finished training has measured: ``loss`` and ``seconds`` among other things.

    Raises:
        UserError: It is damaged.
    """
    return read_stored(folder / METRICS, _METRICS, _AGAIN)


class _Data(Open):
    """What of the file of ``read_data`` has a meaning to others."""

    fingerprint: str = ""
    contents: dict[str, str] | None = None
    source: Mixture | None = None
    num_episodes: dict[Source, Number] | None = None
    tasks: list[TaskId] | None = None
    image_size: Annotated[int, Field(ge=1, le=8192)] = 1
    appearance: Appearance = UNRECORDED_APPEARANCE


class _Metrics(Open):
    """What of the file of ``read_metrics`` has a meaning to others."""

    seconds: Seconds
    loss: float = 0


_AGAIN = "Restore the VLA's folder from a copy, or delete it and train the VLA again."
_DATA = object_form(_Data)
_METRICS = object_form(_Metrics)


def parse_data(content: bytes, path: str) -> dict[str, Any]:
    """Returns what the file of ``read_data`` says.

    Args:
        content: The file's.
        path: Its name, for errors.

    Raises:
        UserError: It is damaged, or names a task or source that there is not.
    """
    return parse_stored(content, path, _DATA, _AGAIN)


def check_comparable(folders: Sequence[Path]) -> None:
    """Checks that VLAs differ in their data alone, as the paper's comparison demands (Sec. III-E).

    Raises:
        ConfigError: Two were trained with different hyper-parameters; names them all.
    """
    first, *others = folders
    for folder in others:
        found = [read_data(each, "fingerprint")["fingerprint"] for each in (folder, first)]
        if found[0] == found[1]:
            continue
        a, b = read_config(first).hyperparameters, read_config(folder).hyperparameters
        found = [f"{name} is {x!r} and {y!r}" for name, x, y in differences(a, b)]
        raise ConfigError(
            f"The VLAs in {first} and {folder} cannot be compared: they were trained with "
            f"different hyper-parameters ({'; '.join(found) or 'by another release'}), and a "
            "comparison of data needs the same for all. Train one of them again with the other's."
        )
