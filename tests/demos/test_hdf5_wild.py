"""HDF5 files from the wild: whatever one says, reading names it, and reads nothing else."""

import subprocess
import sys
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rl_datagen.demos.hdf5 import read_hdf5
from rl_datagen.demos.sources import find_sources
from tests.demos.test_hdf5 import TASK, demo, path, states, write

__all__ = ["path"]  # a fixture

WIDTH = states(1).shape[1]
ABSENT = 10**12


@contextmanager
def changed(path):
    """The group of the one demonstration of a sound file, to be changed."""
    write(path, {"demo_0": demo()})
    with h5py.File(path, "a") as file:
        yield file["data/demo_0"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("reset_state", np.zeros(3), rf"reset_state of shape \(3,\), its states have {WIDTH}"),
        ("reset_state", np.zeros((2, WIDTH)), rf"reset_state of shape \(2, {WIDTH}\)"),
        ("reset_state", np.full(WIDTH, np.nan), "reset_state that is not made of finite numbers"),
        ("fixture_poses", np.zeros(13), "fixture_poses of 13 numbers, and 7 are needed"),
        ("fixture_poses", "here", "fixture_poses that is not made of finite numbers"),
        ("num_settle_steps", 10**9, "num_settle_steps=.*1000000000.*0 to 1000 is needed"),
        ("num_settle_steps", -3, "num_settle_steps=.*-3"),
        ("num_settle_steps", 2.5, "num_settle_steps=.*2.5"),
        ("num_settle_steps", [1, 2], "num_settle_steps="),
    ],
)
def test_an_attribute_that_cannot_be_used_is_named(path, key, value, message):
    with changed(path) as group:
        group.attrs[key] = value
    read, (problem,) = read_hdf5(path)
    assert read == []
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(problem)


attribute = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=5),
    st.booleans(),
    npst.arrays(
        st.sampled_from(["f8", "f4", "i4", "u1"]),
        st.sampled_from([(), (0,), (1,), (7,), (13,), (14,), (2, 7), (WIDTH,), (1, WIDTH)]),
    ),
    st.just(h5py.Empty("f8")),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.sampled_from(["reset_state", "fixture_poses", "num_settle_steps"]), attribute, min_size=1
    )
)
def test_whatever_attributes_hold_what_is_read_can_be_replayed(path, attributes):
    with changed(path) as group:
        for key, value in attributes.items():
            group.attrs[key] = value
    read, problems = read_hdf5(path)
    assert len(read) + len(problems) == 1
    for each in read:
        assert each.init_state.shape == (WIDTH,)
        assert np.isfinite(each.init_state).all()
        assert 0 <= each.num_settle_steps <= 1000
        assert each.fixture_poses is None or each.fixture_poses.shape[1:] == (7,)


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((ABSENT, 7), (1024, 7)),
        ((6, ABSENT), (6, 1024)),
        ((ABSENT, ABSENT), (1024, 7)),
        ((6, 7), None),
    ],
)
def test_rows_that_are_declared_and_absent_take_no_memory(path, shape, chunks):
    with changed(path) as group:
        del group["actions"]
        group.create_dataset("actions", shape, "f8", chunks=chunks)
    read, problems = read_hdf5(path)
    if chunks is None:  # HDF5's zeros: a gripper that is neither opened nor closed
        assert "none of them negative" in problems[0]
    else:
        assert "at most 10,000,000 numbers are read" in problems[0]
    assert read == []


def test_blocks_that_are_larger_than_what_they_hold(path):
    with changed(path) as group:
        del group["states"]
        options = {"maxshape": (None, WIDTH), "chunks": (10**6, WIDTH), "compression": "gzip"}
        group.create_dataset("states", (6, WIDTH), "f8", **options)
    assert "at most 10,000,000 numbers are read" in read_hdf5(path)[1][0]


def test_a_file_leads_to_no_other(path, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(np.full(42, 0.5).tobytes())
    write(tmp_path / "other.hdf5", {"demo_0": demo()})
    source = h5py.VirtualSource(tmp_path / "other.hdf5", "data/demo_0/actions", shape=(6, 7))
    layout = h5py.VirtualLayout((6, 7), "f8")
    layout[:] = source
    link = h5py.ExternalLink("other.hdf5", "data/demo_0")
    with changed(path) as group:
        data = group.parent
        data["demo_1"] = link
        data["demo_2"] = h5py.SoftLink("/data/demo_1")
        for number in (3, 4):
            data.create_group(f"demo_{number}")["states"] = states(6)
        data["demo_3"].create_dataset("actions", (6, 7), "f8", external=[(str(secret), 0, 336)])
        data["demo_4"].create_virtual_dataset("actions", layout)
    read, problems = read_hdf5(path)
    assert [each.name for each in read] == ["demo_0"]
    assert len(problems) == 4
    assert all("links are not followed" in problem for problem in problems)
    with h5py.File(path, "w") as file:
        file["data"] = h5py.ExternalLink("other.hdf5", "data")
    assert "links are not followed" in read_hdf5(path)[1][0]
    unnamed = path.rename(tmp_path / "unnamed.hdf5")
    assert "name no LIBERO task" in find_sources("all", str(unnamed))[1][0]


def test_a_file_that_somebody_writes_is_not_called_damaged(path):
    write(path, {"demo_0": demo()})
    code = f"import h5py; f = h5py.File({str(path)!r}, 'a'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        writer.stdout.readline()
        read, (problem,) = read_hdf5(path)
        unnamed = path.parent / "unnamed.hdf5"
        unnamed.symlink_to(path)
        _, (other,) = find_sources("all", str(unnamed))
        writer.communicate(b"\n")
    assert read == []
    for sentence in (problem, other):
        assert "is locked: another process has it open to write" in sentence
        assert "damaged" not in sentence
    assert len(read_hdf5(path)[0]) == 1


@pytest.mark.parametrize("suffix", [".hdf5", ".h5", ".HDF5", ".H5", ".hdf"])
def test_every_name_of_hdf5_is_taken_and_what_is_hidden_is_not(tmp_path, suffix):
    file = write(tmp_path / f"{TASK.name}_demo{suffix}", {"demo_0": demo()})
    (tmp_path / f"._{file.name}").write_bytes(b"\0\5\26\7" + bytes(100))
    hidden = tmp_path / ".ipynb_checkpoints"
    hidden.mkdir()
    (hidden / file.name).write_bytes(file.read_bytes())
    (tmp_path / f"folder{suffix}").mkdir()
    (found,), problems = find_sources("all", str(tmp_path))
    assert (found.task, found.path, problems) == (TASK, file, [])
    assert len(found.read()[0]) == 1


def test_only_what_has_not_said_where_it_starts_and_ends_is_held(path):
    with changed(path) as group:
        group.parent.copy(group, group.parent, "demo_1")
        group.attrs["reset_state"] = group["states"][0]
    (ours, libero), _ = read_hdf5(path)
    assert (ours.num_hold_steps, libero.num_hold_steps) == (0, 20)
