"""Images of a dataset are coloured alike, and it is recorded how."""

import numpy as np
import pytest

from rl_datagen.core.errors import DatasetError
from rl_datagen.data import DatasetWriter, RenderedEpisode, images, read_images
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.merge import merge
from rl_datagen.data.schema import APPEARANCE_KEY

VIEWS = np.random.default_rng(0).integers(0, 256, (2, 12, 8, 10, 3), np.uint8)


def render(dataset, name, appearance):
    with DatasetWriter(dataset, config=None) as writer:
        episode = RenderedEpisode(name, *VIEWS, appearance=appearance)
        writer.append_images([episode], shard=writer.shard_of(name))


@pytest.fixture
def names(dataset):
    with DatasetWriter(dataset, config=None) as writer:
        return sorted(writer.episode_ids)


@pytest.mark.parametrize("appearance", ["original", "mujoco"])
def test_it_is_recorded(dataset, names, appearance):
    assert read_manifest(dataset).images_appearance is None
    render(dataset, names[0], appearance)
    assert read_manifest(dataset).images_appearance == appearance
    assert read_images(dataset, names[0]).appearance == appearance


def test_a_second_one_is_refused(dataset, names):
    render(dataset, names[0], "mujoco")
    before = (dataset / "manifest.json").read_bytes()
    with pytest.raises(DatasetError, match=r"'mujoco'.*'original'; one dataset has one"):
        render(dataset, names[4], "original")
    assert (dataset / "manifest.json").read_bytes() == before


def test_files_from_before_say_mujoco(dataset, names, monkeypatch):
    table = images.images_table(RenderedEpisode(names[0], *VIEWS))
    metadata = {k: v for k, v in table.schema.metadata.items() if k != APPEARANCE_KEY.encode()}
    old = table.replace_schema_metadata(metadata)
    with DatasetWriter(dataset, config=None) as writer:
        writer.append_images([old], shard=writer.shard_of(names[0]))
    assert read_images(dataset, names[0]).appearance == "mujoco"
    assert read_manifest(dataset).images_appearance == "mujoco"


def test_a_mixture_has_one(tmp_path, make_trajectory):
    folders = []
    for number, appearance in enumerate(("original", "mujoco")):
        folder = tmp_path / appearance
        trajectory = make_trajectory(number)
        with DatasetWriter(folder, config={}) as writer:
            writer.append([trajectory])
        render(folder, trajectory.episode_id, appearance)
        folders.append((folder, None))
    with pytest.raises(DatasetError, match=r"'original' in .*'mujoco' in .*--no-images"):
        merge(tmp_path / "both", folders)
    assert not (tmp_path / "both").exists()
    merge(tmp_path / "neither", folders, images=False)
    assert read_manifest(tmp_path / "neither").images_appearance is None
    merge(tmp_path / "one", folders[1:])
    assert read_manifest(tmp_path / "one").images_appearance == "mujoco"
