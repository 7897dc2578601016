import numpy as np
import pytest
import torch

from rl_datagen.core.errors import UserError
from rl_datagen.core.progress import Silent
from rl_datagen.data import Dataset
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.schema import CAMERAS
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.vla import frames_format
from rl_datagen.vla.frames import check_frames, read_frames
from rl_datagen.vla.frames_format import write_frames
from rl_datagen.vla.network import resize

from .conftest import SIZE, TASKS, render


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes frames in parts of one episode."""
    monkeypatch.setattr(frames_format, "_MIN_PART", 1)
    monkeypatch.setattr(frames_format, "_MAX_PARTS", 1000)

    def write(dataset, image_size=SIZE, **options):
        options = {"tasks": "all", "drop_noops": False, "num_workers": 1} | options
        write_frames(tmp_path / "frames", dataset, image_size=image_size, **options)
        check_frames(tmp_path / "frames")
        return read_frames(tmp_path / "frames")

    return write


def of_dataset(dataset, image_size=SIZE):
    items = list(Dataset(dataset))
    shown = {camera: np.stack([item[camera] for item in items]) for camera in CAMERAS}
    return items, {c: resize(torch.from_numpy(s), image_size).numpy() for c, s in shown.items()}


@pytest.fixture
def encoded(monkeypatch):
    """Frames are so many that they are not kept as pixels."""
    monkeypatch.setattr(frames_format, "_MAX_PIXEL_BYTES", 0)


@pytest.fixture(params=["pixels", "encoded"])
def kept_as(request):
    if request.param == "encoded":
        request.getfixturevalue("encoded")


@pytest.mark.usefixtures("kept_as")
@pytest.mark.parametrize("image_size", [SIZE, 16])
def test_frames_are_the_datasets_env_steps(diffusion, write, image_size):
    frames = write(diffusion, image_size)
    items, images = of_dataset(diffusion, image_size)
    assert len(frames) == len(items)
    everything = np.arange(len(frames))
    order = np.random.default_rng(0).permutation(everything)
    # a dataset is in the order of its shards, frames in the order of the 130 tasks
    there = np.lexsort((everything, [-TASKS.index(item["task"]) for item in items]))
    for camera in CAMERAS:
        assert np.array_equal(frames.images[camera][order], images[camera][there][order])
    for column in ("proprio", "action"):
        expected = np.stack([items[index][column] for index in there])
        assert np.array_equal(getattr(frames, column), expected)
    sentences = [frames.instructions[number] for number in frames.instruction]
    assert sentences == [items[index]["instruction"] for index in there]
    episodes = [items[index]["episode_index"] for index in there]
    ends = [index for index, name in enumerate(episodes) if episodes[index + 1 :][:1] != [name]]
    assert sorted(set(frames.last.tolist())) == ends


@pytest.mark.usefixtures("encoded")
@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_images_of_the_right_size_stay_as_they_are(tmp_path, make_trajectory, write, encoding):
    trajectory = make_trajectory(0, task=TASKS[0], source="diffusion_rl")
    shown = render(trajectory)
    with DatasetWriter(tmp_path / "data", config={}, origin={"git": "abc"}) as writer:
        writer.append([trajectory])
        rendered = RenderedEpisode(shown.episode_id, shown.agentview, shown.wrist, encoding)
        writer.append_images([rendered], shard=writer.manifest.shards[0])
    frames = write(tmp_path / "data")
    _, images = of_dataset(tmp_path / "data")  # what the JPEGs show, not what was encoded
    for camera in CAMERAS:
        assert np.array_equal(frames.images[camera][np.arange(len(frames))], images[camera])
    raw = 2 * images["wrist"].nbytes
    stored = sum(path.stat().st_size for path in (tmp_path / "frames").glob("*.bin"))
    assert (stored < raw) == (encoding == "jpeg")  # noise, which PNG cannot make smaller


@pytest.mark.usefixtures("kept_as")
def test_noops_are_left_out(tmp_path, make_trajectory, write):
    trajectory = make_trajectory(0, task=TASKS[0], source="diffusion_rl")
    trajectory.action[3:5] = 0
    trajectory.action[3:5, 6] = trajectory.action[2, 6]
    kept = ~trajectory.noops
    assert 0 < kept.sum() < len(trajectory)
    with DatasetWriter(tmp_path / "data", config={}, origin={"git": "abc"}) as writer:
        writer.append([trajectory])
        writer.append_images([render(trajectory)], shard=writer.manifest.shards[0])
    frames = write(tmp_path / "data", drop_noops=True)
    assert np.array_equal(frames.action, trajectory.action[kept])
    images = frames.images["wrist"][np.arange(len(frames))]
    assert np.array_equal(images, render(trajectory).wrist[kept])


def test_an_interruption_leaves_the_parts_that_are_whole(diffusion, write, tmp_path, monkeypatch):
    class Interrupted(Silent):
        def advance(self, units=1, detail=""):
            self.done = getattr(self, "done", 0) + units
            if self.done == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(diffusion, progress=Interrupted())
    parts = sorted((tmp_path / ".frames.export" / "files").glob("*-wrist.bin"))
    assert len(parts) >= 2
    before = {path.name: path.stat().st_mtime_ns for path in parts[:2]}
    frames = write(diffusion)
    after = {name: (tmp_path / "frames" / name).stat().st_mtime_ns for name in before}
    assert after == before
    assert len(frames) == len(Dataset(diffusion))


@pytest.mark.parametrize("name", ["00001-wrist.bin", "action.npy", "00000-agentview.bin"])
def test_a_damaged_file_is_named(diffusion, write, tmp_path, name):
    write(diffusion)
    path = tmp_path / "frames" / name
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(UserError, match=rf"{name}.*SHA-256.*Delete .*frames"):
        check_frames(tmp_path / "frames")
