import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rl_datagen.report.comparison import Comparison
from rl_datagen.report.sources import measure_sources
from rl_datagen.report.verdicts import verdicts

TASKS = ("libero_goal/3", "libero_object/0")
CLAIMS = {
    "shorter": "Diffusion RL has shorter episodes than {}",
    "smoother": "Diffusion RL has smoother paths of the hand than {}",
    "alike": "Diffusion RL has actions more alike than {}",
}


@pytest.fixture
def judge(make_episode):
    """Returns verdicts by claim. Per source: episodes of each task, length, tremor, jitter."""

    def run(**settings):
        episodes = []
        for source, (count, length, tremor, jitter, still) in settings.items():
            for number, seed in ((n, s) for n in range(len(TASKS)) for s in range(count)):
                rng = np.random.default_rng([len(source), number, seed])
                episode = make_episode(
                    source,
                    seed % 3,
                    length=length + 10 * number + int(rng.integers(-5, 5)),
                    tremor=tremor,
                    task=TASKS[number],
                    still=still,
                )
                action = episode.action + rng.normal(0, jitter, episode.action.shape)
                if still:
                    action[-still:, :6] = 0
                    action[:, 6] = np.sign(episode.action[:, 6])
                episodes.append(dataclasses.replace(episode, action=action.astype(np.float32)))
        comparison = Comparison((Path("d"),), TASKS, {}, measure_sources(episodes), {})
        return {verdict.claim: verdict for verdict in verdicts(comparison)}

    return run


def test_sampled_gaussian_data_is_a_source_of_its_own(judge):
    better = (20, 120, 1e-4, 0.05, 0)
    found = judge(gaussian_rl_sampled=(20, 140, 2e-3, 0.3, 0), diffusion_rl=better)
    smoother = found[CLAIMS["smoother"].format("Gaussian RL, sampled")]
    assert smoother.outcome == "supported"
    assert found[CLAIMS["smoother"].format("Gaussian RL")].outcome == "not measured"


def test_a_source_that_is_better_in_everything(judge):
    found = judge(
        human=(20, 160, 1e-3, 0.2, 9), gaussian_rl=(20, 140, 2e-3, 0.3, 0),
        diffusion_rl=(20, 120, 1e-4, 0.05, 0),
    )  # fmt: skip
    assert {verdict.outcome for verdict in found.values()} == {"supported"}
    assert len(found) == 12
    shorter = found[CLAIMS["shorter"].format("human demonstrations")]
    assert shorter.change.mean == pytest.approx(125 / 165 - 1, abs=0.02)
    assert shorter.change.high < 0
    assert "2 tasks, 40 and 40 episodes" in shorter.measured
    assert "0 in " in found["Diffusion RL has no no-ops"].measured


def test_a_source_that_is_worse_in_everything(judge):
    found = judge(human=(20, 120, 1e-4, 0.05, 0), diffusion_rl=(20, 160, 1e-3, 0.2, 9))
    outcomes = {claim: verdict.outcome for claim, verdict in found.items()}
    for claim in CLAIMS.values():
        assert outcomes[claim.format("human demonstrations")] == "not supported"
        assert outcomes[claim.format("Gaussian RL")] == "not measured"
        assert "No difference" not in found[claim.format("human demonstrations")].measured
    assert outcomes["Diffusion RL has no no-ops"] == "not supported"
    assert outcomes["Human demonstrations have no-ops (the paper counts 3,007)"] == "not supported"


def test_no_difference_supports_nothing(judge):
    found = judge(gaussian_rl=(20, 130, 1e-3, 0.2, 0), diffusion_rl=(20, 130, 1e-3, 0.2, 0))
    for claim in CLAIMS.values():
        verdict = found[claim.format("Gaussian RL")]
        assert verdict.outcome == "not supported"
        assert verdict.measured.endswith("No difference shown.")
        assert verdict.change.low <= 0 <= verdict.change.high


def test_change_of_actions_is_that_of_the_deviation_shown(judge):
    found = judge(gaussian_rl=(30, 130, 1e-3, 0.4, 0), diffusion_rl=(30, 130, 1e-3, 0.2, 0))
    change = found[CLAIMS["alike"].format("Gaussian RL")].change
    shown = found[CLAIMS["alike"].format("Gaussian RL")].measured.split()
    assert change.mean == pytest.approx(float(shown[0]) / float(shown[2]) - 1, abs=0.01)


def test_without_diffusion_rl_nothing_of_it_is_measured(judge):
    found = judge(human=(3, 120, 1e-3, 0.1, 4), gaussian_rl=(3, 120, 1e-3, 0.1, 0))
    measured = [claim for claim, verdict in found.items() if verdict.outcome != "not measured"]
    assert measured == ["Human demonstrations have no-ops (the paper counts 3,007)"]


def test_one_human_episode_per_task_says_nothing_of_its_spread(judge):
    found = judge(human=(1, 160, 1e-3, 0.2, 0), diffusion_rl=(20, 120, 1e-4, 0.05, 0))
    assert found[CLAIMS["shorter"].format("human demonstrations")].outcome == "supported"
    alike = found[CLAIMS["alike"].format("human demonstrations")]
    assert alike.outcome == "not measured"
    assert "40 of Diffusion RL in 2 and 2 of Human in 2 task(s)" in alike.measured
