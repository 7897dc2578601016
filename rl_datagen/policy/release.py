"""Experts that come with the repository, by name: ``release``, ``release/libero_goal/8``.

They are in the repository's ``release/experts``, in half precision, and not in the wheel.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import yaml
from safetensors.torch import load

import rl_datagen
from rl_datagen.core.errors import UserError
from rl_datagen.core.storage import atomic_path
from rl_datagen.core.yaml_text import parse_yaml
from rl_datagen.policy.weights import CONFIG, NORM_STATS, WEIGHTS, pack_weights
from rl_datagen.tasks import SUITES

RELEASE = "release"
VARIABLE = "RL_DATAGEN_RELEASE"
"""Environment variable that says where the release lies, if not in a checkout."""


def release_folder() -> Path:
    """Returns where the release lies.

    Raises:
        UserError: It is not here; says where to get it.
    """
    checkout = Path(rl_datagen.__file__).parents[1] / RELEASE
    folder = Path(os.environ.get(VARIABLE, checkout)).expanduser()
    if not (folder / "experts").is_dir():
        raise UserError(
            f"There are no released experts in {folder}: they are in the repository, under "
            f"{RELEASE}/, and not in the installed package. Clone the repository and set "
            f"{VARIABLE} to its {RELEASE} folder, or train an expert with `rl-datagen train`."
        )
    return folder


def released(name: str) -> str:
    """Returns the folder of released experts that a setting names; other settings as they are.

    Args:
        name: ``release``: all of them, ``{task}`` in place of a task's id; ``release/<task>``.

    Raises:
        UserError: There is no release here.
    """
    first, _, task = name.partition("/")
    if first != RELEASE or (task and task.split("/")[0] not in SUITES):
        return name
    return f"{release_folder()}/experts/{task or '{task}'}"


def pack(files: Mapping[str, bytes], folder: Path) -> int:
    """Writes an expert's files with weights in half precision, and returns their size in bytes.

    Its configuration forgets where on this machine it was trained.

    Args:
        files: Those of an expert folder, by name.
        folder: Where; a file that is there with the same content is left alone.
    """
    weights = {name: value.half() for name, value in load(files[WEIGHTS]).items()}
    config = parse_yaml(files[CONFIG], CONFIG)
    config.pop("output_dir", None)
    contents = {
        CONFIG: yaml.safe_dump(config, sort_keys=False).encode(),
        NORM_STATS: files[NORM_STATS],
        WEIGHTS: pack_weights(weights, files[NORM_STATS]),
    }
    for name, content in contents.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)
    return sum(path.stat().st_size for path in folder.iterdir())
