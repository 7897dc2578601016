from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from rl_datagen.report.coverage import coverages
from rl_datagen.report.sources import measure_sources

TASKS = ("libero_goal/3", "libero_object/0")


def detoured(origin, number, offset):
    """The same episode, pushed aside in its middle."""
    bump = np.sin(np.linspace(0, np.pi, len(origin)))[:, None] * offset
    return replace(
        origin,
        episode_id=f"{origin.episode_id}-pattern-{number:02d}",
        source="pattern",
        ee_pos=origin.ee_pos + bump,
    )


@pytest.fixture(scope="module")
def episodes(make_episode):
    own = [make_episode("diffusion_rl", n, task=task) for task in TASKS for n in range(6)]
    left = [detoured(each, 1, [0, 0.08, 0]) for each in own]
    right = [detoured(each, 2, [0, -0.08, 0]) for each in own]
    return own, left, right


def test_nothing_without_patterns(episodes):
    assert coverages(measure_sources(episodes[0])) == []


def test_patterns_cover_more_beside_the_own_way(episodes):
    own, left, right = episodes
    found = {
        (row.scope, row.label): row for row in coverages(measure_sources([*own, *left, *right]))
    }
    labels = ["Diffusion RL", "Other patterns", "Diffusion RL and Other patterns"]
    assert list(found) == [(scope, label) for scope in ("overall", *TASKS) for label in labels]
    alone, together = found["overall", labels[0]], found["overall", labels[2]]
    assert (alone.num_episodes, together.num_episodes) == (12, 36)
    assert [found["overall", label].num_approaches for label in labels] == [1, 2, 3]
    assert alone.distance.high < together.distance.low


def test_the_distance_is_that_of_all_pairs(episodes):
    own, left, _ = episodes
    mine = [each for each in (*own, *left) if each.task == TASKS[0]]
    found = coverages(measure_sources(mine))[-1]
    (source, other) = measure_sources(mine)
    paths = [*source.tasks[TASKS[0]].waypoints, *other.tasks[TASKS[0]].waypoints]
    apart = [np.square(a - b).sum(axis=1).mean() for a, b in combinations(paths, 2)]
    assert found.distance.mean == pytest.approx(np.sqrt(np.mean(apart)))


def test_patterns_with_the_same_mean_path_are_one_approach(episodes):
    own, left, _ = episodes
    near = [detoured(each, 2, [0, 0.09, 0]) for each in own]
    together = coverages(measure_sources([*own, *left, *near]))[-1]
    assert together.num_approaches == 2
