import io
import time

from rich.console import Console

from rl_datagen.cli.progress import show_progress

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
        "dppo: begins (8)",
        "dppo: 2/8 success=62.5% length=131 steps/s=812",
        "dppo: done in 0 s: 2/8",
    ]


def test_a_table_on_a_terminal(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr("rl_datagen.cli.progress.Console", lambda: console)
    with show_progress() as progress:
        progress.start("dppo", 8)
        for iteration in range(1, 4):
            progress.iteration({**ROW, "iteration": iteration, "approx_kl": 0.0123})
        progress.finish("dppo", "", 3.0)
    shown = console.file.getvalue()
    assert "clipped" in shown
    assert "0.0123" in shown
    assert "62.5%" in shown


def test_a_stage_that_says_nothing_is_spoken_for(capsys, monkeypatch):
    monkeypatch.setattr("rl_datagen.cli.progress._SECONDS_OF_SILENCE", 0.0)
    with show_progress() as progress:
        progress.start("dppo", 8)
        progress.iteration(ROW)
        time.sleep(2.5)
        progress.finish("dppo", "", 3.0)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("dppo: 2/8, ") for line in lines[2:])
    assert lines[-1] == "dppo: done in 3 s"
