"""Rows, sums and lerobot's keys."""

import json
import random
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_datagen.core.errors import UserError
from rl_datagen.data.results import (
    EvaluatedEpisode,
    digest,
    read_episodes,
    read_results,
    summaries,
    summarise,
    write_episodes,
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
    assert set(info) == {"per_task", "per_group", "overall", "results_sha256"}
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


def rewrite(path, change, *, metadata=False):
    """Changes rows as a faulty program would, which writes no checksum unless told to."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    schema = table.schema if metadata else table.schema.remove_metadata()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.append(rows[0]), "has init state 0 twice"),
        (lambda rows: rows.append(rows[0] | {"seed": 99}), "has init state 0 twice"),
        (lambda rows: rows.clear(), "no episode"),
        (lambda rows: rows[1].update(task="../../x"), "'../../x' is not a task"),
        (lambda rows: rows[1].update(task=None), "no task"),
        (lambda rows: rows[1].update(length=-1), "length is -1"),
        (lambda rows: rows[1].update(length=2**31 - 1), "length is 2147483647"),
        (lambda rows: rows[1].update(length=None), "no length"),
        (lambda rows: rows[1].update(init_state_index=-1), "init_state_index is -1"),
        (lambda rows: rows[1].update(init_state_index=50), "init_state_index is 50"),
        (lambda rows: rows[1].update(init_state_index=None), "no init_state_index"),
        (lambda rows: rows[1].update(seed=-1), "seed is -1"),
        (lambda rows: rows[1].update(seed=None), "no seed"),
        (lambda rows: rows[1].update(success=None), "no success"),
        (lambda rows: rows[0].update(success=True, error="x"), "success and has an error"),
    ],
)
def test_rows_that_cannot_be_are_named(tmp_path, change, words):
    path = tmp_path / "libero_goal-3-00.parquet"
    write_episodes(path, episodes("libero_goal/3", 1, 3))
    rewrite(path, change)
    with pytest.raises(UserError, match=f"3-00.parquet is refused: .*{words}.*repeat its"):
        read_episodes(path)


@pytest.mark.parametrize("column", ["task", "init_state_index", "seed", "success", "length"])
def test_other_columns_are_named(tmp_path, column):
    path = tmp_path / "results.parquet"
    write_episodes(path, episodes("libero_goal/3", 1, 3))
    table = pq.read_table(path)
    index = table.schema.get_field_index(column)
    as_text = table.set_column(index, column, table[column].cast(pa.large_string()))
    for other in (table.drop_columns([column]), as_text, table.append_column("x", table[column])):
        pq.write_table(other, path)
        with pytest.raises(UserError, match=r"results\.parquet is refused: it has the columns"):
            read_episodes(path)


@pytest.mark.parametrize("metadata", [True, False])  # without: eval_info.json still has it
@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.pop(),
        lambda rows: rows[2].update(success=True),
        lambda rows: rows[2].update(length=7),
        lambda rows: rows[2].update(seed=7),
    ],
)
def test_rows_that_were_edited_are_found_by_their_checksum(tmp_path, change, metadata):
    write_results(tmp_path, episodes("libero_goal/3", 1, 3), seconds=1)
    rewrite(tmp_path / "results.parquet", change, metadata=metadata)
    with pytest.raises(UserError, match=r"results\.parquet is refused: .*SHA-256.*Delete"):
        read_results(tmp_path)


@given(st.data())
def test_any_other_row_has_another_checksum(data):
    rows = episodes("libero_goal/3", 2, 4)
    number = data.draw(st.integers(0, 3))
    change = data.draw(
        st.sampled_from(
            [
                *({"task": "libero_goal/4"}, {"seed": 77}, {"length": 1}, {"error": "x"}),
                *({"init_state_index": 9}, {"success": not rows[number].success}),
            ]
        )
    )
    changed = [*rows]
    changed[number] = replace(rows[number], **change)
    assert digest(changed) != digest(rows)


def test_a_damaged_byte_of_either_file_ends_in_a_paragraph_or_in_the_same_rows(tmp_path):
    rows, random_ = episodes("libero_goal/3", 2, 5), random.Random(0)
    write_results(tmp_path, rows, seconds=1)
    sound = {name: (tmp_path / name).read_bytes() for name in ("results.parquet", "eval_info.json")}
    for _ in range(150):
        for name, content in sound.items():
            damaged = bytearray(content)
            damaged[random_.randrange(len(content))] ^= 1 << random_.randrange(8)
            (tmp_path / name).write_bytes(damaged)
            try:
                assert read_results(tmp_path) == rows  # what it hit means nothing to us
            except UserError as error:
                assert name.split(".")[0] in str(error)  # noqa: PT017
            (tmp_path / name).write_bytes(content)


def test_a_task_with_fewer_init_states_has_as_many_episodes(tmp_path):
    rows = [EvaluatedEpisode("libero_goal_with_milk/2", i, i, True, 90) for i in range(10)]
    write_results(tmp_path, rows, seconds=1)
    assert len(read_results(tmp_path, num_episodes=25)) == 10
    with pytest.raises(UserError, match=r"has 10 episodes where config\.yaml says 5"):
        read_results(tmp_path, num_episodes=5)
