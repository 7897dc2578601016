"""What becomes of a run whose env runner is killed: the real process, by its id."""

import os
import signal
import time
from pathlib import Path

import pytest

from rl_datagen.algo.fine_tune import fine_tune

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore"),  # Ray and RLlib warn about their own interior
]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def env_runners() -> list[int]:
    """Ids of the env runners of this process's own Ray, and of no other on the machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            pid = int(path.parent.name)
            if path.read_bytes().startswith(b"ray::EpisodeBatchEnvRunner"):
                raylet = parent_of(pid)
                if os.getpid() in (raylet, parent_of(raylet)):
                    found.append(pid)
        except OSError:  # it ended while we looked
            continue
    return found


@pytest.mark.slow
def test_a_killed_env_runner_comes_back(toy_ray, small_config, expert_dir, tmp_path):
    algo = small_config.algo.model_copy(update={"num_iterations": 100})
    config = small_config.model_copy(update={"algo": algo})
    episodes = []

    def report(number, row):
        episodes.append(row["episodes_in_batch"])
        if number == 1:
            os.kill(env_runners()[0], signal.SIGKILL)
        time.sleep(2)  # a restart takes a few seconds, or many; a toy iteration does not

    def is_back(row):
        return row["episodes_in_batch"] == 21 > min(episodes)

    fine_tune(config, expert_dir, tmp_path, report=report, should_stop=is_back, env="toy")
    assert 0 < min(episodes) < 21  # the others went on while it was away
    assert episodes[-1] == 21


@pytest.mark.slow
def test_a_stream_goes_on_without_a_killed_env_runner(toy_ray, small_config, expert_dir, tmp_path):
    update = {"num_iterations": 6, "mode": "streaming"}
    algo = small_config.algo.model_copy(update=update)
    config = small_config.model_copy(update={"algo": algo})
    rows = []

    def report(number, row):
        rows.append(row)
        if number == 1:
            os.kill(env_runners()[0], signal.SIGKILL)

    fine_tune(config, expert_dir, tmp_path, report=report, env="toy")
    assert len(rows) == 6
    assert min(row["episodes_in_batch"] for row in rows) >= 21
