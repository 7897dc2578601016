"""The verdict looks at complete waves, at new init states, and ends as soon as it can."""

from types import SimpleNamespace

import numpy as np
import pytest

from rl_datagen.config import load_config
from rl_datagen.core.progress import SILENT
from rl_datagen.pipeline import verdict
from rl_datagen.rollout import PlannedEpisode


@pytest.fixture
def judge(monkeypatch, make_trajectory):
    """Runs a verdict on a policy whose episodes succeed as told; returns score and plans."""

    def judge(succeeds, *settings, stream="1"):
        planned = []

        def plan_episode(scene, stream, seed, number, shipped):
            assert shipped is None
            return PlannedEpisode(f"{stream}-{number}", None, number)

        def rollout(policy, scene, plans, **options):
            planned.append([plan.episode_id for plan in plans])
            for plan in plans:
                good = succeeds(plan.seed)
                reward = np.zeros(12, np.float32)
                reward[-1] = good
                yield make_trajectory(plan.seed, success=good, reward=reward)

        monkeypatch.setattr(verdict, "plan_episode", plan_episode)
        monkeypatch.setattr(verdict, "rollout", rollout)
        monkeypatch.setattr(verdict, "ChunkActor", lambda policy: policy)
        run = SimpleNamespace(config=load_config(settings), scene=None, progress=SILENT)
        return verdict.score(run, None, stream), planned

    return judge


def test_a_policy_that_never_fails_is_accepted_after_five_waves_of_twelve(judge):
    score, planned = judge(lambda number: True)
    assert (score.verdict, score.num_episodes, score.success_rate) == ("reliable", 60, 1.0)
    assert [len(wave) for wave in planned] == [12] * 5
    assert len({name for wave in planned for name in wave}) == 60
    assert score.success_len_mean == 12


def test_a_weak_one_is_found_out_by_the_first_wave(judge):
    score, planned = judge(lambda number: number % 3 > 0)
    assert (score.verdict, score.num_episodes) == ("unreliable", 12)
    assert len(planned) == 1


def test_it_ends_undecided_at_the_largest_number(judge):
    score, _ = judge(lambda number: number not in (20, 45), "verdict.max_episodes=50")
    assert (score.verdict, score.num_episodes) == ("undecided", 50)


def test_nothing_is_known_of_successes_that_there_are_none_of(judge):
    score, _ = judge(lambda number: False)
    assert (score.success_len_mean, score.jerk) == (None, None)


def test_every_verdict_has_init_states_of_its_own(judge):
    (first,), (second,) = (judge(lambda n: False, stream=name)[1] for name in ("1", "2"))
    assert not set(first) & set(second)
