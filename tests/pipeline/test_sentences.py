import pytest

from rl_datagen.pipeline.sentences import sentence

EVALUATED = {
    "num_episodes": 20,
    "num_successes": 16,
    "success_rate": 0.8,
    "success_ci_low": 0.584,
    "success_ci_high": 0.919,
    "episode_len_mean": 140.0,
    "success_len_mean": 120.0,
}
JUDGED = {"success_rate": 0.983, "num_episodes": 120, "success_len_mean": 91.6, "jerk": 40.0}


@pytest.mark.parametrize(
    ("stage", "found", "text"),
    [
        (
            "demonstrations",
            {"episodes": 16, "attempts": 23, "length_mean": 131.4},
            "16 episodes of 23 attempts, 131 env steps each",
        ),
        ("warm_start", {"train_loss": 0.1234, "lr": 0.0}, "loss 0.123"),
        ("evaluate_before", EVALUATED, "16 of 20 (58 to 92 %)"),
        (
            "polish_before",
            {"round": 1, "env_steps": 9000, "verdict": "reliable", **JUDGED},
            "reliable: 98% of 120 in 92 env steps",
        ),
        (
            "polish_before",
            {"round": 0, "env_steps": 9000, "verdict": "undecided", **JUDGED},
            "undecided: 98% of 120 in 92 env steps; not changed",
        ),
        ("polish_before", {"round": 0, "env_steps": 0}, "left out"),
        ("polish_after", {}, "not needed: nothing was fine-tuned"),
        ("dppo", {"iterations": 0, "env_steps": 0}, "not needed: the policy is reliable already"),
        ("dppo", {"iterations": 1, "env_steps": 2667}, "1 iteration, 2,667 env steps"),
        (
            "dppo",
            {"iterations": 8, "env_steps": 200_000, "stopped": True},
            "8 iterations, 200,000 env steps; the budget is used up",
        ),
        ("collect", {"episodes": 50, "attempts": 55}, "50 episodes of 55 attempts"),
        ("render", {"episodes": 1}, "1 episode"),
        ("experts-gaussian_rl", {"finished": 3, "stopped": 1}, "3 finished, 1 stopped"),
        ("dppo", {}, ""),  # noted by nobody
    ],
)
def test_what_a_stage_found_is_a_sentence(stage, found, text):
    assert sentence(stage, found) == text
