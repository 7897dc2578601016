"""A job's output folder: it belongs to one configuration, and one process works in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import yaml

from rl_datagen.core.compare import difference_lines
from rl_datagen.core.disk import check_space
from rl_datagen.core.errors import ConfigError
from rl_datagen.core.lock import lock
from rl_datagen.core.paths import without_credentials
from rl_datagen.core.provenance import provenance
from rl_datagen.core.storage import remove_temporaries, write_json, write_text
from rl_datagen.core.stored import read_stored_yaml

LEAST_SPACE = 100_000_000
"""Bytes without which no job is begun: an expert takes 12 to 20 MB, Ray's logs and images more."""


def bind(
    folder: Path, settings: Mapping[str, Any], identity: Mapping[str, Any], advice: str
) -> None:
    """Writes configuration and provenance, or checks that the folder is of the same job.

    Args:
        folder: The folder; ``config.yaml`` has the settings of the last call.
        settings: The resolved configuration, JSON-ready.
        identity: What may not change from one call to the next; some of the settings, or what they
            stand for.
        advice: The message's last sentences: what to do about a difference.

    Raises:
        ConfigError: The folder is another job's; nothing was changed.
        UserError: What says whose it is, is damaged.
    """
    path = folder / "identity.yaml"
    if path.exists() or (folder / "config.yaml").exists():  # which is written after it
        restore = f"It says what {folder} is of: restore it from a copy. {advice}"
        if lines := difference_lines(read_stored_yaml(path, restore), identity):
            raise ConfigError(
                f"{folder} belongs to another configuration: {'; '.join(lines)}. Nothing was "
                f"changed. {advice}"
            )
    else:
        write_json(folder / "provenance.json", provenance())
        write_text(path, yaml.safe_dump(dict(identity), sort_keys=False))
    text = yaml.safe_dump(dict(settings), sort_keys=False)
    write_text(folder / "config.yaml", without_credentials(text))


def lock_folder(folder: Path) -> TextIO:
    """Returns the lock of a job's folder, without what a killed process left of files in it.

    Its file lies beside the folder, so that both may be deleted.

    Raises:
        UserError: Another process works there.
        DiskError: The disk cannot be written, or has no room for any job.
    """
    held = lock(
        folder.with_name(f".{folder.name}.lock"),
        f"Another process is at work in {folder}. Wait until it has finished, or choose another "
        "name (name=...).",
    )
    try:
        check_space(folder.parent, LEAST_SPACE)
    except BaseException:
        held.close()
        raise
    remove_temporaries(folder)
    return held
