"""Files that are either whole or absent, on this machine or under a URI."""

import hashlib
import importlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import tenacity
from pydantic import TypeAdapter

from rl_datagen.core.disk import disk_errors, disk_fault, reason
from rl_datagen.core.errors import DiskError, UserError, first_line, shown
from rl_datagen.core.paths import check_storage, expand_home, is_uri
from rl_datagen.core.stored import Value, damaged, parse_stored

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

HOPELESS = (PermissionError, NotADirectoryError, IsADirectoryError)
"""Errors of storages that no patience helps."""


@contextmanager
def atomic_path(path: Path) -> Generator[Path]:
    """Yields a temporary path beside ``path`` that is renamed onto it on success.

    A process killed in between leaves a hidden temporary file, never half a file under ``path``.

    Raises:
        DiskError: The disk is full or cannot be written.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def temporary_of(path: Path) -> str | None:
    """Returns the name of the file that a temporary file of ``atomic_path`` was to become.

    None: it is none, so it is somebody else's.
    """
    found = re.fullmatch(r"\.(.+)\.[a-z0-9_]{8}", path.name.removesuffix(path.suffix))
    return found[1] if found and Path(found[1]).suffix == path.suffix else None


def remove_temporaries(folder: Path) -> None:
    """Removes what a killed process left of files that it was writing to a folder or below.

    Args:
        folder: Nobody else may be writing to it.
    """
    for path in folder.rglob(".*"):
        if temporary_of(path) and path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Generator[Path]:
    """Yields a temporary folder beside ``path`` that is renamed to it on success.

    A process killed in between leaves a hidden folder ``.<name>.*``, never half of ``path``.

    Raises:
        UserError: ``path`` exists.
        DiskError: The disk is full or cannot be written.
    """
    check_absent(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        temporary.rename(path)
    except Exception as error:
        if disk_fault(error) is None and not isinstance(error, OSError):
            raise
        raise DiskError(
            f"'{path}' was not written: {reason(error)}. Nothing is left of it. Make room, or "
            "choose a folder that can be written."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def check_absent(path: Path) -> None:
    """Raises UserError if there is anything at a path that is to be written."""
    if os.path.lexists(path):
        raise UserError(
            f"'{path}' exists already. Nothing was written. Choose another name to keep both, or "
            f"delete {path} first to replace it."
        )


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` to ``path`` atomically.

    Raises:
        DiskError: It cannot be written.
    """
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DiskError(
            f"'{path}' cannot be written: {error.strerror or first_line(error)}. What is finished "
            "is stored. Make room, or choose a folder that can be written; the same command then "
            "resumes."
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` to ``path`` atomically as indented JSON with a trailing newline."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def sha256(path: Path) -> str:
    """Returns the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class Storage:
    """Files below a local folder or a URI (``file://``, ``s3://``, ``gs://``).

    Each call tries again, and says so, while the storage is unavailable; one that is full or may
    not be written is not, and is a ``DiskError`` at once. A file is replaced whole.

    Args:
        uri: The folder.
        patience_s: How long a call keeps trying.

    Raises:
        UserError: No storage has such a URI.
    """

    def __init__(self, uri: str, patience_s: float = 300) -> None:
        self.patience_s = patience_s
        # Slow to import, and the command line should answer at once.
        filesystem: Any = importlib.import_module("pyarrow.fs").FileSystem
        try:
            self.uri = expand_home(uri).rstrip("/")
            check_storage(self.uri)
            path = self.uri if is_uri(self.uri) else str(Path(self.uri).resolve())
            found: Any = filesystem.from_uri(path)
        except (ValueError, OSError) as error:
            raise UserError(
                f"The storage {shown(uri)} (campaign.storage, or a folder) cannot be used: "
                f"{shown(first_line(error))}. It may be a folder, or a URI that begins with "
                "file://, s3:// or gs://."
            ) from None
        self._fs: Any = found[0]
        self._root: str = found[1]

    def uri_of(self, path: str) -> str:
        """Returns the URI of a file or folder; ``?endpoint_override=...`` stays at the end."""
        uri, mark, options = self.uri.partition("?")
        return f"{uri.rstrip('/')}/{path}{mark}{options}"

    def check(self) -> None:
        """Writes a file and removes it.

        Raises:
            UserError: The storage cannot be reached, or not be written.
        """
        try:
            self.write_json(".check.json", None)
            self.remove(".check.json")
        except (OSError, DiskError) as error:
            raise UserError(
                f"campaign.storage={shown(self.uri)} cannot be written: {shown(reason(error))}. "
                "Check the address, the room, the network and the credentials, or leave the "
                "setting out."
            ) from error

    def read_json(self, path: str, form: TypeAdapter[Value], advice: str) -> Value | None:
        """Returns what a JSON file holds, or None if there is no such file.

        Args:
            path: The file.
            form: What it may hold.
            advice: What to do about damage, as whole sentences.

        Raises:
            UserError: It is damaged.
        """
        content = self.read_bytes(path, advice)
        if content is None:
            return None
        return parse_stored(content, self.uri_of(path), form, advice)

    def read_bytes(self, path: str, advice: str) -> bytes | None:
        """Returns a file's content, or None if there is no such file.

        Raises:
            UserError: Something else is there than a file that may be read.
        """

        def read() -> bytes | None:
            try:
                with self._open(path) as file:
                    return file.read()
            except FileNotFoundError:
                return None

        try:
            return self._try(read)
        except HOPELESS as error:
            raise damaged(self.uri_of(path), first_line(error), advice) from None

    def write_json(self, path: str, value: Any) -> None:
        """Writes ``value`` as indented JSON."""
        self.write_text(path, json.dumps(value, indent=2) + "\n")

    def write_text(self, path: str, text: str) -> None:
        """Writes a text file."""
        self.write_bytes(path, text.encode("utf-8"))

    def write_bytes(self, path: str, content: bytes) -> None:
        """Writes a file."""

        def copy(target: Any) -> None:
            target.write(content)

        self._try(lambda: self._write(path, copy))

    def upload(self, source: Path, path: str) -> None:
        """Copies a file of this machine to the storage."""

        def copy(target: Any) -> None:
            with source.open("rb") as file:
                shutil.copyfileobj(file, target, 1 << 20)

        self._try(lambda: self._write(path, copy))

    def download(self, path: str, target: Path) -> None:
        """Copies a file of the storage to this machine."""

        def copy() -> None:
            with (
                atomic_path(target) as temporary,
                self._open(path) as source,
                temporary.open("wb") as file,
            ):
                shutil.copyfileobj(source, file, 1 << 20)

        self._try(copy)

    def remove(self, path: str) -> None:
        """Removes a file, if it is there."""

        def delete() -> None:
            try:
                self._fs.delete_file(self._full(path))
            except FileNotFoundError:
                return

        self._try(delete)

    @property
    def _on_disk(self) -> bool:
        return self._fs.type_name == "local"

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _open(self, path: str) -> Any:
        try:
            return self._fs.open_input_stream(self._full(path))
        except FileNotFoundError:
            raise
        except OSError:  # Arrow's has no number
            if self._on_disk and Path(self._full(path)).is_dir():
                raise IsADirectoryError("it is a folder") from None
            raise

    def _write(self, path: str, copy: Callable[[Any], None]) -> None:
        """An object appears whole; on a disk, a rename makes it so."""
        full = self._full(path)
        if self._on_disk:
            with atomic_path(Path(full)) as temporary, temporary.open("wb") as file:
                copy(file)
            return
        with self._fs.open_output_stream(full) as file:
            copy(file)

    def _try(self, action: Callable[[], Result]) -> Result:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_unavailable),
            wait=tenacity.wait_exponential(max=30),
            stop=tenacity.stop_before_delay(self.patience_s),
            before_sleep=self._say,
            reraise=True,
        )
        with disk_errors(self.uri):
            return retrying(action)

    def _say(self, attempt: tenacity.RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome else None
        logger.warning(
            "storage unavailable, trying again uri=%s attempt=%d error=%s",
            self.uri,
            attempt.attempt_number,
            error and first_line(error),
        )


def _unavailable(error: BaseException) -> bool:
    """Whether waiting may help."""
    if disk_fault(error) is not None:
        return False
    return isinstance(error, OSError) and not isinstance(error, (FileNotFoundError, *HOPELESS))
