import time
from collections import Counter, deque
from types import SimpleNamespace

import pytest

from rl_datagen.algo.env_runner import EpisodeBatch, Outcome
from rl_datagen.algo.fine_tune import fine_tune
from rl_datagen.algo.streaming import MAX_REQUESTS_IN_FLIGHT, BatchStream, idle_fraction, policy_lag


def batch(worker, version, episodes=("a", "b")):
    outcomes = [Outcome(True, 5, "")] * len(episodes)
    return EpisodeBatch(
        worker, list(episodes), outcomes, None, version, seconds_busy=3, seconds_idle=1
    )


class Runners:
    """Two env runners, of which the second delivers only every fifth time."""

    def __init__(self):
        self.queues = {1: deque(), 2: deque()}
        self.sampled, self.largest, self.polls = [], 0, 0

    def foreach_env_runner_async(self, func, tag, kwargs):
        assert func == "sample_with"
        free = [queue for queue in self.queues.values() if len(queue) < MAX_REQUESTS_IN_FLIGHT]
        for queue in free:
            queue.append(kwargs)
        return len(free)

    def fetch_ready_async_reqs(self, tags, timeout_seconds):
        self.polls += 1
        self.largest = max(self.largest, *(len(queue) for queue in self.queues.values()))
        for worker, queue in self.queues.items():
            if queue and (worker == 1 or self.polls % 5 == 0):
                request = queue.popleft()
                names = [f"{worker} {request['batch']} {i}" for i in range(2)]
                self.sampled += names
                yield worker, batch(worker, request["version"], names)

    def num_healthy_remote_workers(self):
        return 2


def settings(**changes):
    defaults = {"num_episodes_per_iteration": 4, "max_policy_lag": 1, "sample_timeout_s": 9}
    return SimpleNamespace(**{**defaults, **changes})


def test_every_episode_is_used_once_or_dropped_once():
    runners = Runners()
    stream = BatchStream(runners, settings())
    used = []
    for version in range(40):
        batches = stream.take(None, version)
        assert all(version - item.weights_version <= 1 for item in batches)
        used += [episode for item in batches for episode in item.episodes]
    assert len(used) >= 40 * 4
    assert max(Counter(used).values()) == 1
    assert max(Counter(runners.sampled).values()) == 1
    waiting = len(runners.sampled) - len(used) - stream.num_dropped
    assert 0 <= waiting <= 4  # arrived, not yet looked at
    assert stream.num_dropped > 0  # the slow one's
    assert runners.largest == MAX_REQUESTS_IN_FLIGHT


def test_lag_and_idle_time():
    batches = [batch(1, 5), batch(2, 3)]
    assert policy_lag(batches, 5) == {"mean": 1, "max": 2}
    assert idle_fraction(batches) == 0.25


def test_silence_is_an_error():
    runners = Runners()
    runners.fetch_ready_async_reqs = lambda **_: time.sleep(0.01) or []
    with pytest.raises(RuntimeError, match="No env runner has returned a batch"):
        BatchStream(runners, settings(sample_timeout_s=0.05)).take(None, 0)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.filterwarnings("ignore")  # Ray and RLlib warn about their own interior
def test_a_streaming_run(toy_ray, small_config, expert_dir, tmp_path):
    algo = small_config.algo.model_copy(update={"mode": "streaming", "num_iterations": 5})
    config = small_config.model_copy(update={"algo": algo})
    rows = []
    fine_tune(config, expert_dir, tmp_path, report=lambda _, row: rows.append(row), env="toy")
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5]
    for row in rows:
        assert 21 <= row["episodes_in_batch"] < 21 + 4
        assert row["init_states_in_batch"] == row["episodes_in_batch"]
        assert 0 <= row["policy_lag_mean"] <= row["policy_lag_max"] <= 4
        assert 0 <= row["learner_idle_fraction"] <= 1
        assert 0 <= row["simulator_idle_fraction"] <= 1
    assert rows[-1]["policy_lag_max"] > 0
    assert (tmp_path / "weights.safetensors").exists()
