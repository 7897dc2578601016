"""Which policy of a run becomes the expert."""

import pytest

from rl_datagen.algo.fine_tune import Score, best_row, fine_tune
from rl_datagen.core.errors import UserError
from rl_datagen.policy import load_policy
from tests.toy import toy_config


def row(iteration, success_rate=None, length=None):
    if success_rate is None:
        return {"iteration": iteration}
    scores = {"evaluation_success_rate": success_rate, "evaluation_episode_len_mean": length}
    return {"iteration": iteration} | scores


@pytest.mark.parametrize(
    ("curve", "best"),
    [
        ([row(1), row(2, 0.8, 90), row(3), row(4, 0.7, 50)], 2),
        ([row(1, 0.8, 90), row(2, 0.8, 80), row(3, 0.8, 85)], 2),  # shorter
        ([row(1, 0.8, 90), row(2, 0.8, 90)], 2),  # later
    ],
)
def test_the_best_succeeds_most_then_is_short_then_late(curve, best):
    assert best_row(curve)["iteration"] == best


def test_without_evaluations_there_is_no_best():
    assert best_row([row(1), row(2)]) is None


def test_a_stop_rule_without_evaluations_is_refused():
    with pytest.raises(UserError, match="set evaluation_interval"):
        toy_config("algo.stop_success_rate=0.9", "algo.evaluation_interval=0")


class Stop(Exception):  # noqa: N818
    pass


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray and RLlib warn about their own interior
def test_the_expert_is_the_best_policy_and_the_last_is_kept(
    toy_ray, small_config, expert_dir, tmp_path
):
    update = {"num_iterations": 9, "evaluation_interval": 2, "stop_success_rate": 0.95}
    algo = small_config.algo.model_copy(update=update | {"num_critic_warmup_iterations": 0})
    config = small_config.model_copy(update={"algo": algo})
    scores = iter([Score(0.5, 10), Score(0.9, 10), Score(0.9, 11), Score(0.96, 12)])
    rows = []

    def report(number, row):
        rows.append(row)
        if number == 6:
            raise Stop

    run = lambda: fine_tune(  # noqa: E731
        config, expert_dir, tmp_path, evaluate=lambda _: next(scores), report=report, env="toy"
    )
    with pytest.raises(Stop):
        run()
    best = load_policy(tmp_path / "best")[0].state_dict()
    metrics = run()
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]  # 0.96: it stops
    assert metrics["num_iterations"] == 8
    assert metrics["best"]["iteration"] == 8
    policies = [load_policy(tmp_path / name)[0].state_dict() for name in ("", "last", "best")]
    for name, value in policies[0].items():
        assert value.equal(policies[1][name])
        assert value.equal(policies[2][name])
    assert any(not value.equal(best[name]) for name, value in policies[0].items())
