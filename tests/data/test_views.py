"""Columns of what is rendered besides LIBERO's two images."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rl_datagen.config.views import PLAIN, ViewsConfig
from rl_datagen.core.errors import ConfigError, DatasetError
from rl_datagen.data import Dataset, DatasetWriter, RenderedEpisode, View, read_images, verify
from rl_datagen.data.images import decode_images, images_table
from rl_datagen.data.manifest import describe_file, read_manifest, write_manifest
from rl_datagen.data.merge import merge
from rl_datagen.data.schema import IMAGES_SCHEMA
from rl_datagen.data.shards import write_parquet
from rl_datagen.data.views import (
    decode_depth,
    encode_depth,
    images_schema,
    view_names,
    views_of_file,
)

OVERHEAD = {"overhead": {"position": (0, 0, 2), "look_at": (0, 0.1, 0)}}
ALL = ViewsConfig(
    modalities=("segmentation", "depth"), cameras=OVERHEAD, vary=("camera",), copies=1, seed=3
)


def rendered(name, length, settings=ALL, size=16):
    random = np.random.default_rng(length)
    views = {}
    for view in view_names(settings):
        image = random.integers(0, 256, (length, size, size, 3), np.uint8)
        depth = random.uniform(0, 3, image.shape[:3]).astype(np.float32)
        classes = random.choice(np.array([0, 500, 600, 2001], np.uint16), image.shape[:3])
        inside = np.tile(np.diag([20.0, 20, 1]), (length, 1, 1))
        pose = np.tile(np.eye(4), (length, 1, 1))
        maps = {"depth": depth, "segmentation": classes}
        chosen = {key: maps[key] for key in settings.modalities}
        views[view.name] = View(image, inside, pose, **chosen)
    both = (views["agentview"].image, views["wrist"].image)
    copies = tuple('{"seed": 1}' for _ in range(settings.copies))
    return RenderedEpisode(name, *both, settings=settings, views=views, variations=copies)


@pytest.fixture
def dataset(tmp_path, make_trajectory):
    with DatasetWriter(tmp_path / "d", config={}) as writer:
        episodes = [make_trajectory(n) for n in range(2)]
        writer.append(episodes)
        images = [rendered(each.episode_id, len(each)) for each in episodes]
        writer.append_images(images, shard=writer.manifest.shards[0])
    return tmp_path / "d"


def test_everything_comes_back(dataset, make_trajectory):
    verify(dataset).check()
    episode = make_trajectory(1)
    given = rendered(episode.episode_id, len(episode))
    found = read_images(dataset, episode.episode_id, views=True)
    assert (found.settings, found.variations) == (ALL, given.variations)
    assert list(found.views) == [
        *("agentview", "wrist", "overhead"),
        *("agentview_copy1", "wrist_copy1", "overhead_copy1"),
    ]
    for name, view in found.views.items():
        for what in ("image", "segmentation", "intrinsics", "extrinsics"):
            np.testing.assert_array_equal(getattr(view, what), getattr(given.views[name], what))
        assert np.abs(view.depth - given.views[name].depth).max() <= 0.0005 + 1e-6
    without = read_images(dataset, episode.episode_id)
    assert not without.views
    np.testing.assert_array_equal(without.wrist, given.wrist)


def test_readers_of_images_take_no_notice(dataset, make_trajectory):
    frames = Dataset(dataset)
    assert frames.cameras == ("agentview", "wrist")
    episode = make_trajectory(0)
    given = rendered(episode.episode_id, len(episode))
    np.testing.assert_array_equal(frames[2]["wrist"], given.wrist[2])


def test_some_env_steps_of_a_view():
    view = rendered("", 4).views["wrist"]
    for steps in (np.array([True, False, True, False]), np.array([0, 2])):
        some = view.at(steps)
        for name in ("image", "depth", "segmentation", "extrinsics"):
            np.testing.assert_array_equal(getattr(some, name), getattr(view, name)[[0, 2]])
    without = rendered("", 4, ViewsConfig(modalities=("depth",))).views["wrist"].at(np.array([1]))
    assert (len(without.depth), without.segmentation) == (1, None)


def test_random_access_to_any_of_it(dataset, make_trajectory):
    names = ("wrist_depth", "overhead_segmentation", "agentview_copy1")
    frames = Dataset(dataset, cameras=names, delta_timestamps={"wrist_depth": [-0.05, 0.0]})
    item, given = frames[3], rendered("", len(make_trajectory(0)))
    depth = given.views["wrist"].depth[[2, 3]]
    np.testing.assert_allclose(item["wrist_depth"], depth, atol=6e-4)
    overhead = given.views["overhead"].segmentation[3]
    np.testing.assert_array_equal(item["overhead_segmentation"], overhead)
    np.testing.assert_array_equal(item["agentview_copy1"], given.views["agentview_copy1"].image[3])
    with pytest.raises(ConfigError, match=r"'wrist_dept', which the dataset.*'wrist_depth'"):
        Dataset(dataset, cameras=["wrist_dept"])


def test_a_copy_whose_camera_stands_still_has_the_geometry_of_its_camera():
    settings = ViewsConfig(modalities=("depth",), vary=("light",), copies=2)
    schema = images_schema(settings)
    assert "wrist_copy2" in schema.names
    assert "wrist_copy2_depth" not in schema.names
    given = rendered("a", 3, settings)
    found = decode_images(images_table(given), views=True)
    for name in ("wrist", "wrist_copy1"):
        np.testing.assert_allclose(found.views[name].depth, given.views["wrist"].depth, atol=6e-4)
    assert found.views["wrist"].segmentation is None


def test_plain_files_are_as_they_were(tmp_path):
    assert images_schema(PLAIN) is IMAGES_SCHEMA
    assert views_of_file(IMAGES_SCHEMA) == PLAIN
    views = np.arange(2 * 4 * 16 * 16 * 3, dtype=np.uint8).reshape(2, 4, 16, 16, 3)
    table = images_table(RenderedEpisode("a", *views))
    write_parquet(tmp_path / "a.parquet", table.schema, [table])
    # Of the columns' bytes, not of the file: its footer names the version of Arrow.
    content = hashlib.sha256()
    for name in table.column_names:
        content.update(repr((name, table[name].to_pylist())).encode())
    assert content.hexdigest()[:16] == "9b79adcca132d1ed"
    metadata = pq.read_schema(tmp_path / "a.parquet").metadata
    assert sorted(metadata) == [b"rl_datagen.appearance", b"rl_datagen.schema_version"]


@pytest.mark.parametrize("depth", [0, 0.0004, 0.0006, 1.2345, 65.535, 65.6, 1000])
def test_depth_errs_by_half_a_millimetre_and_ends_at_65_metres(depth):
    found = decode_depth(encode_depth(np.full((2, 3), depth, np.float32)))
    assert found.shape == (2, 3)
    assert found.dtype == np.float32
    expected = depth if depth < 65.536 else 0
    assert np.abs(found - expected).max() <= 0.0005 + 1e-6


def damage(dataset, name, values):
    """Replaces a column of the images, and lists the file's new checksum."""
    manifest = read_manifest(dataset)
    (shard,) = manifest.shards
    (entry,) = shard.images
    path = dataset / entry.path
    file = pq.ParquetFile(path)
    tables = [file.read_row_group(i) for i in range(file.num_row_groups)]
    place = tables[0].schema.get_field_index(name)
    field = tables[0].schema.field(name)
    changed = pa.array(values(tables[0][name].to_pylist()), field.type)
    tables[0] = tables[0].set_column(place, field, changed)
    path.unlink()
    write_parquet(path, file.schema_arrow, tables)
    new = shard.with_images(describe_file(dataset, entry.path, entry.num_rows))
    write_manifest(dataset, manifest.model_copy(update={"shards": (new,)}))


