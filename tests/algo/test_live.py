"""While an iteration is sampled, success, length and throughput are told."""

from contextlib import contextmanager

import pytest

from rl_datagen.algo.fine_tune import fine_tune
from rl_datagen.algo.live import Sampled


@contextmanager
def look_once(look):
    """Looks at the end of an iteration, as if it were still sampled."""
    yield
    look()
    look.__self__._algo.activity = "samples"
    look()


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray and RLlib warn about their own interior
@pytest.mark.parametrize("num_env_runners", [0, 2])
def test_env_runners_tell_of_each_episode(
    toy_ray, small_config, expert_dir, tmp_path, monkeypatch, num_env_runners
):
    monkeypatch.setattr("rl_datagen.algo.live.every_second", look_once)
    changes = {"num_env_runners": num_env_runners, "num_iterations": 2}
    algo = small_config.algo.model_copy(update=changes)
    config = small_config.model_copy(update={"algo": algo})
    said, rows = [], []
    fine_tune(
        config,
        expert_dir,
        tmp_path,
        report=lambda _, row: rows.append(row),
        say=said.append,
        env="toy",
    )
    assert said[::2] == ["learns", "learns"]
    for line, row in zip(said[1::2], rows, strict=True):
        count = row["episodes_in_batch"]
        expected = f"{row['success_rate']:.0%} success, {row['episode_len_mean']:.0f} env steps"
        assert line.startswith(f"samples {count}/{count}: {expected}, ")


def test_counts_begin_anew():
    sampled = Sampled()
    sampled.add(True, 100)
    sampled.add(False, 200)
    assert sampled.describe(8).startswith("2/8: 50% success, 150 env steps, ")
    sampled.clear()
    assert sampled.describe(8) == "0/8"
