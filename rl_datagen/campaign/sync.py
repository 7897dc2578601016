"""A copy, in the campaign's storage, of the folders that a trial continues from."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter

from rl_datagen.core.errors import first_line
from rl_datagen.core.storage import HOPELESS, Storage
from rl_datagen.core.stored import Count, damaged
from rl_datagen.data.names import RelativePath

Index = dict[str, tuple[int, int]]
"""Size in bytes and time of modification (ns) of each file, by its path below the root."""


class Sync:
    """Copies a trial's folders to the storage and back.

    The index, which is written last, says which files the copy consists of: one that was
    interrupted leaves the previous copy in force.

    Args:
        storage: Where the copy is.
        root: The folders' common parent.
        folders: The folders; the copy has the same paths.
        index: Path of the index in the storage, and below ``root``.
    """

    def __init__(self, storage: Storage, root: Path, folders: Iterable[Path], index: str) -> None:
        self._storage, self._root, self._folders = storage, root, tuple(folders)
        self._index, self._local = index, root / index

    def upload(self) -> None:
        """Copies the files that are new or have changed, and drops those that are gone."""
        before, now = self._read(), self._files()
        for path, stamp in now.items():
            if before.get(path) != stamp:
                self._storage.upload(self._root / path, path)
        self._storage.write_json(self._index, now)
        self._local.parent.mkdir(parents=True, exist_ok=True)
        self._storage.download(self._index, self._local)
        for path in before.keys() - now.keys():
            self._storage.remove(path)

    def download(self) -> None:
        """Restores the copy, unless this machine made it: then its files are as new or newer."""
        content = self._storage.read_bytes(self._index, _AGAIN)
        if content is None or (self._local.is_file() and self._local.read_bytes() == content):
            return
        index = self._read()  # before anything is removed
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        for path, (_, modified) in index.items():
            target = self._root / path
            self._restore(path)
            os.utime(target, ns=(modified, modified))
        self._storage.download(self._index, self._local)

    def fetch(self, folder: Path) -> None:
        """Restores the files of one folder, without those of its folders."""
        for path in self._read():
            if (self._root / path).parent == folder:
                self._restore(path)

    def _restore(self, path: str) -> None:
        try:
            self._storage.download(path, self._root / path)
        except (FileNotFoundError, *HOPELESS) as error:
            uri = self._storage.uri_of(path)
            raise damaged(uri, f"{self._index} lists it, and {first_line(error)}", _AGAIN) from None

    def _read(self) -> Index:
        """Returns the index, whose paths cannot lead out of the root.

        Raises:
            UserError: It is damaged, or has such a path.
        """
        return self._storage.read_json(self._index, _FORM, _AGAIN) or {}

    def _files(self) -> Index:
        paths = [path for folder in self._folders for path in folder.rglob("*") if path.is_file()]
        return {
            path.relative_to(self._root).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
            for path in sorted(set(paths))  # an expert's folder may lie in another one's
        }


_AGAIN = "Nothing was restored. Delete the index: the trial then begins from its start."
_FORM = TypeAdapter(dict[RelativePath, tuple[Count, Count]])
