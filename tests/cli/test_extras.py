"""The table of what brings which package is that of ``pyproject.toml`` and of the code."""

import ast
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer.main

import rl_datagen
from rl_datagen.cli import app
from rl_datagen.cli.extras import BROUGHT_BY, NEEDS, missing_package
from tests.installed import closure

ROOT = Path(rl_datagen.__file__).parents[1]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HEAVIER = {
    "": (),
    "hub": ("",),
    "view": ("",),
    "wandb": ("",),
    "sim": ("",),
    "train": ("sim",),
    "remote": ("train",),
    "cluster": ("train",),
}
HEAVIER |= {"vla": ("remote", "train")}


EXTRAS = DECLARED["optional-dependencies"].items()
# What the installed package's metadata would say, if it were of this very file.
PACKAGE = SimpleNamespace(
    metadata={"Name": "rl_datagen"},
    requires=[
        *DECLARED["dependencies"],
        *(f"{line}; extra == '{extra}'" for extra, lines in EXTRAS for line in lines),
    ],
)


@cache
def owners():
    """Returns which distributions have each import name."""
    return packages_distributions()


def packages(extra):
    """Returns the import names of all that an extra installs."""
    try:
        there = {each.metadata["Name"] for each in closure(PACKAGE, extra)}
    except PackageNotFoundError as error:
        pytest.skip(f"[{extra}] is not installed: {error}")
    return {name for name, those in owners().items() if there & {*those}}


def imported():
    """Returns the import names that the package uses anywhere."""
    found = set()
    for path in (ROOT / "rl_datagen").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).partition(".")[0])
    return found - sys.stdlib_module_names - {"rl_datagen"}


def test_every_package_is_in_the_base_or_in_the_table():
    table = {name for names in BROUGHT_BY.values() for name in names}
    assert imported() - table <= packages("")
    assert not table & packages("")


@pytest.mark.parametrize("extra", sorted(HEAVIER.keys() - {""}))
def test_an_extra_brings_what_the_table_says_and_no_lighter_one_does(extra):
    names = set(BROUGHT_BY[extra])
    assert names <= packages(extra)
    if extra != "remote":  # Ray brings msgpack too
        for lighter in HEAVIER[extra]:
            assert not names & packages(lighter)


def test_commands_in_the_table_exist():
    command = typer.main.get_command(app)
    for words in NEEDS:
        found = command
        for word in words.split():
            found = found.commands[word]


@pytest.mark.parametrize(
    ("package", "words", "extra"),
    [
        ("torch.nn", ["collect", "a"], "train"),
        ("mujoco", ["demos", "import", "bundled"], "sim"),
        ("mujoco", ["vla", "train"], "vla"),
        ("lerobot", ["vla", "train"], "lerobot"),
        ("mlflow", [], "cluster"),
        ("mlflow", ["train"], "cluster"),
        ("wandb", ["train"], "wandb"),
        ("rerun", ["dataset", "view", "outputs/datasets/mine"], "view"),
        ("mujoco", ["dataset", "video", "outputs/datasets/mine"], "sim"),
        ("huggingface_hub.errors", ["dataset", "push", "a", "b/c"], "hub"),
        ("huggingface_hub", ["expert", "pull", "b/c", "a"], "train"),
    ],
)
def test_a_missing_package_is_one_sentence_with_the_command_s_extra(package, words, extra):
    said = str(missing_package(ModuleNotFoundError("no", name=package), words))
    assert f"needs the package {package.partition('.')[0]}, which" in said
    assert f"'.[{extra}]'" in said
    assert ("Python 3.12" in said) == (extra == "lerobot" and sys.version_info < (3, 12))


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("no", name="antigravity_"), ImportError("torch"), OSError()]
)
def test_other_errors_are_not_explained_by_an_extra(error):
    assert missing_package(error, ["train"]) is None
