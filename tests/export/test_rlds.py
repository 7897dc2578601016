import io
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from rl_datagen.config.views import ViewsConfig
from rl_datagen.core.errors import UserError
from rl_datagen.data import DatasetWriter
from rl_datagen.data.views import decode_depth, decode_segmentation
from rl_datagen.export import export_rlds, rlds, tfrecord
from tests.export.besides import rendered_besides


def records(path):
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert data[8:12] == tfrecord._checksum(data[:8])
        body = data[12 : 12 + length]
        assert data[12 + length : 16 + length] == tfrecord._checksum(body)
        yield body
        data = data[16 + length :]


def fields(data):
    """The fields of a protocol buffer whose fields are all length-delimited."""
    position = 0

    def varint():
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        key, length = varint(), varint()
        assert key & 7 == 2
        yield key >> 3, data[position : position + length]
        position += length


def parse(example):
    ((_, features),) = fields(example)
    result = {}
    for _, entry in fields(features):
        (_, name), (_, feature) = fields(entry)
        ((kind, values),) = fields(feature)
        items = [value for _, value in fields(values)]
        if kind == 2:
            items = np.frombuffer(items[0], "<f4")
        elif kind == 3:
            items = list(items[0])  # each below 128: one byte
        result[name.decode()] = items
    return result


def test_the_checksum_is_crc_32c():
    # RFC 3720, B.4: CRC-32C of 32 zeros is 0x8a9136aa; masked as TFRecord does it.
    expected = ((0x8A9136AA >> 15 | 0x8A9136AA << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert tfrecord._checksum(bytes(32)) == struct.pack("<I", expected)


def test_whole_numbers_are_varints():
    assert tfrecord._varint(300) == b"\xac\x02"  # protobuf's own example
    assert tfrecord._varint(127) == b"\x7f"


def test_episodes_are_examples(rendered, successes, tmp_path, monkeypatch):
    monkeypatch.setattr(rlds, "_SHARD_MB", 1e-3)
    out = tmp_path / "libero_rl"
    report = export_rlds(rendered, out)
    assert (report.num_episodes, report.num_failed) == (4, 2)
    folder = out / "1.0.0"
    names = [f"libero_rl-train.tfrecord-{i:05d}-of-00004" for i in range(4)]
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [*names, "dataset_info.json", "features.json"]
    )
    (split,) = json.loads((folder / "dataset_info.json").read_text())["splits"]
    assert split["shardLengths"] == ["1"] * 4
    num_bytes = 0
    for name, (trajectory, images) in zip(names, successes, strict=True):
        (record,) = records(folder / name)
        num_bytes += len(record)
        steps, length = parse(record), len(trajectory)
        assert steps["episode_metadata/file_path"] == [trajectory.episode_id.encode()]
        np.testing.assert_array_equal(steps["steps/action"], trajectory.action.ravel())
        state = steps["steps/observation/state"]
        np.testing.assert_array_equal(state, trajectory.proprio.ravel())
        assert steps["steps/is_first"] == [1] + [0] * (length - 1)
        assert steps["steps/is_last"] == steps["steps/is_terminal"] == [0] * (length - 1) + [1]
        np.testing.assert_array_equal(steps["steps/reward"], steps["steps/is_last"])
        for key, view in (("image", images.agentview), ("wrist_image", images.wrist)):
            found = np.array(Image.open(io.BytesIO(steps[f"steps/observation/{key}"][3])))
            straight, wrong = (
                np.abs(found.astype(int) - v).mean() for v in (view[3, :, ::-1], view[3])
            )
            assert straight < wrong / 1.5
    assert split["numBytes"] == str(num_bytes)
    features = json.loads((folder / "features.json").read_text())
    steps = features["featuresDict"]["features"]["steps"]["sequence"]["feature"]["featuresDict"]
    observation = steps["features"]["observation"]["featuresDict"]["features"]
    assert observation["image"]["image"]["shape"]["dimensions"] == ["16", "20", "3"]


def test_a_name_that_tensorflow_datasets_would_not_find(rendered, tmp_path):
    with pytest.raises(UserError, match=r"'Bad-Name' cannot name.*lower-case"):
        export_rlds(rendered, tmp_path / "Bad-Name")


def test_depth_segmentation_cameras_and_copies_are_observations(tmp_path, make_trajectory):
    overhead = {"overhead": {"position": [0.5, 0.4, 1.9], "look_at": [0, 0, 0.9]}}
    varied = {"vary": ["light"], "copies": 1}
    besides = ViewsConfig(modalities=("depth", "segmentation"), cameras=overhead, **varied)
    episode = make_trajectory(0)
    images = rendered_besides(episode.episode_id, len(episode), besides)
    with DatasetWriter(tmp_path / "dataset", config={}, origin={}) as writer:
        writer.append([episode])
        writer.append_images([images], shard=writer.shard_of(episode.episode_id))
    export_rlds(tmp_path / "dataset", out := tmp_path / "besides")
    (path,) = (out / "1.0.0").glob("*.tfrecord*")
    (record,) = records(path)
    steps = parse(record)
    features = json.loads((out / "1.0.0/features.json").read_text())
    inside = features["featuresDict"]["features"]["steps"]["sequence"]["feature"]["featuresDict"]
    told = inside["features"]["observation"]["featuresDict"]["features"]
    there = {key.removeprefix("steps/observation/") for key in steps if "observation" in key}
    assert there == set(told)
    assert {"image_copy1", "wrist_image_copy1", "overhead_image", "overhead_image_copy1"} <= there
    assert "image_copy1_depth" not in there  # its camera's
    shape = told["wrist_image_depth"]["image"]
    assert (shape["dtype"], shape["encodingFormat"]) == ("uint16", "png")
    assert shape["shape"]["dimensions"] == ["8", "10", "1"]
    view = images.views["wrist"]
    depth = decode_depth(steps["steps/observation/wrist_image_depth"][3])
    np.testing.assert_allclose(depth, view.depth[3, :, ::-1], atol=0.0006)
    found = decode_segmentation(steps["steps/observation/wrist_image_segmentation"][3])
    np.testing.assert_array_equal(found, view.segmentation[3, :, ::-1])
    # A point's pixel in what is stored is the mirror of its pixel in the upright image.
    point = np.array([0.1, -0.2, 1])
    column, row, _ = view.intrinsics[0] @ point
    stored = steps["steps/observation/wrist_image_intrinsics"][:9].reshape(3, 3) @ point
    np.testing.assert_allclose(stored, [9 - column, row, 1], rtol=1e-5)


def test_a_mixture_of_what_was_rendered_besides_is_refused(tmp_path, make_trajectory):
    episodes = [make_trajectory(number) for number in range(2)]
    with DatasetWriter(tmp_path / "dataset", config={}, origin={}) as writer:
        for episode, modalities in zip(episodes, (("depth",), ("segmentation",)), strict=True):
            writer.append([episode])
            settings = ViewsConfig(modalities=modalities)
            images = rendered_besides(episode.episode_id, len(episode), settings)
            shown = {
                name: replace(
                    view,
                    **{each: None for each in ("depth", "segmentation") if each not in modalities},
                )
                for name, view in images.views.items()
            }
            shard = writer.shard_of(episode.episode_id)
            writer.append_images([replace(images, views=shown)], shard=shard)
    with pytest.raises(UserError, match="have other depth, segmentation, cameras or copies"):
        export_rlds(tmp_path / "dataset", tmp_path / "besides", num_workers=1)
