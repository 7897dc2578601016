"""The Python in README and docs runs as it stands, on a small dataset."""

import re
from pathlib import Path

import numpy as np
import pytest

import rl_datagen
from rl_datagen.data import DatasetWriter, RenderedEpisode
from rl_datagen.data.compact import compact

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
    with DatasetWriter(tmp_path / "other", config={"sim": {"backend": "exact"}}) as writer:
        writer.append([make_trajectory(0, task="libero_goal/0")])
    compact(tmp_path / "other", tmp_path / "OUT")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("code", SNIPPETS)
def test_a_snippet_runs(code):
    exec(compile(code, "snippet", "exec"), {})


def test_there_are_snippets():
    assert len(SNIPPETS) >= 5
