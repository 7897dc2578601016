import io
import json

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rl_datagen.core.errors import UserError
from rl_datagen.export import export_lerobot, lerobot_v30
from rl_datagen.export.orientation import mirrored
from rl_datagen.export.statistics import QUANTILES
from rl_datagen.tasks import get_task


def decode(table, name):
    rows = table[name].to_pylist()
    return np.stack([np.array(Image.open(io.BytesIO(row["bytes"]))) for row in rows])


def read(path):
    return json.loads(path.read_text())


def test_images_are_liberos_frames_turned_by_180_degrees():
    upright = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    frame = upright[:, ::-1]  # OpenGL's last row first, as LIBERO stores it
    np.testing.assert_array_equal(mirrored(upright), np.rot90(frame, 2, axes=(1, 2)))


def test_v30_rows_and_videos(rendered, successes, tmp_path):
    out = tmp_path / "out"
    report = export_lerobot(rendered, out)
    assert (report.num_episodes, report.num_frames, report.num_failed) == (4, 44, 2)
    info = read(out / "meta/info.json")
    assert (info["codebase_version"], info["fps"], info["total_episodes"]) == ("v3.0", 20, 4)
    assert info["features"]["observation.images.image"]["shape"] == [16, 20, 3]
    data = pq.ParquetFile(out / info["data_path"].format(chunk_index=0, file_index=0))
    assert data.num_row_groups == 4
    rows = data.read()
    assert rows["index"].to_pylist() == list(range(44))
    assert rows["timestamp"].to_pylist() == pytest.approx(
        [t / 20 for n in (10, 12, 10, 12) for t in range(n)]
    )
    actions = np.concatenate([t.action for t, _ in successes])
    np.testing.assert_array_equal(np.stack(rows["action"].to_numpy()), actions)
    episodes = pq.read_table(out / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [e["dataset_from_index"] for e in episodes] == [0, 10, 22, 32]
    assert [e["tasks"] for e in episodes[1:3]] == [
        [get_task(t).instruction] for t in ("libero_object/0", "libero_goal/3")
    ]
    camera = "observation.images.image2"
    path = info["video_path"].format(video_key=camera, chunk_index=0, file_index=0)
    with av.open(str(out / path)) as video:
        frames = list(video.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([t / 20 for t in range(44)])
    begins = [e[f"videos/{camera}/from_timestamp"] for e in episodes]
    assert begins == pytest.approx([0, 0.5, 1.1, 1.6])
    stats = read(out / "meta/stats.json")
    assert np.shape(stats[camera]["q99"]) == (3, 1, 1)
    np.testing.assert_allclose(stats["action"]["q10"], np.quantile(actions, 0.1, axis=0))
    tasks = pq.read_table(out / "meta/tasks.parquet").to_pandas()
    assert tasks.index.name == "task"
    assert tasks["task_index"].to_list() == [0, 1]
    assert (out / "README.md").read_text().startswith("---\nlicense: cc-by-4.0\n")


def test_v30_files_are_of_limited_size(rendered, successes, tmp_path, monkeypatch):
    monkeypatch.setattr(lerobot_v30, "_DATA_MB", 1e-3)
    monkeypatch.setattr(lerobot_v30, "_EPISODES", 1)
    monkeypatch.setattr(lerobot_v30, "_CHUNK", 3)
    out = tmp_path / "out"
    export_lerobot(rendered, out, images="image")
    files = sorted(str(p.relative_to(out)) for p in out.glob("data/**/*.parquet"))
    assert files == [
        f"data/chunk-{c:03d}/file-{f:03d}.parquet" for c, f in ((0, 0), (0, 1), (0, 2), (1, 0))
    ]
    episodes = [pq.read_table(p).to_pylist() for p in sorted(out.glob("meta/episodes/*/*.parquet"))]
    rows = [row for table in episodes for row in table]
    places = [(row["data/chunk_index"], row["data/file_index"]) for row in rows]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0)]
    for row, (trajectory, images) in zip(rows, successes, strict=True):
        place = {key: row[f"data/{key}"] for key in ("chunk_index", "file_index")}
        table = pq.read_table(out / lerobot_v30._DATA_PATH.format(**place))
        assert table["episode_index"].to_pylist() == [row["episode_index"]] * len(trajectory)
        found = decode(table, "observation.images.image")
        np.testing.assert_array_equal(found, images.agentview[:, :, ::-1])
    assert not (out / "videos").exists()


