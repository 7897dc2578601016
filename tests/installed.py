"""This package's wheel, in an environment with what its metadata asks for and nothing else.

The packages are those of the environment that runs the tests, which is linked to: nothing is
fetched, and what an extra forgets to name is missing as it would be for a user.
"""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def run(*command, cwd=None):
    """Without ``PYTHONPATH``, which may name a checkout."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=environment)


def succeed(*command, cwd=None):
    result = run(*command, cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def build_wheel(folder):
    """Returns the wheel of what is in this checkout."""
    tree = folder / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for name in ("configs", "rl_datagen"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignore)
    options = ["--no-build-isolation"] if _has_build_backend() else []
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", *options)
    succeed(*pip, "--wheel-dir", folder, tree)
    shutil.rmtree(tree)
    (built,) = folder.glob("*.whl")
    return built


def make_environment(folder, wheel, extra=""):
    """Returns the folder of programs of an environment with the wheel and one of its extras."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index")
    succeed(*pip, f"{wheel}[{extra}]" if extra else wheel)
    (packages,) = folder.glob("lib/python*/site-packages")
    (own,) = packages.glob("rl_datagen-*.dist-info")
    for each in closure(Distribution.at(own), extra):
        paths = [path.parts for path in each.files or () if ".." not in path.parts]
        _link(Path(str(each.locate_file(""))), packages, paths)
    return folder / "bin"


def closure(package: Distribution, extra: str = "") -> list[Distribution]:
    """Returns what is installed of all that a package needs, with one of its extras."""
    found, seen = {}, set()
    queue = list(_needs(package, extra))
    while queue:
        name, wanted = queue.pop()
        key = name.lower().replace("_", "-")
        if (key, wanted) in seen:
            continue
        seen.add((key, wanted))
        itself = key == package.metadata["Name"].replace("_", "-")
        each = package if itself else distribution(name)
        if not itself:
            found[key] = each
        queue += _needs(each, wanted)
    return list(found.values())


def _needs(package: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    """Yields the name of each requirement, with no extra and with each that it asks for."""
    for line in package.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement.name, ""
            yield from ((requirement.name, each) for each in requirement.extras)


def _link(source, target, paths):
    """Links what a distribution has, but makes folders that several share, such as ``google``."""
    for name in {path[0] for path in paths if path[0] != "__pycache__"}:
        inner = [path[1:] for path in paths if path[0] == name and len(path) > 1]
        whole = not inner or (source / name / "__init__.py").exists()
        if (target / name).is_symlink():
            continue  # of another distribution in the same folder, as mlflow and mlflow-skinny
        if whole or name.endswith(".dist-info"):
            (target / name).symlink_to(source / name)
        else:
            (target / name).mkdir(exist_ok=True)
            _link(source / name, target / name, inner)


def _has_build_backend():
    """Whether this environment can build without fetching what ``pyproject.toml`` asks for."""
    try:
        return int(version("setuptools").split(".")[0]) >= 77
    except PackageNotFoundError:
        return False
