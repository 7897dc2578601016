"""Policies as files: read from any storage, carried to workers that share no disk, opened there."""

import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rl_datagen.core.errors import ConfigError, UserError, explained
from rl_datagen.core.paths import is_uri
from rl_datagen.core.storage import Storage
from rl_datagen.core.yaml_text import parse_yaml
from rl_datagen.data.names import check_name, check_task_id
from rl_datagen.policy import ChunkActor, load_expert
from rl_datagen.policy.release import released
from rl_datagen.policy.weights import CONFIG, NORM_STATS, WEIGHTS
from rl_datagen.tasks import Task, get_task, known_tasks, select_tasks
from rl_datagen.vla.folder import DATA, EMBEDDINGS, parse_data
from rl_datagen.vla.policy import VlaPolicy, load_vla

_TASK = "{task}"


@dataclass(frozen=True)
class StoredPolicy:
    """The files of a policy's folder.

    Attributes:
        files: What it consists of, by name.
    """

    files: Mapping[str, bytes]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What it was trained with."""
        return _settings(self.files)

    @property
    def label(self) -> str:
        """``default@1a2b3c4d5e6f``: also tells apart policies of one name."""
        content = self.files.get(WEIGHTS, b"") + self.files.get(NORM_STATS, b"")
        return f"{self.settings.get('name', '')}@{hashlib.sha256(content).hexdigest()[:12]}"

    def unpack(self, folder: str) -> str:
        """Writes the files into a folder, which it returns."""
        for name, content in self.files.items():
            Path(folder, name).write_bytes(content)
        return folder


@dataclass(frozen=True)
class StoredExpert(StoredPolicy):
    """An expert.

    Attributes:
        task: Task it must be an expert of.
    """

    task: str

    @property
    def id(self) -> str:
        """``libero_goal/3/default@1a2b3c4d5e6f``."""
        return f"{self.task}/{self.label}"

    def load(self, *, explore: bool = False) -> ChunkActor:
        """Returns the actor.

        Args:
            explore: Sample as in training instead of deterministically.

        Raises:
            UserError: It is damaged, or an expert of another task.
        """
        with tempfile.TemporaryDirectory() as folder:
            return load_expert(self.unpack(folder), task=self.task, explore=explore)


@dataclass(frozen=True)
class StoredVla(StoredPolicy):
    """A VLA."""

    @cached_property
    def data(self) -> dict[str, Any]:
        """What it was trained on, as far as its folder says."""
        return parse_data(self.files[DATA], DATA) if DATA in self.files else {}

    def load(self, device: str = "cpu") -> VlaPolicy:
        """Returns the actor.

        Args:
            device: Where it computes.

        Raises:
            UserError: It is damaged, or unfinished.
        """
        with tempfile.TemporaryDirectory() as folder:
            return load_vla(self.unpack(folder), device=device)


def find_policy(folder: str) -> StoredExpert | StoredVla:
    """Returns the expert or the VLA in a folder.

    Args:
        folder: Its path or URI, or a released expert's name.

    Raises:
        UserError: It is neither's.
    """
    files = _read_files(released(folder), (CONFIG, WEIGHTS, NORM_STATS, DATA, EMBEDDINGS))
    settings = _settings(files)
    _check_names(folder, settings)
    if "datasets" in settings:
        stored = StoredVla(files)
        _ = stored.data  # refused here and not on a worker
        return stored
    if "task" in settings:
        return StoredExpert(files, settings["task"])
    raise UserError(
        f"'{folder}' is not a policy: give the folder of a VLA (`rl-datagen vla train`) or "
        "of an expert (outputs/experts/<task>/<name>), or the address of a policy server such "
        "as ws://localhost:8000."
    )


class Experts:
    """The experts that a setting names.

    Args:
        experts: See ``CollectionConfig``.
        output_dir: Where experts lie that are given by name.

    Raises:
        UserError: No storage has such a URI, or there is no release here.
    """

    def __init__(self, experts: str, output_dir: str) -> None:
        self._folder = _folder(released(experts), output_dir)

    def tasks(self, selector: str | None) -> Sequence[Task]:
        """Returns the selected tasks, or those that have an expert if None are selected.

        Raises:
            UserError: No task has one.
        """
        if selector is not None:
            return select_tasks(selector)
        if _TASK not in self._folder:
            config = _settings(_read_files(self._folder, [CONFIG]))
            _check_names(self._folder, config)
            found = [get_task(config["task"])] if "task" in config else []
        else:
            with ThreadPoolExecutor(16) as pool:  # a remote storage answers slowly
                there = pool.map(lambda task: _read(self._at(task), CONFIG), known_tasks())
                found = [task for task, text in zip(known_tasks(), there, strict=True) if text]
        if not found:
            raise UserError(
                f"There is no expert in {self._folder}. Give experts=... the name, folder or "
                "campaign of trained ones, or train one with `rl-datagen train`."
            )
        return found

    def read(self, task: Task) -> StoredExpert:
        """Returns the expert of a task.

        Raises:
            UserError: There is none, or it is not whole.
        """
        names = {CONFIG, WEIGHTS, NORM_STATS}
        files = _read_files(self._at(task), names)
        if missing := sorted(names - files.keys()):
            raise UserError(
                f"{task.id} has no expert: {self._at(task)} lacks {', '.join(missing)}."
            )
        _check_names(self._at(task), _settings(files))
        return StoredExpert(files, task.id)

    def _at(self, task: Task) -> str:
        return self._folder.replace(_TASK, task.id)


def _folder(experts: str, output_dir: str) -> str:
    """Returns where experts lie, with ``{task}`` for the task's id unless it is one expert's."""
    if _TASK in experts:
        return experts
    if "/" not in experts:
        return f"{output_dir}/experts/{_TASK}/{experts}"
    config = _settings(_read_files(experts, [CONFIG]))
    if "campaign" not in config:
        return experts
    _check_names(experts, config | {"task": None})
    path = f"experts/{_TASK}/{config['name']}"
    if config["campaign"]["storage"]:
        return Storage(experts).uri_of(path)
    return f"{config['output_dir']}/{path}"


def _check_names(folder: str, settings: Mapping[str, Any]) -> None:
    """Refuses settings whose task or name could make another path than that of an expert.

    Raises:
        UserError: Names the file, the value and what is allowed.
    """
    campaign = settings.get("campaign")
    try:
        if "datasets" not in settings and settings.get("task") is not None and campaign is None:
            check_task_id(settings["task"])
        if "name" in settings or campaign is not None:
            check_name(settings.get("name"))
        if campaign is not None and not (
            isinstance(campaign, dict)
            and isinstance(campaign.get("storage"), str | None)
            and isinstance(settings.get("output_dir"), str)
        ):
            raise ValueError("campaign.storage and output_dir: texts are allowed")
    except ValueError as error:
        raise UserError(
            f"{folder}/{CONFIG} is refused: {explained(error)}. Nothing was run. Give the folder "
            "that `rl-datagen` has made, or put that line right."
        ) from None


def _settings(files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        settings = parse_yaml(files.get(CONFIG, b""), CONFIG)
    except ConfigError:
        return {}
    return settings if isinstance(settings, dict) else {}


def _read_files(folder: str, names: Iterable[str]) -> dict[str, bytes]:
    """Returns those of some files that are there."""
    found = {name: _read(folder, name) for name in names}
    return {name: content for name, content in found.items() if content is not None}


def _read(folder: str, name: str) -> bytes | None:
    """Returns a file's content, or None if there is no such file."""
    if not is_uri(folder):
        path = Path(folder, name)
        return path.read_bytes() if path.is_file() else None
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary, name)
        try:
            Storage(folder).download(name, target)
        except FileNotFoundError:
            return None
        return target.read_bytes()
