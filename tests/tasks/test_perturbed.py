import re

import numpy as np
import pytest

from rl_datagen.core.errors import ConfigError
from rl_datagen.tasks import (
    SUITES,
    TASKS,
    get_task,
    known_tasks,
    select_present,
    select_tasks,
)
from rl_datagen.tasks.files import bddl_path, init_states_path, libero_folder
from rl_datagen.tasks.perturbed import perturbed_suites

PERTURBED = select_tasks("perturbed")
NO_PERTURBATIONS = {  # what the package has besides, and why it is none
    "libero_mine": "scenes of its own",
    "libero_study_table": "scenes of its own",
    "libero_object_with_trigger": "no init states",
    "libero_object_with_trigger_new": "another object is to be placed",
    "libero_object_triggered_episode": "two of one task",
    "libero_object_two_normal_episodes": "two tasks",
    "libero_object_matched_two_episodes": "two tasks",
    "libero_object_not_matched_two_episodes": "two tasks",
}
NO_MODELS = {  # and those with an object that the package has no model of
    f"{base}_with_{thing}"
    for base, things in {
        "libero_spatial": "blue_stick diffpos_stick green_mug red_box red_stick",
        "libero_object": "blue_stick diffpos_stick red_box red_stick",
        "libero_goal": "blue_stick diffpos_stick green_mug red_box red_stick rotated_stick",
        "libero_10": "blue_stick diffpos_stick red_box red_stick",
    }.items()
    for thing in things.split()
}


def statements(task, section):
    """The innermost lists of a section of a task's definition."""
    text = bddl_path(task).read_text("utf-8")
    part = text[text.index(f"(:{section}") :]
    return sorted(" ".join(s.lower().split()) for s in re.findall(r"\((?!:|and)([^()]+)\)", part))


def test_every_suite_of_the_package_is_known_or_left_out_for_a_reason():
    there = {path.name for path in (libero_folder() / "bddl_files").iterdir() if path.is_dir()}
    assert there == {*SUITES, *perturbed_suites(), *NO_PERTURBATIONS, *NO_MODELS}


def without_model(paths):
    """What some definitions name and cannot be built."""
    from libero.libero.envs.objects import OBJECTS_DICT

    from rl_datagen.sim.make_classes import categories_of

    missing = set()
    for kind in {kind for path in paths for kind in categories_of(path.read_text("utf-8"))}:
        try:
            OBJECTS_DICT[kind](name="it")
        except FileNotFoundError:
            missing.add(kind)
    return missing


@pytest.mark.sim
def test_the_package_has_a_model_of_all_that_is_in_a_perturbed_scene():
    assert without_model(map(bddl_path, PERTURBED)) == set()
    for suite in NO_MODELS:
        assert without_model((libero_folder() / "bddl_files" / suite).glob("*.bddl")), suite


def test_each_suite_perturbs_each_task_of_its_base_once():
    assert len(PERTURBED) == 357
    assert known_tasks() == TASKS + PERTURBED
    for suite in perturbed_suites():
        tasks = select_tasks(suite)
        left_out = {
            "libero_10_with_milk": {0, 1},
            "libero_object_temp_y0.5": {1},
        }  # see perturbed.yaml
        there = [index for index in range(10) if index not in left_out.get(suite, ())]
        assert [task.index for task in tasks] == there
        assert len({task.name for task in tasks}) == len(tasks)
        assert {task.base.suite for task in tasks} <= {*SUITES}
        assert all(task.base.index == task.index for task in tasks)


def test_each_has_as_many_init_states_as_it_says():
    for task in known_tasks():
        with np.load(init_states_path(task)) as file:
            assert len(file["states"]) == task.num_init_states > 0, task


def test_nothing_is_placed_twice():
    """robosuite refuses such a scene."""
    for task in PERTURBED:
        text = bddl_path(task).read_text("utf-8")
        section = text[text.index("(:init") : text.index("(:goal")]
        placed = re.findall(r"\((?:On|In)\s+(\S+)", section, re.IGNORECASE)
        assert len(set(placed)) == len(placed) > 0, task


def test_each_has_its_files_and_the_goal_it_should_have():
    for task in PERTURBED:
        assert init_states_path(task).is_file()
        same = statements(task, "goal") == statements(task.base, "goal")
        assert same == (task.perturbs not in {"goal", "object"}), task
        if task.demonstrated_by != task.base:
            wanted, shown = (statements(t, "goal") for t in (task, task.demonstrated_by))
            if task.suite == "libero_spatial_task":  # the other one of two equal bowls
                assert shown == ["on akita_black_bowl_1 plate_1"]
                shown = ["on akita_black_bowl_2 plate_1"]
            assert wanted == shown


def test_the_sentence_changes_where_words_or_goal_do():
    for task in PERTURBED:
        text = bddl_path(task).read_text("utf-8")
        written = " ".join(re.search(r"\(:language\s+([^)]*)\)", text)[1].split())
        if task.perturbs in {"language", "goal"}:
            assert task.instruction == written
        elif task.perturbs in {"position", "object"}:
            assert task.instruction == task.base.instruction


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        ("libero_goal_swap", 10),
        ("libero_goal_swap/3", 1),
        ("libero_10_with_mug/2-4,8", 4),
        ("libero_object_temp_x0.3/0,2-3", 3),
        ("perturbed", 357),
        ("libero_goal,libero_goal_swap", 20),
    ],
)
def test_selectors(selector, count):
    assert len(select_tasks(selector)) == count


def test_a_perturbed_task_says_what_it_is():
    task = get_task("libero_spatial_object/0")
    assert (task.base, task.perturbs) == (get_task("libero_spatial/0"), "object")
    assert task.max_episode_steps == task.base.max_episode_steps


def test_all_of_a_dataset_is_all_that_it_holds():
    present = {"libero_goal_swap/3", "libero_90/2", "libero_goal/1"}
    named = [task.id for task in select_present("all", present)]
    assert named == ["libero_goal/1", "libero_90/2", "libero_goal_swap/3"]
    assert select_present("libero_goal_swap,libero_10", present) == (
        get_task("libero_goal_swap/3"),
    )
    assert select_present("libero_goal_swap/3, all", present)[0].id == "libero_goal_swap/3"
    assert select_present("libero_spatial", present) == ()
    with pytest.raises(ConfigError, match="Unknown task 'libero_gaol'"):
        select_present("libero_gaol", present)
