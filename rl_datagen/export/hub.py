"""Datasets on the Hugging Face Hub: ours, compact ones, and exports in LeRobot's layout."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rl_datagen.core.errors import DatasetError, UserError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.card import write_card
from rl_datagen.data.compact import is_compact, read_compact_manifest
from rl_datagen.data.journal import JOURNAL_NAME
from rl_datagen.data.manifest import MANIFEST_NAME, FileEntry, check_file, read_manifest
from rl_datagen.runtime.hub import Repo, Upload, pull, push

_CARD = "README.md"
_INFO = "meta/info.json"


def push_dataset(
    folder: Path, repo: str, *, private: bool = False, progress: Progress = SILENT
) -> str:
    """Uploads a dataset with its card, and returns its address.

    Args:
        folder: A dataset, a compact one, or an export to LeRobot.
        repo: ``owner/name``; made if it is not there.
        private: Whether a new repository is private.
        progress: Told of each file.

    Raises:
        DatasetError: It is none of these, or damaged.
        UserError: No network, no token, or no permission.
    """
    target = Repo.parse(repo, "dataset")
    if target.folder or target.revision:
        raise UserError(f"'{repo}': a dataset is pushed to OWNER/NAME, its newest revision.")
    tag = None
    if (folder / JOURNAL_NAME).exists():
        raise DatasetError(
            f"A job is at work in {folder}, or was interrupted there: let the same command finish "
            "it, then push."
        )
    if (folder / MANIFEST_NAME).is_file():
        names = [check_file(folder, each) and each.path for each in _entries(folder)]
        if not is_compact(folder) and not (folder / _CARD).is_file():
            write_card(folder)
        names += [_CARD] if (folder / _CARD).is_file() else []
        names.append(MANIFEST_NAME)  # last: what it does not list does not exist
    elif (folder / _INFO).is_file():
        tag = _lerobot_version(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        names = [path.relative_to(folder).as_posix() for path in files]
    else:
        raise DatasetError(_what_is_needed(str(folder)))
    upload = Upload(
        {name: folder / name for name in names},
        "Upload of a dataset that rl_datagen made",
        tag,
        private,
    )
    return push(target, upload, progress)


def pull_dataset(repo: str, out: Path, *, progress: Progress = SILENT) -> None:
    """Downloads a dataset, all of whose files are checked before it appears.

    Args:
        repo: ``owner/name`` or ``hf://datasets/owner/name@revision``.
        out: Folder that does not exist yet.
        progress: Told of each file.

    Raises:
        DatasetError: It is no dataset, or damaged.
        UserError: No network, or no such repository.
    """
    source = Repo.parse(repo, "dataset")
    pull(source, out, _choose(source), _check, progress)


def _choose(source: Repo) -> Callable[[set[str], Callable[[str], Path]], Sequence[str]]:
    prefix = f"{source.folder}/" if source.folder else ""

    def choose(listed: set[str], fetch: Callable[[str], Path]) -> list[str]:
        if (manifest := f"{prefix}{MANIFEST_NAME}") in listed:
            folder = fetch(manifest).parent
            wanted = [each.path for each in _entries(folder)]
            if missing := [path for path in wanted if f"{prefix}{path}" not in listed]:
                raise DatasetError(
                    f"{source} lacks {len(missing)} files of its manifest, {missing[0]} the "
                    "first. Push it again."
                )
            return [f"{prefix}{path}" for path in {*wanted, _CARD} if f"{prefix}{path}" in listed]
        if f"{prefix}{_INFO}" in listed:
            return sorted(path for path in listed if not any(_hidden(path)))
        raise DatasetError(_what_is_needed(str(source)))

    return choose


def _hidden(path: str) -> list[bool]:
    return [part.startswith(".") for part in path.split("/")]


def _check(folder: Path) -> None:
    if (folder / MANIFEST_NAME).is_file():
        for entry in _entries(folder):
            check_file(folder, entry)
    else:
        _lerobot_version(folder)


def _entries(folder: Path) -> list[FileEntry]:
    if is_compact(folder):
        return [each.file for each in read_compact_manifest(folder).files]
    return list(read_manifest(folder).files())


def _lerobot_version(folder: Path) -> str:
    try:
        return str(json.loads((folder / _INFO).read_text("utf-8"))["codebase_version"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DatasetError(
            f"{folder / _INFO} is not what LeRobot writes ({type(error).__name__}): export the "
            "dataset again."
        ) from None


def _what_is_needed(where: str) -> str:
    return (
        f"{where} is no dataset: it has neither {MANIFEST_NAME} (a dataset, or a compact one) nor "
        f"{_INFO} (an export by `rl-datagen export lerobot`)."
    )
