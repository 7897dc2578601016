"""Ray for the jobs that are not RLlib's: joining or starting it, and spreading work over it."""

import logging
import os
import socket
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import ray
import tenacity
from ray.exceptions import RayError

from rl_datagen.core.blas import worker_environment
from rl_datagen.core.errors import DiskError, UserError, first_line
from rl_datagen.core.log import stderr_to
from rl_datagen.core.signals import hold_signals
from rl_datagen.runtime.room import RoomWatch, check_room

Unit = TypeVar("Unit")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)

_MAX_SOCKET_BYTES = 107  # of a Unix socket's path


@contextmanager
def ray_session(log: Path, num_cpus: int | None = None) -> Generator[None]:
    """Joins the cluster that RAY_ADDRESS names, or starts Ray on this machine.

    A process that has joined already, such as a Tune trial, stays as it is.

    Args:
        log: File for what Ray writes to the terminal.
        num_cpus: Cores Ray may believe in if it is started here; None: as many as there are.

    Raises:
        UserError: There is no such cluster, it does not accept the token, or Ray cannot work in the
            temporary folder.
    """
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS", "local")
    # Where other machines' workers import numpy before this package, they must know by then.
    options: dict[str, Any] = {"runtime_env": {"env_vars": worker_environment()}}
    if address == "local":
        _check_temporary_folder()
        options = {"num_cpus": num_cpus or os.cpu_count(), "include_dashboard": False}
    try:
        _start(address, options, log)
        yield
    finally:  # also of a start that a signal ends: Ray's own end at exit may crash then
        ray.shutdown()


def _start(address: str, options: dict[str, Any], log: Path) -> None:
    try:
        _knock(address)
        with stderr_to(log), hold_signals():
            _init(address, options)
    except DiskError:
        raise
    except Exception as error:  # Ray's own are bare ones, such as a start that took too long
        raise UserError(
            f"Ray could not be reached at RAY_ADDRESS={address}: {first_line(error)}. "
            "Call again if this machine was too busy to start it; for a cluster, check address and "
            "token (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN_PATH)."
        ) from error


def _too_slow(error: BaseException) -> bool:
    return "timed out during startup" in str(error)


@tenacity.retry(
    retry=tenacity.retry_if_exception(_too_slow), stop=tenacity.stop_after_attempt(4), reraise=True
)
def _init(address: str, options: dict[str, Any]) -> None:
    """Starts or joins Ray; more than once, since it allows itself 30 s, which a busy machine takes.

    What an attempt leaves running is ended by Ray when this process ends.
    """
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)


def _check_temporary_folder() -> None:
    """Raises UserError if Ray's sockets would have longer names than Linux allows."""
    name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ), None)
    if name is None:
        return
    session = f"/ray/session_0000-00-00_00-00-00_000000_{os.getpid()}/sockets/plasma_store"
    room, folder = _MAX_SOCKET_BYTES - len(session), os.environ[name]
    if len(os.fsencode(folder)) > room:
        raise UserError(
            f"{name}={folder} is too long: Ray puts sockets there, whose names Linux limits to "
            f"{_MAX_SOCKET_BYTES} bytes, so the folder's may have {room} and has "
            f"{len(os.fsencode(folder))}. Set RAY_TMPDIR to a short folder, such as "
            "RAY_TMPDIR=/tmp, and call again."
        )


def _knock(address: str) -> None:
    """Raises OSError if nothing listens at ``host:port``; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def map_units(
    function: Callable[[Unit], Result],
    units: Iterable[Unit],
    num_workers: int | None = None,
    on_wait: Callable[[], None] = lambda: None,
    num_gpus: float = 0,
) -> Iterator[tuple[Unit, Result]]:
    """Runs a function on each unit of work as a Ray task, and yields each as it ends.

    A worker that dies is replaced and its unit run again, up to twice. An exception ends the job.

    Args:
        function: Importable by name, or small enough to be pickled.
        units: Taken from lazily: no more wait in Ray than workers can take up.
        num_workers: Units worked on at a time; None: as many as the cluster has cores.
        on_wait: Called about every second in which no unit ends.
        num_gpus: GPU share of each unit.

    Raises:
        MachineError: This machine's own Ray has no such share.
    """
    bundle, settings = {"CPU": 1, "GPU": num_gpus}, f"num_gpus_per_worker={num_gpus:g}"
    check_room([bundle], settings)
    watch = RoomWatch([bundle], settings)
    remote: Any = ray.remote(num_cpus=1, num_gpus=num_gpus, max_retries=2)(function)
    width = num_workers or int(ray.cluster_resources().get("CPU", 1))
    queue, running = iter(units), {}
    while True:
        while len(running) < width and (unit := next(queue, None)) is not None:
            running[remote.remote(unit)] = unit
        if not running:
            return
        done, _ = ray.wait(list(running), timeout=1)
        if not done:
            watch.look()
            on_wait()
            continue
        (ready,) = done
        unit = running.pop(ready)
        try:
            yield unit, ray.get(ready)
        except RayError as error:
            cause = getattr(error, "cause", None)
            raise (cause if isinstance(cause, Exception) else error) from error
