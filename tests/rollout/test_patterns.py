"""Detours of two released episodes, with the real expert in the real simulator."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import rl_datagen as rd
from rl_datagen.config import SimConfig
from rl_datagen.core.curves import path_distance
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.data.compact import read_compact
from rl_datagen.data.patterns import MIN_PATH_DISTANCE, pattern_of
from rl_datagen.jobs.hydrate import replay_compact
from rl_datagen.rollout import patterns, stretches, vary
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

TASK = "libero_object/3"
RELEASE = Path(__file__).parents[2] / "release"


@pytest.fixture(scope="module")
def scene():
    return load_scene(get_task(TASK))


@pytest.fixture(scope="module")
def origins(scene):
    episodes = list(read_compact(RELEASE / "libero130", TASK))[:2]
    return [replay_compact(episode, scene) for episode in episodes]


@pytest.fixture(scope="module")
def expert():
    return rd.load_expert(RELEASE / "experts" / TASK)


@pytest.fixture(scope="module")
def varied(expert, scene, origins):
    episodes, attempts = vary(expert, scene, origins, 3, sim=SimConfig())
    return {episode.episode_id: episode for episode in episodes}, attempts


@pytest.mark.slow
@pytest.mark.sim
def test_the_way_to_a_thing_and_the_way_with_it_are_in_free_space(scene, origins):
    for origin in origins:
        there, back = stretches.find_stretches(origin, scene)
        assert (there.start, there.carried) == (0, frozenset())
        assert there.end < back.start < back.end < len(origin)
        assert back.carried == {"bbq_sauce_1"}
        # the fingers open and close outside
        for each in (there, back):
            gripper = origin.action[each.start : each.end, 6]
            assert (np.sign(gripper) == np.sign(gripper[0])).all()


@pytest.mark.sim
def test_other_patterns_succeed_elsewhere_from_the_same_init_state(origins, varied):
    episodes, attempts = varied
    assert attempts == 4 == len(episodes)
    for origin in origins:
        left, right = (episodes[f"{origin.episode_id}-pattern-0{n}"] for n in (1, 2))
        for each in (left, right):
            assert (each.source, each.success, each.seed) == ("pattern", True, origin.seed)
            np.testing.assert_array_equal(each.sim_state[0], origin.sim_state[0])
            assert path_distance(each.ee_pos, origin.ee_pos) >= MIN_PATH_DISTANCE
        assert path_distance(left.ee_pos, right.ee_pos) > 2 * MIN_PATH_DISTANCE


@pytest.mark.sim
def test_a_detour_is_where_it_was_planned_and_ends_before_the_grasp(scene, origins, varied):
    for origin in origins:
        found = stretches.find_stretches(origin, scene)
        episode = varied[0][f"{origin.episode_id}-pattern-01"]
        detour = patterns.plan_detour(origin, found, scene, patterns.angle_of(1, 3))
        apart = episode.ee_pos[: len(detour.offset)] - origin.ee_pos[: len(detour.offset)]
        middle = (found[0].start + found[0].end) // 2
        assert np.linalg.norm(detour.offset[middle]) > 0.04
        assert apart[middle] == pytest.approx(detour.offset[middle], abs=0.015)
        grasp = int(np.flatnonzero(origin.action[:, 6] > 0)[0])
        assert np.linalg.norm(detour.offset[grasp]) == 0
        assert np.linalg.norm(apart[grasp]) < 0.015


@pytest.mark.sim
def test_the_same_call_gives_the_same_episodes(expert, scene, origins, varied):
    again, _ = vary(expert, scene, origins, 3, sim=SimConfig())
    assert again == list(varied[0].values())
    assert [pattern_of(each.episode_id).number for each in again] == [1, 2, 1, 2]


@pytest.mark.sim
def test_patterns_that_do_not_differ_are_refused(expert, scene, origins, monkeypatch):
    monkeypatch.setattr(patterns, "_MAX_DETOUR", 0.02)
    with pytest.raises(UserError, match=r"at most [01]\.\d cm away .* and 2 cm are needed"):
        vary(expert, scene, origins[:1], 2, sim=SimConfig())


@pytest.mark.sim
def test_a_task_without_free_space_is_refused(expert, scene, origins, monkeypatch):
    monkeypatch.setattr(stretches, "_CLEARANCE", 1.0)
    with pytest.raises(UserError, match=r"libero_object/3's expert is never in free space"):
        vary(expert, scene, origins, 3, sim=SimConfig())


def test_an_expert_that_sees_cameras_is_refused():
    with pytest.raises(ConfigError, match="this one sees cameras"):
        patterns.DetouredPolicy(SimpleNamespace(image_size=64), SimpleNamespace(), [])


def test_detours_go_from_left_over_the_way_to_right():
    assert patterns.angle_of(1, 2) == pytest.approx(np.pi / 2)
    angles = [patterns.angle_of(number, 4) for number in (1, 2, 3)]
    assert angles == pytest.approx(np.deg2rad([10, 90, 170]))
    ahead = np.linspace([0.0, 0, 1], [0.2, 0, 1], 20)
    left, above, right = (patterns._direction(ahead, angle) for angle in angles)
    assert above == pytest.approx([0, 0, 1], abs=1e-9)
    assert left[1] == pytest.approx(-right[1])
    assert left[1] > 0.98
    down = np.linspace([0.0, 0, 1.2], [0, 0, 1], 20)
    assert np.linalg.norm(patterns._direction(down, 0.3)) == pytest.approx(1)
