"""Which policy of a run becomes the expert, and when the run ends."""

import pytest

from rl_datagen.algo.fine_tune import fine_tune
from rl_datagen.algo.selection import Score, best_row, nothing_left_to_gain
from rl_datagen.policy import load_policy

BAD = Score(0.5, 12, "unreliable", 100.0, 20.0)
GOOD = Score(0.98, 60, "reliable", 100.0, 20.0)
QUICK = Score(0.96, 80, "reliable", 90.0, 20.0)
SMOOTH = Score(1.0, 48, "reliable", 100.0, 10.0)


def curve(*scores):
    return [
        {"iteration": number, **(score.columns() if score else {})}
        for number, score in enumerate(scores, 1)
    ]


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([BAD, None, GOOD, None], 3),
        ([GOOD, QUICK, GOOD], 2),  # quicker, whatever its luck
        ([GOOD, SMOOTH, GOOD], 2),
        ([GOOD, None, GOOD], 3),  # later
        # 3 of 3 says less than 45 of 48.
        ([Score(1.0, 3, "undecided", 50.0, 9.0), Score(45 / 48, 48, "undecided", 99.0, 9.0)], 2),
        ([Score(0.0, 12, "unreliable", None, None)], 1),
    ],
)
def test_reliable_then_quick_and_smooth_then_late(scores, best):
    assert best_row(curve(*scores))["iteration"] == best


def test_without_evaluations_there_is_no_best():
    assert best_row(curve(None, None)) is None


@pytest.mark.parametrize(
    ("scores", "patience", "ended"),
    [
        ([BAD, GOOD], 0, True),
        ([BAD, BAD, BAD], 0, False),
        ([GOOD, BAD], 2, False),
        ([GOOD, BAD, None, GOOD], 2, False),  # the last one is as good, and later: the best
        ([QUICK, BAD, None, GOOD], 2, True),
        ([QUICK, BAD, None, GOOD], None, False),
    ],
)
def test_a_run_ends_when_a_reliable_policy_is_not_surpassed(scores, patience, ended):
    assert nothing_left_to_gain(curve(*scores), patience) == ended


class Stop(Exception):  # noqa: N818
    pass


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray and RLlib warn about their own interior
def test_the_expert_is_the_best_policy_and_the_last_is_kept(
    toy_ray, one_process, expert_dir, tmp_path
):
    update = {"num_iterations": 9, "evaluation_interval": 2, "patience": 1}
    algo = one_process.algo.model_copy(update=update | {"num_critic_warmup_iterations": 0})
    config = one_process.model_copy(update={"algo": algo})
    scores = {2: BAD, 4: GOOD, 6: QUICK, 8: GOOD}
    rows = []

    def report(number, row):
        rows.append(row)
        if number == 6:
            raise Stop

    run = lambda: fine_tune(  # noqa: E731
        config,
        expert_dir,
        tmp_path,
        evaluate=lambda _, iteration: scores[iteration],
        report=report,
        env="toy",
    )
    with pytest.raises(Stop):
        run()
    best = load_policy(tmp_path / "best")[0].state_dict()
    metrics = run()
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert metrics["num_iterations"] == 8
    assert metrics["best"]["iteration"] == 6
    policies = [load_policy(tmp_path / name)[0].state_dict() for name in ("", "last")]
    for name, value in policies[0].items():
        assert value.equal(best[name])
    assert any(not value.equal(policies[1][name]) for name, value in policies[0].items())
