"""What a whole quickstart looks like: recorded events, shown at two widths and as plain lines.

The events are those of a real run, recorded by ``record.py``. ``UPDATE_SNAPSHOTS=1 pytest`` writes
the snapshots anew.
"""

import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from rl_datagen.algo.live import Sampled
from rl_datagen.cli.progress import LOADING, Lines
from rl_datagen.cli.terminal import Terminal

HERE = Path(__file__).parent
RECORDED = (HERE / "recorded/quickstart.jsonl").read_text("utf-8").splitlines()
EVENTS = [json.loads(line) for line in RECORDED]
EVENTS = [[0.0, "start", ["prepare"]], [0.0, "say", [LOADING]], *EVENTS]
_EVERY = 12  # events between two frames


class Clock:
    """Shows the time of the event that is told."""

    time = 0.0

    def __call__(self):
        return self.time


class Screen:
    """A terminal whose text is kept."""

    def __init__(self, width):
        self.clock = Clock()
        self.console = Console(
            width=width,
            file=io.StringIO(),
            record=True,
            force_terminal=True,
            color_system="truecolor",
            _environ={},
        )
        self.shown = Terminal(self.console, self.clock)

    def tell(self, seconds, method, arguments):
        self.clock.time = seconds
        if method == "log":
            self.console.print(*arguments, highlight=False, markup=False)
        else:
            getattr(self.shown, method)(*arguments)

    def text(self):
        lines = self.console.export_text().splitlines()
        return "\n".join(line.rstrip() for line in lines)

    def frame(self):
        """Returns what stays at the bottom."""
        self.console.print(self.shown.frame())
        return self.text()


def at_width(width):
    """Returns the frames now and then, with the lines that came before each."""
    screen, parts = Screen(width), []
    for number, (event, after) in enumerate(zip(EVENTS, [*EVENTS[1:], None], strict=True)):
        screen.tell(*event)
        ends = after is None or after[1] in ("finish", "start")
        if event[1] != "finish" and (ends or number % _EVERY == 0):
            scrolled = screen.text()
            parts += [scrolled] if scrolled else []
            parts.append(f"[{event[0]:.0f} s]\n{screen.frame()}")
    parts.append(screen.text())
    return "\n\n".join(parts) + "\n"


def as_lines(capsys):
    clock = Clock()
    lines = Lines(clock)
    for seconds, method, arguments in EVENTS:
        clock.time = seconds
        if method == "log":
            sys.stdout.write(f"{arguments[0]}\n")
        else:
            getattr(lines, method)(*arguments)
    return capsys.readouterr().out


def compare(name, text):
    path = HERE / "snapshots" / f"{name}.txt"
    if "UPDATE_SNAPSHOTS" in os.environ:
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


@pytest.mark.parametrize("width", [80, 110])
def test_a_quickstart_on_a_terminal(width):
    text = at_width(width)
    compare(f"quickstart-{width}", text)
    assert max(map(len, text.splitlines())) <= width


def test_a_quickstart_where_there_is_no_terminal(capsys):
    compare("quickstart-plain", as_lines(capsys))


@pytest.mark.parametrize("width", [40, 80, 110, 200])
def test_a_count_never_exceeds_its_total_and_names_are_whole(width):
    text = at_width(width)
    counts = re.findall(r"(\d+)/(\d+) ", text)
    assert len(counts) > 15
    assert all(int(done) <= int(total) for done, total in counts)
    for stage in ("demonstrations", "evaluate_before", "polish_before", "dppo", "evaluate_after"):
        assert re.search(rf"^{stage} +✓", text, re.MULTILINE)


def test_a_stage_says_how_quick_it_is_and_how_long_it_will_take():
    screen = Screen(80)
    screen.tell(0, "start", ["collect", 50, "episodes"])
    for second in range(1, 11):
        screen.tell(second, "advance", [1, f"{second} of {second} succeeded"])
    assert "10/50 episodes  10 s, 40 s left" in screen.frame()
    screen.tell(30, "say", ["waits"])  # what stands still takes longer
    assert "2 min left" in screen.frame()
    assert "waits, 20/min" in screen.frame()


def test_iterations_are_shown_while_they_run():
    screen = Screen(80)
    screen.tell(0, "start", ["dppo", 8, "iterations"])
    sampled = Sampled(episodes=120, successes=90, env_steps=18_000).describe(192)
    screen.tell(5, "say", [f"samples {sampled}"])
    assert "samples 120/192: 75% success, 150 env steps, " in screen.frame()
    assert "…" not in screen.frame()
    row = {"iteration": 1, "success_rate": 0.625, "approx_kl": 0.0123, "clip_fraction": None}
    screen.tell(60, "iteration", [row])
    assert "7 min left" in screen.frame()
    assert "0.0123" in screen.frame()


def test_a_stage_that_is_stopped_leaves_a_line():
    screen = Screen(80)
    screen.tell(0, "start", ["warm_start", 800, "gradient steps"])
    screen.tell(9, "advance", [100, "loss 0.5"])
    screen.shown.__exit__(KeyboardInterrupt)
    assert re.search(r"^warm_start +✗ +9 s  100/800 gradient steps, loss 0.5$", screen.text(), re.M)
