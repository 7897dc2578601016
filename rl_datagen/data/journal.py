"""The journal: what a writer has added since it last wrote the manifest, a line for each file.

The manifest of a large dataset takes seconds to write. So a writer adds a line here for each
finished file, and folds the lines into the manifest when it closes. Readers read both: a dataset
is readable at any moment, and what a killed writer stored is not lost. Lines and manifests are
JSON objects here; ``data.manifest`` has their types.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from rl_datagen.core.errors import DatasetError, shown

JOURNAL_NAME = "journal.jsonl"


def append_line(journal: BinaryIO, line: Mapping[str, Any]) -> None:
    """Adds a line, which is on the disk when this returns; all of it or nothing.

    Args:
        journal: The open file.
        line: ``{"shard": Shard}``, or ``{"images": FileEntry, "of": its shard's steps file}``, or
            the same with ``labels``; with images also ``appearance``.
    """
    end = journal.tell()
    try:
        journal.write(f"{json.dumps(line)}\n".encode())
        journal.flush()
        os.fsync(journal.fileno())
    except OSError:
        with suppress(OSError):  # half a line would spoil the next one
            os.truncate(journal.name, end)
        raise


def read_journal(dataset: Path) -> list[dict[str, Any]]:
    """Returns the lines but for one that was cut off.

    Raises:
        DatasetError: A line is damaged.
    """
    path = dataset / JOURNAL_NAME
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise damaged(path, shown(repr(error))) from None
    whole, _, _ = text.rpartition("\n")  # a writer was killed in the last one, or is at it
    try:
        return [json.loads(line) for line in whole.splitlines()]
    except (ValueError, RecursionError) as error:
        raise damaged(path, shown(repr(error))) from None


def damaged(path: Path, reason: str) -> DatasetError:
    """Returns what to say of a damaged journal."""
    return DatasetError(
        f"{path} is damaged ({reason}). Delete it: the files that it names are made again."
    )