@pytest.mark.parametrize(
    ("column", "change", "said"),
    [
        ("wrist_depth", lambda v: [b"no", *v[1:]], "wrist_depth at env step 0 that is no PNG"),
        ("wrist_depth", lambda v: [v[0], v[1][:60], *v[2:]], "at env step 1 that cannot be"),
        (
            "overhead_segmentation",
            lambda v: [encode_depth(np.full((16, 16), 1.9)), *v[1:]],
            "the value 1900, which is no class's",
        ),
        (
            "overhead_copy1_segmentation",
            lambda v: [encode_depth(np.zeros((8, 8))), *v[1:]],
            "8 x 8 pixels, and the images have others",
        ),
        ("agentview_extrinsics", lambda v: [[2.0] * 16, *v[1:]], "that are no pose"),
        ("wrist_copy1_intrinsics", lambda v: [[0.0] * 9, *v[1:]], "that are no camera's"),
    ],
)
def test_damage_is_found(dataset, column, change, said):
    damage(dataset, column, change)
    messages = [problem.message for problem in verify(dataset).problems]
    assert len(messages) == 1
    assert said in messages[0]


def test_what_is_rendered_otherwise_is_not_mixed(dataset, tmp_path, make_trajectory):
    other = [make_trajectory(n) for n in (5, 6)]
    with DatasetWriter(tmp_path / "other", config={}) as writer:
        writer.append(other)
        settings = ViewsConfig(modalities=("depth",))
        images = [rendered(each.episode_id, len(each), settings) for each in other]
        writer.append_images(images, shard=writer.manifest.shards[0])
    with pytest.raises(DatasetError, match=r"--modalities depth,segmentation .* one dataset has"):
        merge(tmp_path / "mix", [(dataset, None), (tmp_path / "other", None)])
    merge(tmp_path / "mix", [(dataset, None), (tmp_path / "other", None)], images=False)
    merge(tmp_path / "alone", [(dataset, None)])
    verify(tmp_path / "alone").check()
