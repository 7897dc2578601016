"""Damages: what a disk, an editor or another program may do to a file."""

import json
import shutil

import yaml

VALUES = (
    *(None, True, False, 0, -1, 1, 1.5, -0.5, float("nan"), float("inf"), 1e308, -1e308),
    *(2**31, 2**63, 10**30, 10**400, "", "x", "0", "../../x", "/etc", "a\nb", "\0", "\ud800", "é"),
    *("$HOME", "~nobody", "libero_goal/3", "libero_goal/99", "y" * 5000),
    *([], {}, [[]], [1, "a"], {"a": 1}, {"": None}, {"path": {"path": 1}}),
)


def damaged(content, rng, suffix):
    """Returns a file's content after one damage, or None: no file, or "folder"."""
    kinds = [cut, zeros, noise, flips, insert, repeat, encode, empty, lambda *_: None, folder]
    if suffix in (".json", ".yaml", ".jsonl"):
        kinds += 3 * [change_values, change_values, nest]
    return rng.choice(kinds)(content, rng)


def apply(path, rng):
    """Damages a file in place."""
    now = damaged(path.read_bytes(), rng, path.suffix)
    path.unlink()
    if now == "folder":
        path.mkdir()
        if rng.random() < 0.5:
            (path / "x").write_text("x")
    elif now is not None:
        path.write_bytes(now)


def cut(content, rng):
    return content[: rng.randrange(len(content) + 1)]


def empty(content, rng):
    return rng.choice([b"", b"\n", b"null", b"{}", b"[]", b"0", b'""', b"\xef\xbb\xbf", b"\0"])


def zeros(content, rng):
    begin = rng.choice([0, rng.randrange(len(content) + 1)])
    end = rng.randrange(begin, len(content) + 1)
    return content[:begin] + bytes(end - begin) + content[end:]


def noise(content, rng):
    return rng.randbytes(rng.choice([1, 100, len(content)]))


def flips(content, rng):
    changed = bytearray(content or b"\0")
    for _ in range(rng.choice([1, 1, 1, 20])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def insert(content, rng):
    place = rng.randrange(len(content) + 1)
    return content[:place] + rng.randbytes(rng.randrange(1, 30)) + content[place:]


def repeat(content, rng):
    begin = rng.randrange(len(content) + 1)
    return content + content[begin : begin + rng.randrange(1, 1000)]


def encode(content, rng):
    try:
        return content.decode("utf-8").encode(rng.choice(["utf-16", "utf-32", "cp037", "utf-7"]))
    except UnicodeError:
        return content[::-1]


def folder(_content, _rng):
    return "folder"


def nest(_content, rng):
    depth = rng.choice([50, 1000, 100_000])
    return rng.choice([b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth])


def change_values(content, rng):
    """Another JSON type or value somewhere, a key that is missing, or one too many."""
    lines = content.splitlines() if content[:1] == b"{" and b"\n{" in content else [content]
    number = rng.randrange(len(lines))
    try:
        value = yaml.load(lines[number], yaml.CSafeLoader)  # JSON is YAML
    except yaml.YAMLError:
        return cut(content, rng)
    value = changed(value, rng)
    try:
        text = json.dumps(value, ensure_ascii=rng.random() < 0.9)
        lines[number] = text.encode("utf-8", "surrogatepass")
    except (TypeError, ValueError):
        return cut(content, rng)
    return b"\n".join(lines) + b"\n"


def changed(value, rng):
    for _ in range(rng.choice([1, 1, 1, 3])):
        value = _changed(value, rng)
    return value


def _changed(value, rng):
    if not isinstance(value, dict | list) or not value or rng.random() < 0.05:
        return rng.choice(VALUES)
    if isinstance(value, list):
        place = rng.randrange(len(value))
        return [*value[:place], _changed(value[place], rng), *value[place + 1 :]]
    key = rng.choice(list(value))
    action = rng.random()
    if action < 0.15:
        return {name: item for name, item in value.items() if name != key}
    if action < 0.2:
        return {**value, rng.choice(["unknown", "", "a.b", key + " "]): rng.choice(VALUES)}
    return {**value, key: _changed(value[key], rng)}


def copy(source, target):
    shutil.rmtree(target, ignore_errors=True)
    return shutil.copytree(source, target, symlinks=True)
