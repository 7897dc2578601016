import os
import signal
import time

import pytest
import ray

from rl_datagen.core.errors import SimulatorError, UserError
from rl_datagen.runtime.cluster import map_units, ray_session

pytestmark = pytest.mark.ray


@pytest.fixture(autouse=True)
def _no_ray():
    """Leaves the cluster that tests of other modules share."""
    ray.shutdown()


def _work(unit):
    number, folder = unit
    marker = folder / "killed"
    if number == 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


@pytest.mark.slow
def test_units_survive_a_killed_worker(tmp_path):
    with ray_session(tmp_path / "ray.log", num_cpus=2):
        results = dict(map_units(_work, [(n, tmp_path) for n in range(4)], num_workers=2))
    assert (tmp_path / "killed").exists()
    assert {number: result for (number, _), result in results.items()} == {0: 0, 1: 1, 2: 4, 3: 9}


def _fail(unit):
    raise SimulatorError("diverged", task="libero_goal/3", step=unit)


@pytest.mark.slow
def test_an_exception_is_the_workers_own(tmp_path):
    with (
        ray_session(tmp_path / "ray.log", num_cpus=1),
        pytest.raises(SimulatorError, match="diverged") as error,
    ):
        list(map_units(_fail, [7]))
    assert error.value.step == 7


def _sleep(seconds):
    time.sleep(seconds)
    return seconds


@pytest.mark.slow
def test_the_driver_hears_of_the_time_while_no_unit_ends(tmp_path):
    waits = []
    with ray_session(tmp_path / "ray.log", num_cpus=1):
        results = list(map_units(_sleep, [1.5], on_wait=lambda: waits.append(time.monotonic())))
    assert results == [(1.5, 1.5)]
    assert waits


def test_an_unreachable_cluster_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with (
        pytest.raises(UserError, match=r"RAY_ADDRESS=127\.0\.0\.1:1"),
        ray_session(tmp_path / "ray.log"),
    ):
        pass


@pytest.mark.slow
def test_a_process_that_has_joined_a_cluster_stays_in_it(tmp_path):
    with ray_session(tmp_path / "ray.log", num_cpus=1):
        with ray_session(tmp_path / "inner.log", num_cpus=2):
            assert ray.cluster_resources()["CPU"] == 1
        assert ray.is_initialized()
    assert not ray.is_initialized()


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_a_temporary_folder_too_long_for_sockets_is_refused_before_ray_starts(
    tmp_path, monkeypatch, name
):
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(name, "/tmp/" + "x" * 60)
    with (
        pytest.raises(UserError, match=rf"^{name}=/tmp/x+ is too long.*RAY_TMPDIR=/tmp"),
        ray_session(tmp_path / "ray.log", num_cpus=1),
    ):
        pass


def test_the_longest_temporary_folder_that_is_allowed_is_one_that_ray_takes(tmp_path, monkeypatch):
    from ray._private.utils import validate_socket_filepath

    from rl_datagen.runtime.cluster import _check_temporary_folder

    def takes(folder):
        monkeypatch.setenv("RAY_TMPDIR", folder)
        try:
            _check_temporary_folder()
        except UserError:
            return False
        return True

    longest = max(n for n in range(5, 90) if takes("/" + "x" * n))
    session = f"ray/session_2026-11-28_10-20-30_123456_{os.getpid()}/sockets/plasma_store"
    validate_socket_filepath(f"/{'x' * longest}/{session}")
    with pytest.raises(OSError, match="AF_UNIX"):
        validate_socket_filepath(f"/{'x' * (longest + 1)}/{session}")


@pytest.mark.slow
def test_a_machine_too_busy_to_start_ray_in_time_is_asked_again(tmp_path, monkeypatch):
    start, asked = ray.init, []

    def init(*args, **kwargs):
        asked.append(kwargs)
        if len(asked) < 3:
            raise Exception("The current node timed out during startup.")
        return start(*args, **kwargs)

    monkeypatch.setattr(ray, "init", init)
    with ray_session(tmp_path / "ray.log", num_cpus=1):
        assert list(map_units(_sleep, [0])) == [(0, 0)]
    assert len(asked) == 3
