"""What a path in a setting means: one thing, to every library that is handed it."""

import os
import re


def is_uri(path: str) -> bool:
    """Whether a path names a storage, as ``s3://bucket/folder`` does, and not this machine's."""
    return "://" in path


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
