"""Finds the experts of a collection, on this machine or under a URI."""

import hashlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from rl_datagen.core.errors import UserError
from rl_datagen.core.storage import Storage
from rl_datagen.policy import ChunkActor, load_expert
from rl_datagen.policy.expert import CONFIG, NORM_STATS, WEIGHTS
from rl_datagen.policy.release import released
from rl_datagen.tasks import TASKS, Task, get_task, select_tasks

_TASK = "{task}"


@dataclass(frozen=True)
class StoredExpert:
    """An expert folder's files, which reach workers that do not share a disk.

    Attributes:
        task: Task it must be an expert of.
        name: As its configuration says.
        files: What it consists of, by name.
    """

    task: str
    name: str
    files: dict[str, bytes]

    @property
    def id(self) -> str:
        """``libero_goal/3/default@1a2b3c4d5e6f``: also tells apart experts of one name."""
        digest = hashlib.sha256(self.files[WEIGHTS] + self.files[NORM_STATS]).hexdigest()
        return f"{self.task}/{self.name}@{digest[:12]}"

    def load(self) -> ChunkActor:
        """Returns the actor.

        Raises:
            UserError: It is damaged, or an expert of another task.
        """
        with tempfile.TemporaryDirectory() as folder:
            for name, content in self.files.items():
                Path(folder, name).write_bytes(content)
            return load_expert(folder, task=self.task)


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
            config = yaml.safe_load(_read(self._folder, CONFIG) or b"{}")
            found = [get_task(config["task"])] if "task" in config else []
        else:
            with ThreadPoolExecutor(16) as pool:  # a remote storage answers slowly
                there = pool.map(lambda task: _read(self._at(task), CONFIG), TASKS)
                found = [task for task, text in zip(TASKS, there, strict=True) if text]
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
        found = {name: _read(self._at(task), name) for name in (CONFIG, WEIGHTS, NORM_STATS)}
        files = {name: content for name, content in found.items() if content is not None}
        if missing := sorted(found.keys() - files.keys()):
            raise UserError(
                f"{task.id} has no expert: {self._at(task)} lacks {', '.join(missing)}."
            )
        name = yaml.safe_load(files[CONFIG]).get("name", "")
        return StoredExpert(task.id, name, files)

    def _at(self, task: Task) -> str:
        return self._folder.replace(_TASK, task.id)


def _folder(experts: str, output_dir: str) -> str:
    """Returns where experts lie, with ``{task}`` for the task's id unless it is one expert's."""
    if _TASK in experts:
        return experts
    if "/" not in experts:
        return f"{output_dir}/experts/{_TASK}/{experts}"
    config = yaml.safe_load(_read(experts, CONFIG) or b"{}")
    if "campaign" not in config:
        return experts
    path = f"experts/{_TASK}/{config['name']}"
    if config["campaign"]["storage"]:
        return Storage(experts).uri_of(path)
    return f"{config['output_dir']}/{path}"


def _read(folder: str, name: str) -> bytes | None:
    """Returns a file's content, or None if there is no such file."""
    if "://" not in folder:
        path = Path(folder, name)
        return path.read_bytes() if path.is_file() else None
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary, name)
        try:
            Storage(folder).download(name, target)
        except FileNotFoundError:
            return None
        return target.read_bytes()
