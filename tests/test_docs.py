"""README and docs are true: Python runs, commands parse, links lead somewhere."""

import pydoc
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

import rl_datagen
from rl_datagen.cli import app
from rl_datagen.config import load_config
from rl_datagen.config.reference import MODELS, groups
from rl_datagen.data import DatasetWriter, RenderedEpisode
from rl_datagen.data.compact import compact
from tests.labelled import add_labels

ROOT = Path(rl_datagen.__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPETS = [
    pytest.param(code, id=f"{page.name}-{number}", marks=pytest.mark.sim if "sim" in code else ())
    for page in PAGES
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.fixture
def folder(tmp_path, monkeypatch, make_trajectory):
    """A working folder with the dataset that the snippets read, whole and compact."""
    path = tmp_path / "outputs/datasets/mine"
    episodes = [make_trajectory(i, task="libero_goal/3") for i in range(4)]
    with DatasetWriter(path, config={"sim": {"backend": "exact"}}) as writer:
        writer.append(episodes)
        views = np.zeros((2, len(episodes[0]), 32, 32, 3), np.uint8)
        images = [RenderedEpisode(episode.episode_id, *views) for episode in episodes]
        writer.append_images(images, shard=writer.manifest.shards[0])
    add_labels(path)
    with DatasetWriter(tmp_path / "other", config={"sim": {"backend": "exact"}}) as writer:
        writer.append([make_trajectory(0, task="libero_goal/0")])
    compact(tmp_path / "other", tmp_path / "OUT")
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("code", SNIPPETS)
def test_a_snippet_runs(code):
    exec(compile(code, "snippet", "exec"), {})


def test_there_are_snippets():
    assert len(SNIPPETS) >= 5


COMMANDS = sorted(
    {
        line.strip().split("  ")[0].split(" #")[0]
        for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "cluster/README.md"]
        for block in re.findall(r"```\w*\n(.*?)```", page.read_text(), re.DOTALL)
        for line in block.splitlines()
        if line.lstrip().startswith("rl-datagen ")
    }
)


@pytest.fixture
def load_only(monkeypatch):
    """Ends each command once its settings are loaded."""

    def load(*arguments, **options):
        load_config(*arguments, **options)
        raise RuntimeError("loaded")

    for name, module in list(sys.modules.items()):
        if name.startswith("rl_datagen.cli") and hasattr(module, "load_config"):
            monkeypatch.setattr(module, "load_config", load)


def parse(command, arguments, parent=None):
    """Parses a command line as the program does, and returns the context of its last word."""
    context = command.make_context(command.name, arguments, parent=parent)
    if not hasattr(command, "resolve_command"):
        return context
    _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    return parse(inner, rest, context)


@pytest.mark.usefixtures("load_only")
@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_parses_and_its_settings_load(line):
    command, words = typer.main.get_command(app), shlex.split(line)[1:]
    if "--settings" in words:  # lists them, and that is all
        with pytest.raises(typer.Exit):
            parse(command, words)
        return
    context = parse(command, words)
    if "settings" in context.params or "overrides" in context.params:
        with pytest.raises(RuntimeError, match="loaded"):
            context.command.invoke(context)


def test_there_are_commands():
    assert len(COMMANDS) >= 50


def anchor(heading):
    """Returns what GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "cluster/README.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, fragment in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.is_file(), target  # the site has no page of a folder
        if fragment:
            headings = re.findall(r"^#+ (.*)", file.read_text(), re.MULTILINE)
            assert fragment in map(anchor, headings), f"{target}#{fragment}"


SETTINGS = {s.key for model in MODELS.values() for group in groups(model) for s in group.settings}
NAMES = sorted(
    {
        name
        for page in PAGES
        for name in re.findall(r"`((?:[a-z_]+\.){2,}[A-Za-z_]+)`", page.read_text())
        if name.split(".")[0]
        not in {"gymnasium", "lerobot", "pyarrow", "tf", "observation", "camera"}
    }
    - SETTINGS
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_the_docs_is_one_of_the_code(name):
    assert pydoc.locate(f"rl_datagen.{name}") is not None
