"""Experts on the Hugging Face Hub."""

from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from rl_datagen.core.errors import UserError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.templates import template_environment
from rl_datagen.core.yaml_text import parse_yaml
from rl_datagen.policy.expert import load_policy
from rl_datagen.policy.weights import CONFIG, NORM_STATS, WEIGHTS
from rl_datagen.runtime.hub import Repo, Upload, cached, pull, push
from rl_datagen.tasks import get_task

_FILES = (CONFIG, NORM_STATS, WEIGHTS)
_CARD = "README.md"


def push_experts(
    folder: Path, repo: str, *, private: bool = False, progress: Progress = SILENT
) -> str:
    """Uploads an expert, or all of a folder, with a card; returns the address.

    Args:
        folder: An expert's folder, or one with experts below it, as ``expert pack`` makes it.
        repo: ``owner/name``; made if it is not there.
        private: Whether a new repository is private.
        progress: Told of each file.

    Raises:
        UserError: There is no expert, one is damaged; no network, no token, or no permission.
    """
    target = Repo.parse(repo, "model")
    if target.folder or target.revision:
        raise UserError(f"'{repo}': experts are pushed to OWNER/NAME, its newest revision.")
    experts = _experts_in(folder)
    rows = []
    files: dict[str, bytes | Path] = {}
    for expert in experts:
        _, config, _ = load_policy(expert)  # which checks everything
        place = expert.relative_to(folder).as_posix()
        prefix = "" if place == "." else f"{place}/"
        files |= {f"{prefix}{name}": expert / name for name in (NORM_STATS, WEIGHTS)}
        files[f"{prefix}{CONFIG}"] = _without_place(expert / CONFIG)
        kind = config.policy
        rows.append((place, get_task(config.task), kind.kind, kind.encoder))
    card = folder / _CARD
    if not card.is_file():
        template = template_environment("rl_datagen.policy", html=False)
        text = template.get_template("expert_card.md.j2").render(repo=target, rows=rows)
        files[_CARD] = text.encode()
    else:
        files[_CARD] = card
    upload = Upload(files, "Upload of experts that rl_datagen made", private=private)
    return push(target, upload, progress)


def pull_experts(repo: str, out: Path, *, progress: Progress = SILENT) -> None:
    """Downloads experts, each of which is checked before their folder appears.

    Args:
        repo: ``owner/name`` or ``hf://owner/name@revision/folder``.
        out: Folder that does not exist yet.
        progress: Told of each file.

    Raises:
        UserError: There is no expert, one is damaged; no network, or no such repository.
    """
    source = Repo.parse(repo, "model")

    def choose(listed: set[str], fetch: Callable[[str], Path]) -> Sequence[str]:
        del fetch
        return sorted(path for path in listed if path.rpartition("/")[2] in (*_FILES, _CARD))

    def check(folder: Path) -> None:
        for expert in _experts_in(folder):
            load_policy(expert)

    pull(source, out, choose, check, progress)


def cached_expert(repo: str) -> Path:
    """Returns the folder of an expert in the Hub's cache, to which it is downloaded once.

    Args:
        repo: ``hf://owner/name``, or ``hf://owner/name@revision/folder`` if it is not at the top.

    Raises:
        UserError: It is not there; no network, or no such repository.
    """
    return cached(Repo.parse(repo, "model"), _FILES)


def _experts_in(folder: Path) -> list[Path]:
    found = sorted(path.parent for path in folder.rglob(WEIGHTS))
    if not found:
        raise UserError(
            f"There is no expert in '{folder}', nor below it: none has a {WEIGHTS}. Train one with "
            "`rl-datagen train`, or pack some with `rl-datagen expert pack`."
        )
    return found


def _without_place(path: Path) -> bytes:
    """Returns a configuration that does not say where on this machine it was trained."""
    config = parse_yaml(path.read_bytes(), str(path))
    config.pop("output_dir", None)
    return yaml.safe_dump(config, sort_keys=False).encode()
