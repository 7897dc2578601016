import pytest

from rl_datagen.core.durations import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (40, "40 s"), (720, "12 min"), (7200, "2.0 h"), (90_000, "25 h"), (2e5, "2.3 d")],
)
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text
