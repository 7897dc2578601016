"""What the pages share: their templates and how they write numbers."""

import base64
from pathlib import Path

import jinja2

from rl_datagen.core.templates import template_environment


def page_environment() -> jinja2.Environment:
    """Returns the environment of the pages, with the functions below as filters."""
    return template_environment(
        "rl_datagen.report", number=number, percent=percent, duration=duration, megabytes=megabytes
    )


def number(value: float) -> str:
    """Returns three significant digits, without an exponent where people do not expect one."""
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.2e}"
    size = abs(value)
    whole = size >= 100 or value == int(value)
    digits = 0 if whole else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return f"{value:,.{digits}f}".replace("-", "−")


def percent(change: float) -> str:
    """Returns a share with its sign, such as ``"−12%"``."""
    return f"{'−' if change < 0 else '+'}{abs(change):.0%}"


def duration(seconds: float) -> str:
    """Returns minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def megabytes(num_bytes: int) -> str:
    """Returns a size in MB, or in kB below a tenth of one."""
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:,.0f} kB"


def data_uri(video: Path) -> str:
    """Returns an MP4 as an address that holds all of it."""
    return f"data:video/mp4;base64,{base64.b64encode(video.read_bytes()).decode()}"
