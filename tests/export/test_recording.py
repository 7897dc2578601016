"""What rerun reads back of a recording; needs the extra [view], which [dev] has not."""

import subprocess
import sys
import sysconfig
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from rl_datagen.core.errors import DatasetError
from rl_datagen.data import DatasetWriter, RenderedEpisode
from rl_datagen.data.images import decode_image

pytest.importorskip("rerun", reason="the extra [view] is not installed")

from rerun.chunk import RrdReader

from rl_datagen.export.recording import ACTIONS, PROPRIO, first_episode, write_recording

SCENE = "rl_datagen.export.scene_track"


def read(path):
    """Returns the rows of each entity that change over time, by its path, and all entities."""
    verified = subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "rerun", "rrd", "verify", path], capture_output=True
    )
    assert verified.returncode == 0, verified.stderr
    rows, entities = defaultdict(list), set()
    for chunk in RrdReader(str(path)).stream().to_chunks():
        entities.add(str(chunk.entity_path))
        if not chunk.is_static:
            rows[str(chunk.entity_path)] += chunk.to_record_batch().to_pylist()
    return rows, entities


def values(rows, component):
    """Returns one component of the rows in the order of their env steps."""
    (key,) = {k for row in rows for k in row if k.endswith(component)}
    return [row[key] for row in sorted(rows, key=lambda row: row["step"])]


def scalars(rows):
    return np.array([value[0] for value in values(rows, "scalars")])


@pytest.fixture
def dataset(tmp_path, make_trajectory):
    episodes = [make_trajectory(i, task="libero_goal/3") for i in range(3)]
    path = tmp_path / "mine"
    with DatasetWriter(path, config={}) as writer:
        writer.append(episodes)
        generator = np.random.default_rng(0)
        shape = (2, len(episodes[1]), 32, 32, 3)
        views = generator.integers(256, size=shape, dtype=np.uint8)
        images = [RenderedEpisode(episodes[1].episode_id, *views)]
        writer.append_images(images, shard=writer.manifest.shards[0])
    return path, episodes, views


@pytest.fixture
def without_simulator(monkeypatch):
    monkeypatch.setitem(sys.modules, SCENE, None)


@pytest.mark.usefixtures("without_simulator")
def test_an_episode_with_images_is_read_back_frame_by_frame(tmp_path, dataset):
    path, (_, episode, _), views = dataset
    assert first_episode(path) == episode.episode_id
    written = write_recording(path, episode.episode_id, tmp_path / "episode.rrd")
    assert (written.episode_id, written.num_steps) == (episode.episode_id, len(episode))
    rows, entities = read(written.path)
    series = {f"/actions/{name}" for name in ACTIONS} | {f"/proprio/{name}" for name in PROPRIO}
    cameras = {"/cameras/agentview", "/cameras/wrist"}
    assert set(rows) == series | cameras | {"/success", "/world/hand"}
    assert {"/about", "/world/path"} <= entities
    assert {len(each) for each in rows.values()} == {len(episode)}
    assert scalars(rows["/actions/y"]) == pytest.approx(episode.action[:, 1])
    assert scalars(rows["/success"])[-1] == episode.success
    translation = np.array(values(rows["/world/hand"], "translation"))[:, 0]
    assert translation == pytest.approx(episode.ee_pos, abs=1e-6)
    times = [row["time"].total_seconds() for row in rows["/success"]]
    assert sorted(times) == pytest.approx(np.arange(len(episode)) / 20)
    blobs = values(rows["/cameras/wrist"], "blob")
    for blob, image in zip(blobs, views[1], strict=True):
        assert np.array_equal(decode_image(bytes(blob[0])), image)


@pytest.mark.usefixtures("without_simulator")
def test_what_is_left_out_is_said(tmp_path, dataset):
    path, (episode, *_), _ = dataset
    written = write_recording(path, episode.episode_id, tmp_path / "episode.rrd")
    scene, images = written.left_out
    assert "[sim] brings it" in scene
    assert f"rl-datagen dataset render {path}" in images
    assert "/cameras/wrist" not in read(written.path)[0]


def test_an_unknown_episode_is_refused_with_the_nearest_name(tmp_path, dataset):
    path, (episode, *_), _ = dataset
    name = episode.episode_id.replace("libero", "lbero")
    with pytest.raises(DatasetError, match=f"Did you mean '{episode.episode_id}'"):
        write_recording(path, name, tmp_path / "episode.rrd")
    assert not (tmp_path / "episode.rrd").exists()


@pytest.mark.sim
def test_objects_and_goal_come_from_a_replay(tmp_path):
    from rl_datagen.config import SimConfig
    from rl_datagen.demos import load_human_demonstration, replay
    from rl_datagen.sim import load_scene
    from rl_datagen.tasks import get_task

    task = get_task("libero_object/0")
    scene = load_scene(task)
    episode = replay(load_human_demonstration(task), scene, SimConfig())
    with DatasetWriter(tmp_path / "human", config={"sim": {"backend": "exact"}}) as writer:
        writer.append([episode])
    written = write_recording(tmp_path / "human", episode.episode_id, tmp_path / "episode.rrd")
    rows, _ = read(written.path)
    (goal,) = (path for path in rows if path.startswith("/goal/"))
    assert "in alphabet_soup_1 basket_1" in goal.replace("\\", "")
    holds = scalars(rows[goal])
    assert len(holds) == len(episode) + 1
    first = int(np.flatnonzero(holds)[0])
    assert first == episode.num_steps_to_success
    assert not holds[0]
    objects = {path for path in rows if path.startswith("/world/objects/")}
    assert len(objects) == sum(part.kind != "joint" for part in scene.state_layout.parts)
    soup = np.array(values(rows["/world/objects/alphabet_soup_1"], "translation"))[:, 0]
    basket = np.array(values(rows["/world/objects/basket_1"], "translation"))[:, 0]
    apart = np.linalg.norm(soup[:, :2] - basket[:, :2], axis=1)
    assert len(apart) == len(episode) + 1
    assert apart[-1] < 0.1 < apart[0]
    (sentence,) = written.left_out
    assert sentence.startswith("No camera images")
