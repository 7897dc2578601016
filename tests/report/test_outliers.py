import numpy as np
import pytest

from rl_datagen.report.outliers import MIN_EPISODES, THRESHOLD, modified_z_scores, outliers
from rl_datagen.report.sources import measure_sources


def found(episodes):
    return {each.episode_id: each for each in outliers(measure_sources(episodes))}


@pytest.fixture
def usual(make_episode):
    """A dozen episodes like each other."""
    return [make_episode("diffusion_rl", i, length=118 + i % 5) for i in range(12)]


def test_episodes_like_each_other_are_not_named(usual):
    assert found(usual) == {}


def test_what_is_long_shaky_or_elsewhere_is_named_with_value_and_median(usual, make_episode):
    odd = {
        "length": make_episode("diffusion_rl", 100, length=260),
        "mean_squared_jerk": make_episode("diffusion_rl", 101, length=120, tremor=5e-3),
    }
    away = make_episode("diffusion_rl", 102, length=120)
    away.ee_pos[:] += (0.3, 0, 0)
    odd["path_deviation"] = away
    named = found([*usual, *odd.values()])
    assert {each.episode_id for each in odd.values()} == set(named)
    for measure, episode in odd.items():
        oddity = {each.measure: each for each in named[episode.episode_id].oddities}[measure]
        assert oddity.score > THRESHOLD
        assert oddity.value > oddity.median
    words = " ".join(map(str, named[odd["length"].episode_id].oddities))
    assert "long: 260 env steps, where the median is 120 env steps" in words


def test_a_short_episode_is_named_and_a_smooth_one_is_not(usual, make_episode):
    short = make_episode("diffusion_rl", 100, length=40)
    (named,) = found([*usual, short]).values()
    (length,) = [each for each in named.oddities if each.measure == "length"]
    assert length.score < -THRESHOLD
    assert str(length).startswith("short: 40 env steps")
    smooth = found([*usual, make_episode("diffusion_rl", 101, length=120, tremor=0)])
    assert "mean_squared_jerk" not in {o.measure for e in smooth.values() for o in e.oddities}


def test_each_is_compared_with_its_own_task_and_source(usual, make_episode):
    others = [make_episode("amplified", i, length=260 + i % 5, tremor=1e-3) for i in range(12)]
    elsewhere = [
        make_episode("diffusion_rl", i, length=400 + i % 5, task="libero_goal/3") for i in range(12)
    ]
    assert found([*usual, *others, *elsewhere]) == {}


def test_few_episodes_have_no_outlier(usual, make_episode):
    few = [*usual[: MIN_EPISODES - 2], make_episode("diffusion_rl", 100, length=400)]
    assert found(few) == {}


def test_scores_of_values_that_are_mostly_the_same_and_of_none():
    values = np.array([100.0] * 11 + [300.0])
    assert modified_z_scores(values)[-1] > THRESHOLD
    assert not modified_z_scores(np.full(9, 7.0)).any()
    assert not modified_z_scores(np.array([np.nan, 0.0, -1.0])).any()
    normal = np.exp(np.random.default_rng(0).normal(size=20_000))
    assert modified_z_scores(normal).std() == pytest.approx(1, rel=0.05)


def test_the_most_unusual_one_comes_first(usual, make_episode):
    lengths = {100: 200, 101: 900}
    odd = [make_episode("diffusion_rl", i, length=n) for i, n in lengths.items()]
    scores = [each.score for each in outliers(measure_sources([*usual, *odd]))]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) >= 2
