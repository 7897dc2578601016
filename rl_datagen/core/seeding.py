"""Seeds that are derived by name, so that no two uses share a random stream by accident."""

import hashlib


def derive_seed(*parts: str | int) -> int:
    """Returns a 31-bit seed that depends on every part and on nothing else.

    The same parts give the same seed on every machine and Python version.
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFFFFFF
