"""Lengths of time, for people."""


def duration(seconds: float | None) -> str:
    """Returns a length of time to about two digits: ``"40 s"``, ``"12 min"``, ``"3.5 h"``."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    value, unit = (seconds / 3600, "h") if seconds < 129600 else (seconds / 86400, "d")
    return f"{value:.{1 if value < 9.95 else 0}f} {unit}"
