import json
import sys

import pytest

from rl_datagen import cli
from rl_datagen.campaign.state import Successes, TrialState
from rl_datagen.campaign.status import Campaign, error_line, short
from rl_datagen.tasks import TASKS
from tests.campaign.states import failed, finished, running, store


def run_cli(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["rl-datagen", "campaign", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    return exit_.value.code


def test_rates_before_and_after_are_of_the_same_tasks():
    first = running("libero_goal/1", success_before=Successes(0, 50))
    early = Campaign("c", "f", [first]).total
    assert (early.before.num_successes, early.before.num_episodes, early.after) == (0, 50, None)
    total = Campaign("c", "f", [finished("libero_goal/0"), first]).total
    assert (total.before.num_successes, total.before.num_episodes) == (20, 50)
    assert (total.after.num_successes, total.after.num_episodes) == (45, 50)


def test_totals_are_sums_and_suites_keep_their_order():
    trials = [
        finished("libero_goal/0", seconds=3600.0, retries=1),
        running("libero_goal/1", seconds=1800.0),
        failed("libero_90/5", "broken"),
        TrialState("libero_90/6"),
    ]
    campaign = Campaign("c", "f", trials, cost_per_hour=2.0)
    assert [suite.name for suite in campaign.suites] == ["libero_goal", "libero_90"]
    total = campaign.total
    assert total.counts == {"finished": 1, "running": 1, "pending": 1, "failed": 1, "stopped": 0}
    assert (total.env_steps, total.env_steps_per_second) == (560_000, 500.0)
    assert (total.hours, total.retries, total.cost) == (1.5, 3, 3.0)
    assert campaign.suites[1].env_steps_per_second is None


def test_time_left_is_iterations_to_go_and_the_mean_of_finished_trials():
    waiting = [TrialState(f"libero_90/{i}") for i in range(6)]
    trials = [
        finished("libero_goal/0", seconds=500.0),
        finished("libero_goal/1", seconds=700.0, state="stopped"),
        running("libero_goal/2", iteration=4, seconds=400.0),
        running("libero_goal/3", iteration=0, seconds=100.0),
        *waiting,
    ]
    campaign = Campaign("c", "f", trials)
    left = [campaign.seconds_left(trial) for trial in trials]
    assert left == [None, None, 6 * 100.0, 600.0 - 100.0, *[600.0] * 6]
    assert campaign.total.seconds_left == (600 + 500 + 6 * 600) / 2  # two run at a time
    assert campaign.suites[0].seconds_left == 600  # one trial cannot be shared


def test_concurrency_is_the_setting_while_nothing_runs():
    trials = [finished("libero_goal/0"), *[TrialState(f"libero_90/{i}") for i in range(8)]]
    assert Campaign("c", "f", trials, max_concurrent_trials=4).total.seconds_left == 1200
    assert Campaign("c", "f", trials).total.seconds_left == 4800


def test_time_left_without_a_finished_trial_rests_on_running_ones_or_is_unknown():
    waiting = TrialState("libero_90/0")
    campaign = Campaign("c", "f", [running("libero_goal/0", iteration=5, seconds=500.0), waiting])
    assert campaign.seconds_left(waiting) == 1000
    unknown = Campaign("c", "f", [running("libero_goal/0", iteration=0), waiting])
    assert unknown.seconds_left(waiting) is None
    assert unknown.total.seconds_left is None
    assert Campaign("c", "f", [finished("libero_goal/0")]).total.seconds_left == 0


def test_the_first_line_of_an_error_has_no_control_characters():
    trial = failed("libero_goal/0", "\n  \x1b[36mActorDiedError:\x1b[39m \x07gone\nTraceback")
    assert error_line(trial) == "ActorDiedError: gone"
    assert error_line(failed("libero_goal/0", None)) == "no error was recorded"


def test_silence_is_since_the_newest_record():
    trials = [running("libero_goal/0", updated=100.0), running("libero_goal/1", updated=160.0)]
    assert Campaign("c", "f", trials, time=200.0).silence == 40
    assert Campaign("c", "f", [TrialState("libero_goal/0")]).silence is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0, "0"),
        (999, "999"),
        (40_000, "40k"),
        (999_600, "1M"),
        (25_440_000, "25.4M"),
        (5e9, "5G"),
    ],
)
def test_counts_are_short(value, text):
    assert short(value) == text


def test_unknown_campaigns_and_folders_without_trials_exit_with_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    store(tmp_path / "outputs" / "campaigns" / "spring", finished("libero_goal/3"))
    for name, message in (("sprint", "Did you mean 'spring'"), (str(tmp_path), "holds no state")):
        for command in ("status", "board"):
            assert run_cli(monkeypatch, command, name) == 2
            assert message in capsys.readouterr().err


def test_status_tells_130_trials_in_80_columns(tmp_path, monkeypatch, capsys):
    trials = [finished(task.id, after=50, retries=1) for task in TASKS]
    trials[3] = failed(trials[3].task, 'ValueError: no <mesh name="[pot]">\nTraceback ...')
    trials[7] = running("libero_spatial/7", seconds=90_000.0, stage="evaluate_before")
    trials[20:125] = [running(trial.task, env_steps=10**7) for trial in trials[20:125]]
    trials[126] = finished("libero_90/86", state="stopped", seconds=2e6)
    folder = store(tmp_path / "c", *trials, config="campaign: {cost_per_hour: 25}")
    assert run_cli(monkeypatch, "status", folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines[1:]) <= 80
    assert "…" not in "".join(lines)
    assert len([line for line in lines if " dppo " in line]) == 105
    (total,) = [line for line in lines if line.startswith("total")]
    assert " ".join(total.split()) == (
        "total 22 106 - 1 1 40% 37-43 100% 99-100 1.1G 53k 596 14.9k 1.6d"
    )
    assert 'libero_spatial/3: ValueError: no <mesh name="[pot]">' in lines
    assert any(line.startswith("libero_spatial/7 evaluate before") for line in lines)


def test_status_as_json_has_totals_suites_and_trials(tmp_path, monkeypatch, capsys):
    folder = store(tmp_path, finished("libero_goal/0"), running("libero_90/1"))
    assert run_cli(monkeypatch, "status", folder, "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert status["total"]["after"]["success_rate"] == 0.9
    assert [suite["name"] for suite in status["suites"]] == ["libero_goal", "libero_90"]
    assert status["trials"][1]["seconds_left"] == 600
