"""Rows, sums and lerobot's keys."""

import json

import pytest

from rl_datagen.core.errors import UserError
from rl_datagen.data.results import (
    EvaluatedEpisode,
    read_results,
    summaries,
    summarise,
    write_results,
)


def episodes(task, successes, num):
    return [EvaluatedEpisode(task, i, i, i < successes, 100 + i) for i in range(num)]


def test_rates_and_lengths():
    found = summarise(episodes("libero_goal/3", 3, 4), 0.95)
    assert (found.num_successes, found.num_episodes, found.success_rate) == (3, 4, 0.75)
    assert found.success_ci_low < 0.75 < found.success_ci_high
    assert (found.episode_len_mean, found.success_len_mean) == (101.5, 101)
    assert summarise(episodes("libero_goal/3", 0, 2), 0.95).success_len_mean is None


def test_results_come_back_in_the_order_of_tasks_and_init_states(tmp_path):
    rows = episodes("libero_10/0", 1, 2) + episodes("libero_goal/3", 2, 3)
    write_results(tmp_path, rows[::-1], seconds=10)
    back = read_results(tmp_path)
    assert back == rows[2:] + rows[:2]
    assert list(summaries(back, 0.95)) == [
        "libero_goal/3",
        "libero_10/0",
        "libero_goal",
        "libero_10",
        "all",
    ]


def test_lerobot_s_keys(tmp_path):
    rows = episodes("libero_goal/3", 1, 2) + episodes("libero_goal/4", 2, 2)
    write_results(tmp_path, rows, seconds=8, videos=[tmp_path / "libero_goal-3-01.mp4"])
    info = json.loads((tmp_path / "eval_info.json").read_text())
    assert set(info) == {"per_task", "per_group", "overall"}
    first = info["per_task"][0]
    assert (first["task_group"], first["task_id"]) == ("libero_goal", 3)
    assert first["metrics"]["successes"] == [True, False]
    assert first["metrics"]["sum_rewards"] == first["metrics"]["max_rewards"] == [1, 0]
    assert len(first["metrics"]["video_paths"]) == 1
    assert info["per_task"][1]["metrics"]["video_paths"] == []
    assert info["per_group"]["libero_goal"]["pc_success"] == 75
    overall = info["overall"]
    assert (overall["n_episodes"], overall["eval_s"], overall["eval_ep_s"]) == (4, 8, 2)
    assert overall["avg_sum_reward"] == overall["avg_max_reward"] == 0.75


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "results.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"results\.parquet cannot be read"):
        read_results(tmp_path)
