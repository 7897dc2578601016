"""Depth, segmentation, cameras and copies as features of LeRobot v3.0."""

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rl_datagen.config.views import ViewsConfig
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.data import DatasetWriter
from rl_datagen.data.views import millimetres
from rl_datagen.export import export_lerobot
from tests.export.besides import rendered_besides

OVERHEAD = {"overhead": {"position": [0.5, 0.4, 1.9], "look_at": [0, 0, 0.9]}}
ALL = ViewsConfig(modalities=("depth", "segmentation"), cameras=OVERHEAD, vary=["light"], copies=1)


@pytest.fixture
def episodes(make_trajectory):
    pairs = [(make_trajectory(number), 12) for number in range(2)]
    return [(each, rendered_besides(each.episode_id, length, ALL)) for each, length in pairs]


@pytest.fixture
def dataset(tmp_path, episodes):
    with DatasetWriter(tmp_path / "dataset", config={}, origin={}) as writer:
        writer.append([episode for episode, _ in episodes])
        shard = writer.shard_of(episodes[0][0].episode_id)
        writer.append_images([images for _, images in episodes], shard=shard)
    return tmp_path / "dataset"


def maps(table, name):
    rows = table[name].to_pylist()
    return np.stack([np.array(Image.open(io.BytesIO(row["bytes"]))) for row in rows])


def read(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize("kind", ["image", "video"])
def test_everything_is_a_feature_turned_like_the_images(dataset, episodes, tmp_path, kind):
    export_lerobot(dataset, out := tmp_path / "out", images=kind, views=True)
    features = read(out / "meta/info.json")["features"]
    rows = pq.read_table(out / "data/chunk-000/file-000.parquet")
    images = {name.removeprefix("observation.images."): f for name, f in features.items()}
    copies = {"image_copy1", "image2_copy1", "overhead_copy1"}
    assert {"overhead", "overhead_depth", "image2_segmentation", *copies} <= set(images)
    assert not {f"{copy}_depth" for copy in copies} & set(images)  # its camera's
    assert images["overhead"] == images["image"]
    assert images["overhead"]["dtype"] == kind
    depth = images["image2_depth"]
    assert (depth["dtype"], depth["shape"]) == ("image", [8, 10, 1])
    assert depth["info"] == {"is_depth_map": True, "depth_unit": "mm"}
    assert "info" not in images["image2_segmentation"]
    shown = [rendered.views["wrist"] for _, rendered in episodes]
    expected = np.concatenate([millimetres(view.depth) for view in shown])[:, :, ::-1]
    np.testing.assert_array_equal(maps(rows, "observation.images.image2_depth"), expected)
    stats = read(out / "meta/stats.json")["observation.images.image2_depth"]
    for name in ("min", "max", "mean", "std"):
        value = getattr(expected, name)()
        np.testing.assert_allclose(stats[name], [[[value]]], rtol=1e-9)
    segmentation = np.concatenate([view.segmentation for view in shown])[:, :, ::-1]
    found = maps(rows, "observation.images.image2_segmentation")
    np.testing.assert_array_equal(found, segmentation)


def test_intrinsics_lead_to_the_pixels_that_are_stored(dataset, episodes, tmp_path):
    export_lerobot(dataset, out := tmp_path / "out", images="image", views=True)
    rows = pq.read_table(out / "data/chunk-000/file-000.parquet")
    point = np.array([0.1, -0.2, 1])
    column, row, _ = episodes[0][1].views["overhead"].intrinsics[0] @ point
    stored = np.reshape(rows["camera.overhead.intrinsics"][0].as_py(), (3, 3)) @ point
    np.testing.assert_allclose(stored, [9 - column, row, 1], rtol=1e-5)
    assert len(rows["camera.image.extrinsics"][0].as_py()) == 16


def test_without_the_option_there_are_the_two_images(dataset, tmp_path):
    export_lerobot(dataset, out := tmp_path / "out")
    features = read(out / "meta/info.json")["features"]
    assert [name for name in features if "images" in name or "camera" in name] == [
        "observation.images.image",
        "observation.images.image2",
    ]


def test_what_cannot_be_is_said(dataset, rendered, tmp_path):
    with pytest.raises(ConfigError, match=r"--views is lerobot 0\.6's"):
        export_lerobot(dataset, tmp_path / "old", version="v2.1", views=True)
    with pytest.raises(UserError, match="nothing besides LIBERO's two images"):
        export_lerobot(rendered, tmp_path / "plain", views=True)
