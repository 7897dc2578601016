import io
import logging
import re
import sys
import time

from rich.console import Console

from rl_datagen.cli.progress import show_progress
from rl_datagen.core.log import setup_logging


class Tty(io.StringIO):
    def isatty(self):
        return True


ROW = {
    "iteration": 2,
    "success_rate": 0.625,
    "episode_len_mean": 131.4,
    "approx_kl": None,  # the critic warms up
    "clip_fraction": None,
    "env_steps_per_second": 812.3,
}


def test_a_line_per_iteration_where_there_is_no_terminal(capsys):
    with show_progress() as progress:
        progress.start("dppo", 8)
        progress.iteration(ROW)
    assert capsys.readouterr().out.splitlines() == [
        "prepare: loads PyTorch, Ray and LIBERO",
        "dppo: begins (8)",
        "dppo: 2/8 success=62.5% length=131 steps/s=812",
        "dppo: done in 0 s: 2/8",
    ]


def test_a_terminal_shows_finished_stages_and_log_lines_one_above_the_other(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=100, _environ={})
    monkeypatch.setattr("rl_datagen.cli.progress.Console", lambda: console)
    monkeypatch.setattr("sys.stderr", Tty())
    setup_logging()
    with show_progress() as progress:
        progress.start("dppo", 8, "iterations")
        progress.iteration({**ROW, "approx_kl": 0.0123})
        time.sleep(0.6)  # two refreshes
        logging.getLogger("rl_datagen").warning("lost episodes")
        progress.finish("dppo", "8 iterations", 3.0)
    shown = console.file.getvalue()
    assert "2/8 iterations" in shown
    assert "0.0123" in shown
    # Both are printed by the console, which takes the live part away for it: nothing is torn.
    assert "\x1b[2K" in shown[: shown.index("lost episodes")]
    assert re.search(r"lost episodes\n.*dppo +.*✓.* +3 s  8 iterations", shown, re.DOTALL)
    assert sys.stderr.getvalue() == ""


def test_nothing_is_shown_where_a_program_reads(capsys):
    with show_progress(quiet=True) as progress:
        progress.start("dppo", 8)
        progress.finish("dppo", "", 3.0)
    assert capsys.readouterr().out == ""


def test_a_stage_that_says_nothing_is_spoken_for(capsys, monkeypatch):
    monkeypatch.setattr("rl_datagen.cli.progress._SECONDS_OF_SILENCE", 0.0)
    with show_progress() as progress:
        progress.start("dppo", 8)
        progress.iteration(ROW)
        time.sleep(2.5)
        progress.finish("dppo", "", 3.0)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("dppo: 2/8, ") for line in lines[3:])
    assert lines[-1] == "dppo: done in 3 s"
