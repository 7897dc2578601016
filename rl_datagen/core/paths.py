"""What a path in a setting means: one thing, to every library that is handed it."""

import os
import re

from rl_datagen.core.errors import quoted

SCHEMES = ("file", "s3", "gs")
"""Of the storages that are supported, by the names their URIs begin with."""


def is_uri(path: str) -> bool:
    """Whether a path names a storage, as ``s3://bucket/folder`` does, and not this machine's."""
    return "://" in path


_USER = re.compile(
    r"(?<=://)(?:[^\s/?#]*@"  # user:password@
    r"|[^\s/?#@]*:(?!\d+[/?#])[^\s@]*/[^\s@]*@)"  # the same, with a / in a key that is not quoted
)
_SECRET = re.compile(
    r"([?&;][\w.-]*(?:key|token|secret|passw|signature|sig|credential|auth)[\w.-]*=)[^\s&;#'\"]+",
    re.IGNORECASE,
)


def without_credentials(text: str) -> str:
    """Returns a text with no user, password, key or token in its URLs, so that it may be shown.

    Args:
        text: A URL of any scheme, or a text that may hold some, such as a log line.
    """
    return _SECRET.sub(r"\1***", _USER.sub("", text))


_MAX_BYTES = 255  # of one part of a path, for file systems
_HARMLESS = re.compile(r"[^\\:\x00-\x1f\ud800-\udfff]{1,1024}")


def check_relative_path(value: object) -> str:
    """Returns the path of a file, relative to a folder that it cannot lead out of.

    Raises:
        ValueError: It is absolute or empty, or has '..', a backslash or a drive.
    """
    parts = value.split("/") if isinstance(value, str) else [""]
    if (
        {"", ".", ".."} & set(parts)
        or not _HARMLESS.fullmatch(str(value))
        or max(len(part.encode()) for part in parts) > _MAX_BYTES
    ):
        raise ValueError(
            f"{quoted(value)} is not a path below the folder: names joined by '/' are allowed, "
            "with no '/' at the beginning, no '..', no backslash and no ':'"
        )
    return str(value)


def expand_home(path: str) -> str:
    """Returns a path with ``~`` and ``~user`` replaced, and any other as it is.

    Some libraries replace them and others make a folder of that name, so none may see one.

    Raises:
        ValueError: Nobody knows that home folder.
    """
    if not path.startswith("~"):
        return path
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        user = path.partition("/")[0]
        raise ValueError(
            f"the home folder {user} is not known here. Write the path out, or ./{user} for a "
            "folder of that name"
        )
    return expanded


def expand_folder(path: str) -> str:
    """Returns the path of a folder or file as every library reads it.

    ``~`` is replaced; a relative path stays relative, and a URI is left alone. ``$VARIABLE`` is
    refused: the shell replaces it, a YAML file and quotes do not, and a folder with that name is
    never what was meant.

    Raises:
        ValueError: A home folder is not known, there is a variable, or no path can look so.
    """
    if "\0" in path:
        raise ValueError("a path cannot hold a NUL character")
    if is_uri(path):
        return path
    if found := re.search(r"\$(\w+|\{[^}]*\})", path):
        raise ValueError(
            f"{found[0]} is not replaced here. Write the path out (~ is your home folder), or give "
            "the setting on the command line without quotes, where the shell replaces it"
        )
    return expand_home(path)


def expand_local(path: str) -> str:
    """Returns the path of a folder or file that has to be on a disk, as ``expand_folder`` does.

    Raises:
        ValueError: As ``expand_folder``, or it is a URI.
    """
    if is_uri(path):
        raise ValueError(
            "a folder on this machine or on a disk that it mounts is needed here, not a URI. Give "
            "its path; what a campaign keeps in a bucket is campaign.storage"
        )
    return expand_folder(path)


def check_storage(uri: str) -> None:
    """Raises ValueError if a storage is of a kind that is not supported, or cannot have this name.

    Wildcards and the mark that begins a URI's options are read by one library and not by another,
    so that files would be written to one folder and looked for in another.
    """
    scheme, mark, rest = uri.partition("://")
    if mark and scheme not in SCHEMES:
        allowed = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise ValueError(
            f"storages that begin with {scheme}:// are not supported. Give a folder, or a URI that "
            f"begins with {allowed}; a disk that mounts the storage is a folder too"
        )
    local = rest if scheme == "file" else "" if mark else uri
    if found := re.search(r"[?*]", local):
        raise ValueError(
            f"a folder whose path has a {found[0]} cannot be a storage, since some libraries read "
            "it as a pattern. Choose a folder without it"
        )