def test_v21_is_as_openpi_reads_it(rendered, successes, tmp_path):
    out = tmp_path / "out"
    report = export_lerobot(rendered, out, version="v2.1", drop_noops=True)
    assert (report.num_frames, report.num_noops) == (36, 8)
    info = read(out / "meta/info.json")
    assert (info["codebase_version"], info["fps"], info["robot_type"]) == ("v2.1", 10, "panda")
    assert info["features"]["wrist_image"]["dtype"] == "image"
    assert info["features"]["actions"]["shape"] == [7]
    lines = (out / "meta/episodes.jsonl").read_text().splitlines()
    assert [json.loads(line)["length"] for line in lines] == [8, 10, 8, 10]
    path = out / info["data_path"].format(episode_chunk=0, episode_index=3)
    table = pq.read_table(path)
    trajectory, images = successes[3]
    kept = ~trajectory.noops
    assert table["frame_index"].to_pylist() == list(range(10))
    assert table["timestamp"].to_pylist() == pytest.approx([t / 10 for t in range(10)])
    assert table["index"].to_pylist() == list(range(26, 36))
    np.testing.assert_array_equal(np.stack(table["state"].to_numpy()), trajectory.proprio[kept])
    np.testing.assert_array_equal(decode(table, "wrist_image"), images.wrist[kept][:, :, ::-1])
    types = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert types["image"] == {"_type": "Image"}
    stats = [json.loads(s) for s in (out / "meta/episodes_stats.jsonl").read_text().splitlines()]
    assert set(stats[0]["stats"]["state"]) == {"min", "max", "mean", "std", "count", *QUANTILES}
    median = np.quantile(trajectory.proprio[kept], 0.5, axis=0)
    np.testing.assert_allclose(stats[3]["stats"]["state"]["q50"], median)


def test_fps_is_a_label_of_timestamps_and_videos_and_leaves_every_frame(
    rendered, successes, tmp_path
):
    out = tmp_path / "out"
    assert export_lerobot(rendered, out, fps=10).num_frames == 44
    info = read(out / "meta/info.json")
    camera = info["features"]["observation.images.image"]
    assert (info["fps"], camera["info"]["video.fps"]) == (10, 10)
    rows = pq.read_table(out / "data/chunk-000/file-000.parquet")
    assert rows["timestamp"].to_pylist()[:10] == pytest.approx([t / 10 for t in range(10)])
    actions = np.concatenate([t.action for t, _ in successes])
    np.testing.assert_array_equal(np.stack(rows["action"].to_numpy()), actions)
    with av.open(str(out / "videos/observation.images.image/chunk-000/file-000.mp4")) as video:
        times = [frame.time for frame in video.decode(video=0)]
    assert times == pytest.approx([t / 10 for t in range(44)])
    (episodes,) = (out / "meta/episodes").rglob("*.parquet")
    ends = pq.read_table(episodes)["videos/observation.images.image/to_timestamp"].to_pylist()
    assert ends == pytest.approx([1.0, 2.2, 3.2, 4.4])
    assert "count 10 frames per second" in (out / "README.md").read_text()


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_gr00t_finds_state_action_videos_and_instruction(rendered, successes, tmp_path, version):
    """Reads as GR00T's loader does: slices of columns, and one video per episode in v2.1."""
    out = tmp_path / "out"
    export_lerobot(rendered, out, version=version, modality_json=True)
    info, modality = read(out / "meta/info.json"), read(out / "meta/modality.json")
    assert set(modality) == {"state", "action", "video", "annotation"}
    data = pq.read_table(sorted(out.glob("data/**/*.parquet"))[0])
    for kind, width in (("state", 8), ("action", 7)):
        keys = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
        assert list(modality[kind]) == keys
        assert [modality[kind][key]["start"] for key in keys] == list(range(7))
        assert modality[kind]["gripper"]["end"] == width
        values = successes[0][0].proprio if kind == "state" else successes[0][0].action
        gripper = modality[kind]["gripper"]
        found = np.stack(data[gripper["original_key"]].to_numpy())[: len(values)]
        span = slice(gripper["start"], gripper["end"])
        np.testing.assert_array_equal(found[:, span], values[:, 6:])
    (annotation,) = modality["annotation"].values()
    assert data[annotation["original_key"]].to_pylist()[0] == 0
    assert set(modality["video"]) == {"image", "wrist_image"}
    for video in modality["video"].values():
        assert info["features"][video["original_key"]]["dtype"] == "video"
        if version == "v2.1":
            place = {"episode_chunk": 0, "episode_index": 1, "video_key": video["original_key"]}
            with av.open(str(out / info["video_path"].format(**place))) as container:
                assert sum(1 for _ in container.decode(video=0)) == 12
    assert info.get("total_videos", 8) == 8


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"modality_json": True, "images": "image"}, "--images image.*--modality-json"),
        ({"fps": 0}, "--fps 0: 1 to 1000 is allowed"),
    ],
)
def test_options_that_contradict_each_other(rendered, tmp_path, options, named):
    with pytest.raises(UserError, match=named):
        export_lerobot(rendered, tmp_path / "out", **options)
