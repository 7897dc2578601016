"""Our v2.1 export passes what the reader that openpi pins asks of a dataset.

That is lerobot at commit 0cf864870cf2, which no package index has: `make check-formats` reads with
lerobot 0.3.3 instead. These are the checks that this commit makes before it gives the first frame.
"""

import json

import numpy as np
import pyarrow.dataset
import pytest

from rl_datagen.export import export_lerobot

TOLERANCE = 1e-4  # seconds


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def open_dataset(root):
    """Raises an AssertionError where that reader raises an error or would look at the hub."""
    meta = root / "meta"
    info = json.loads((meta / "info.json").read_text("utf-8"))
    assert info["codebase_version"] == "v2.1"
    episodes = {row["episode_index"]: row for row in lines(meta / "episodes.jsonl")}
    tasks = {row["task_index"]: row["task"] for row in lines(meta / "tasks.jsonl")}
    stats = {row["episode_index"]: row["stats"] for row in lines(meta / "episodes_stats.jsonl")}
    assert episodes.keys() == stats.keys() == set(range(info["total_episodes"]))
    for index in episodes:
        chunk = index // info["chunks_size"]
        name = info["data_path"].format(episode_chunk=chunk, episode_index=index)
        assert (root / name).is_file(), name
    for of_episode in stats.values():
        for feature, values in of_episode.items():
            check_stats(feature, values)
    # All files below data/, one after the other in the order of their names.
    files = sorted((root / "data").rglob("*.parquet"))
    table = pyarrow.dataset.dataset([str(file) for file in files]).to_table()
    assert set(table.column_names) == set(info["features"])
    for name, feature in info["features"].items():
        if feature["dtype"] != "image":
            first = np.asarray(table[name][0].as_py(), feature["dtype"])
            assert first.shape in (tuple(feature["shape"]), ()), name
    ends = np.cumsum([episodes[index]["length"] for index in sorted(episodes)])
    assert ends[-1] == len(table) == info["total_frames"]
    inside = np.ones(len(table) - 1, bool)
    inside[ends[:-1] - 1] = False
    steps = np.diff(table["timestamp"].to_numpy())[inside]
    assert (np.abs(steps - 1 / info["fps"]) <= TOLERANCE).all()
    assert set(table["task_index"].to_pylist()) <= tasks.keys()
    return len(table)


def check_stats(feature, values):
    for key, value in values.items():
        shape = np.array(value).shape
        assert shape, f"{feature}: {key} is a number and no list"
        if key == "count":
            assert shape == (1,)
        elif "image" in feature:
            assert shape == (3, 1, 1), f"{feature}: {key} has the shape {shape}"


@pytest.fixture
def export(rendered, tmp_path):
    out = tmp_path / "out"
    export_lerobot(rendered, out, version="v2.1", drop_noops=True)
    return out


def test_the_export_is_opened(export):
    assert open_dataset(export) == 36


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("info.json", '"v2.1"', '"v3.0"'),
        ("info.json", '"fps": 10', '"fps": 20'),
        ("info.json", '"total_frames": 36', '"total_frames": 35'),
        ("episodes.jsonl", '"length": 8', '"length": 9'),
        ("episodes_stats.jsonl", '"count": [', '"count": [1, '),
        ("tasks.jsonl", '"task_index": 0', '"task_index": 5'),
    ],
)
def test_what_that_reader_refuses_is_noticed(export, name, old, new):
    path = export / "meta" / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(AssertionError):
        open_dataset(export)
