import subprocess
import sys

import pytest

from rl_datagen.core.errors import ConfigError
from rl_datagen.tasks import SUITES, TASKS, get_task, select_tasks

LIBERO_TASKS = """
import contextlib, io, json, warnings
warnings.simplefilter("ignore")
with contextlib.redirect_stdout(io.StringIO()):
    from libero.libero import benchmark
    tasks = {
        suite: [(task.name, task.language) for task in benchmark.get_benchmark(suite)().tasks]
        for suite in ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
    }
print(json.dumps(tasks))
"""


def test_tasks_are_those_of_the_installed_libero():
    import json

    # In its own process: importing LIBERO prints, warns and takes seconds.
    output = subprocess.run(
        [sys.executable, "-c", LIBERO_TASKS], capture_output=True, text=True, check=True
    ).stdout
    expected = json.loads(output.strip().splitlines()[-1])
    ours = {
        suite: [[task.name, task.instruction] for task in TASKS if task.suite == suite]
        for suite in SUITES
    }
    assert ours == expected


def test_there_are_130_tasks_in_5_suites_with_unique_ids():
    assert len(SUITES) == 5
    assert len(TASKS) == len({task.id for task in TASKS}) == 130


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        ("all", 130),
        ("libero_goal", 10),
        ("libero_goal/3", 1),
        ("libero_90/0-9", 10),
        ("libero_goal/3, libero_goal", 10),
        ("libero_goal,libero_10/0-1", 12),
        ("libero_goal/1, 7,8", 3),
        ("libero_goal/1,7-9,libero_10/0,1", 6),
        ("KITCHEN_SCENE10_close_the_top_drawer_of_the_cabinet", 1),
    ],
)
def test_selectors(selector, count):
    assert len(select_tasks(selector)) == count


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("libero_gaol/3", "Did you mean 'libero_goal'"),
        ("libero_goal/10", "libero_goal/0 to libero_goal/9"),
        ("libero_goal/9-2", "Unknown task"),
        ("", "Unknown task"),
        ("libero_goal/1,10", "libero_goal/0 to libero_goal/9"),
        ("libero_goal,3", "Unknown task '3'"),
    ],
)
def test_an_unknown_task_is_named_with_what_is_allowed(selector, message):
    with pytest.raises(ConfigError, match=message):
        select_tasks(selector)


def test_a_number_is_of_the_suite_before_it():
    chosen = select_tasks("libero_goal/1,7-8,libero_10/0,3")
    ids = ["libero_goal/1", "libero_goal/7", "libero_goal/8", "libero_10/0", "libero_10/3"]
    assert [task.id for task in chosen] == ids


def test_one_task_is_needed_where_one_is_asked_for():
    with pytest.raises(ConfigError, match="exactly one"):
        get_task("libero_goal")


@pytest.mark.parametrize(
    "selector",
    [
        "libero_90/0-99999999999",
        "libero_90/0-" + "9" * 5000,
        "libero_goal/0-10",
        "libero_goal/" + "1" * 5000,
        "libero_goal/3,0-99999999999",
        "x" * 100_000,
        "\udcff\n",
    ],
)
def test_what_no_suite_has_is_refused_at_once_and_briefly(selector):
    with pytest.raises(ConfigError, match="Unknown task") as error:
        select_tasks(selector)
    assert len(str(error.value)) < 600
    assert "\n" not in str(error.value)


def test_a_task_named_many_times_is_selected_once():
    assert select_tasks("all," * 20_000 + "libero_90/0-89") == TASKS
