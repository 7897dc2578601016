"""Subtasks of labels in LeRobot's formats."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from rl_datagen.core.errors import ConfigError, DatasetError
from rl_datagen.export import export_lerobot
from tests.labelled import add_labels

SENTENCES = ["pick up the bowl", "place the bowl on the plate"]


def read(out):
    table = pq.read_table(out / "data")
    return table, json.loads((out / "meta/info.json").read_text())["features"]


def test_lerobot_0_6_has_each_subtask_with_its_time_on_every_frame(rendered, tmp_path):
    add_labels(rendered)
    export_lerobot(rendered, tmp_path / "out", images="image")
    table, features = read(tmp_path / "out")
    language = {"dtype": "language", "shape": [1], "names": None}
    assert features["language_persistent"] == features["language_events"] == language
    assert "subtask_index" not in features
    episode = table.filter(np.array(table["episode_index"]) == 0)
    rows = episode["language_persistent"].to_pylist()
    assert all(each == rows[0] for each in rows)
    assert [row["content"] for row in rows[0]] == SENTENCES
    assert [round(row["timestamp"] * 20) for row in rows[0]] == [0, len(episode) // 2]
    rest = [(row["role"], row["style"], row["camera"], row["tool_calls"]) for row in rows[0]]
    assert rest == [("assistant", "subtask", None, None)] * 2
    assert set(map(len, table["language_events"].to_pylist())) == {0}
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    assert "language_persistent" not in stats
    assert "language_persistent" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
@pytest.mark.parametrize("drop_noops", [False, True])
def test_an_index_names_each_frame_s_subtask(rendered, tmp_path, version, drop_noops):
    add_labels(rendered)
    out = tmp_path / "out"
    options = {"version": version, "images": "image", "drop_noops": drop_noops}
    export_lerobot(rendered, out, subtasks="index", **options)
    table, features = read(out)
    assert features["subtask_index"]["dtype"] == "int64"
    episode = table.filter(np.array(table["episode_index"]) == 0)
    assert len(episode) == (8 if drop_noops else 10)
    assert episode["subtask_index"].to_pylist() == [0] * (4 if drop_noops else 5) + [1] * (
        4 if drop_noops else 5
    )
    if version == "v3.0":
        named = pq.read_table(out / "meta/subtasks.parquet")
        assert named["subtask"].to_pylist() == SENTENCES
        note = json.loads(named.schema.metadata[b"pandas"])
        assert note["index_columns"] == ["subtask"]
    else:
        lines = (out / "meta/subtasks.jsonl").read_text().splitlines()
        assert [json.loads(line)["subtask"] for line in lines] == SENTENCES


def test_without_labels_or_without_subtasks_nothing_changes(rendered, tmp_path):
    export_lerobot(rendered, tmp_path / "before", images="image")
    with pytest.raises(DatasetError, match=r"Label them first: rl-datagen dataset label"):
        export_lerobot(rendered, tmp_path / "out", subtasks="index")
    with pytest.raises(ConfigError, match="take --subtasks index"):
        export_lerobot(rendered, tmp_path / "out", version="v2.1", subtasks="language")
    add_labels(rendered)
    export_lerobot(rendered, tmp_path / "after", images="image", subtasks="none")
    name = "data/chunk-000/file-000.parquet"
    assert (tmp_path / "after" / name).read_bytes() == (tmp_path / "before" / name).read_bytes()
