"""Full and read-only disks, whatever reports them: real ones, which need no mount.

``ulimit -f`` is a disk that takes so many bytes of a file; ``/dev/full`` is one that takes none.
"""

import errno
import os
import pickle
import resource
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from ray.exceptions import RayTaskError
from safetensors.torch import save_file

from rl_datagen.core.disk import check_space, disk_error, disk_errors, disk_fault
from rl_datagen.core.errors import DiskError, UserError
from rl_datagen.core.lock import lock
from rl_datagen.core.log import stderr_to
from rl_datagen.core.storage import Storage, atomic_folder, atomic_path, write_json
from rl_datagen.data.images import write_video
from rl_datagen.runtime.workdir import lock_folder

ROOM = 4096
FAULTS = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM]
NOISE = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), np.uint8)


@pytest.fixture
def small_disk():
    """Files of at most 4 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def closed_folder():
    """A folder that this process may not write to, also if it is root's."""
    with tempfile.TemporaryDirectory(prefix="rl-datagen-") as name:
        os.chmod(name, 0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(user)
            os.chmod(name, 0o755)


def _raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


def _from(error):
    try:
        try:
            raise error
        except OSError as cause:
            raise RuntimeError("training failed") from cause
    except RuntimeError as caught:
        return caught


def _while_handling(error):
    try:
        try:
            raise error
        except OSError:
            raise KeyError("x")  # noqa: B904
    except KeyError as caught:
        return caught


def _from_ray(error):
    return RayTaskError("f", "traceback", error).as_instanceof_cause()


WAYS = [_raised, _from, _while_handling, _from_ray]


@given(st.sampled_from(FAULTS), st.lists(st.sampled_from(WAYS), max_size=2))
def test_a_fault_is_found_behind_whatever_was_made_of_it(number, ways):
    error = OSError(number, os.strerror(number), "/out/file")
    for way in ways:
        error = way(error) if isinstance(error, OSError) else _from_ray(error)
    assert disk_fault(error).errno == number
    said = disk_error(error)
    assert isinstance(said, UserError)
    assert f"{os.strerror(number)}: '/out/file'" in str(said)
    assert "Make room" in str(said)


@given(st.sampled_from([errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN, errno.EIO]))
def test_other_errors_are_none(number):
    for way in WAYS:
        assert disk_error(way(OSError(number, os.strerror(number)))) is None
    with pytest.raises(OSError) as caught, disk_errors("x"):  # noqa: PT011
        raise OSError(number, os.strerror(number))
    assert type(caught.value) is type(OSError(number, ""))


def test_what_was_told_once_is_told_as_it_was():
    error = DiskError("'/a' cannot be written: no. Make room.")
    assert disk_error(_from_ray(error)) is error
    assert disk_error(pickle.loads(pickle.dumps(error))).args == error.args
    with pytest.raises(DiskError) as caught, disk_errors("/b"):
        raise error
    assert caught.value is error


def test_a_device_without_room():
    with pytest.raises(DiskError, match="'/dev/full' cannot be written: No space left on device"):
        _fill("/dev/full")


def _fill(path):
    with disk_errors(path), open(path, "wb") as file:
        file.write(bytes(10))


def _video(path):
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(20))
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        for image in NOISE:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def _hdf5(path):
    with h5py.File(path, "w") as file:
        file["x"] = NOISE


def _tensors(path):
    with path.open("wb") as file:
        torch.save({"x": torch.from_numpy(NOISE)}, file)


WRITERS = {
    "text": lambda path: path.write_text("x" * 10_000),
    "parquet": lambda path: pq.write_table(pa.table({"x": NOISE.reshape(-1)}), path),
    "video": _video,
    "hdf5": _hdf5,
    "tensors": _tensors,
    "safetensors": lambda path: save_file({"x": torch.from_numpy(NOISE)}, path),
    "image": lambda path: Image.fromarray(NOISE[0]).save(path, "png"),
    "array": lambda path: np.save(path, NOISE),
}


WHY = "(File too large|No space left)"  # NumPy does not say which


@pytest.mark.parametrize("name", WRITERS)
def test_whichever_library_writes_nothing_of_a_file_is_left_and_the_old_one_stays(
    name, tmp_path, small_disk
):
    path = tmp_path / "file.npy"
    path.write_text("old")
    with pytest.raises(DiskError, match=rf"file.npy' cannot be written: {WHY}"):
        _replace(path, WRITERS[name])
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.npy"]
    with pytest.raises(DiskError, match=rf"folder' was not written: {WHY}"):
        _make(tmp_path / "folder", WRITERS[name])
    assert os.listdir(tmp_path) == ["file.npy"]


def _replace(path, write):
    with atomic_path(path) as temporary:
        write(temporary)


def _make(folder, write):
    with atomic_folder(folder) as temporary:
        write(temporary / "file.npy")


def test_a_video_of_ours(tmp_path, small_disk):
    with pytest.raises(DiskError, match="cannot be written: File too large"):
        write_video(tmp_path / "x.mp4", NOISE)
    assert os.listdir(tmp_path) == []


def test_a_storage_that_is_full_is_not_waited_for(tmp_path, small_disk):
    storage = Storage(str(tmp_path), patience_s=200)
    storage.write_text("state", "old")
    for write in (
        lambda: storage.write_text("state", "x" * 10_000),
        lambda: storage.write_json("state", ["x"] * 10_000),
    ):
        with pytest.raises(DiskError, match=f"'{tmp_path}/state' cannot be written: File too l"):
            write()
    assert (tmp_path / "state").read_text() == "old"
    assert os.listdir(tmp_path) == ["state"]


def test_a_folder_that_may_not_be_written_is_told_at_the_start(closed_folder):
    for begin in (
        lambda: lock(closed_folder / "a" / ".lock", "busy"),
        lambda: lock(closed_folder / ".lock", "busy"),
        lambda: lock_folder(closed_folder / "runs" / "x"),
        lambda: write_json(closed_folder / "a.json", {}),
        lambda: Storage(str(closed_folder), patience_s=200).write_text("a/b", "x"),
        lambda: stderr_to(closed_folder / "log").__enter__(),
    ):
        with pytest.raises(DiskError, match="cannot be written: Permission denied"):
            begin()
    with pytest.raises(UserError, match=r"campaign\.storage=.* cannot be written: Permission"):
        Storage(str(closed_folder), patience_s=200).check()


def test_little_room_is_told_before_the_work(tmp_path):
    check_space(tmp_path, 1)
    with pytest.raises(DiskError, match=r"MB left, and at least 1000000000000 MB are needed"):
        check_space(tmp_path, 10**18)
