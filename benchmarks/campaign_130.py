"""Does a campaign over all 130 tasks hold together, and what does Tune cost per trial?

What it shows: every selected task goes through demonstrations, warm start, evaluation, one
iteration of DPPO and evaluation again, on its real scene with a tiny budget. With ``--toy N``, N
trials that do nothing at the same time instead: the cost of scheduling alone.

How to run it::

    python benchmarks/campaign_130.py [--tasks all] [--at-once 2]
    python benchmarks/campaign_130.py --toy 130 [--at-once 130]

Results to expect: the last line is ``RESULT`` and a JSON object with ``finished`` (trials with an
expert), ``wall_minutes``, ``peak_rss_gb`` (all processes of the campaign together, shared pages
counted once), ``driver_rss_gb`` and ``overhead_s_per_trial``: wall time beyond the trials' own
work spread over the places for them, per trial, which is process starts, imports and Tune. No trial
is lost.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rl_datagen.campaign.run import bundles, run_campaign
from rl_datagen.config import CampaignConfig, load_config
from rl_datagen.core.log import setup_logging
from rl_datagen.pipeline.run import ORDER
from rl_datagen.tasks import TASKS

import ray

SETTINGS = (
    "name=campaign-130",
    "demos.num_episodes=2",
    "demos.num_shipped_init_states=4",
    "demos.max_attempts_per_episode=200",
    "warm_start.num_updates=20",
    "evaluation.num_episodes=1",
    "polish.num_rounds=0",
    "algo.num_iterations=1",
    "algo.num_env_runners=1",
    "algo.num_envs_per_env_runner=2",
    "algo.num_episodes_per_iteration=2",
    "algo.num_critic_warmup_iterations=0",
    "algo.evaluation_interval=0",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default="all")
    parser.add_argument("--toy", type=int, help="this many trials that do nothing")
    parser.add_argument("--at-once", type=int)
    parser.add_argument("--output", help="folder to keep")
    arguments = parser.parse_args()
    setup_logging()
    with tempfile.TemporaryDirectory() as folder:
        print("RESULT", json.dumps(measure(arguments, arguments.output or folder)))


def measure(arguments: argparse.Namespace, folder: str) -> dict[str, float]:
    tasks = arguments.tasks
    if arguments.toy:
        tasks = ",".join(task.id for task in TASKS[: arguments.toy])
    at_once = arguments.at_once or arguments.toy or 2
    own = [f"output_dir={folder}", f"task={tasks}", f"campaign.max_concurrent_trials={at_once}"]
    config = load_config([*SETTINGS, *own], model=CampaignConfig)
    stages = dict.fromkeys(ORDER[:5], nothing) if arguments.toy else None
    ray.init(
        address="local",
        num_cpus=at_once * len(bundles(config)),
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    begin = time.monotonic()
    with Watch() as watch:
        states = [state for state in run_campaign(config, stages=stages).values() if state]
    wall = time.monotonic() - begin
    work = sum(state.seconds for state in states)
    places = min(at_once, len(states))
    return {
        "trials": len(states),
        "at_once": places,
        "finished": sum(state.state == "finished" for state in states),
        "retries": sum(state.retries for state in states),
        "wall_minutes": round(wall / 60, 2),
        "peak_rss_gb": round(watch.peak / 1e9, 2),
        "driver_rss_gb": round(watch.driver / 1e9, 2),
        "overhead_s_per_trial": round((wall - work / places) / len(states), 2),
        "trial_s_mean": round(work / len(states), 2),
    }


def nothing(run) -> dict[str, float]:
    for folder in (run.demos, run.warm_expert, run.expert):
        folder.mkdir(parents=True, exist_ok=True)
    return {"num_successes": 0, "num_episodes": 1, "episode_len_mean": 1.0}


class Watch:
    """Peak memory of this process and of all below it, in bytes, looked at every two seconds."""

    def __enter__(self) -> "Watch":
        self.peak = self.driver = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(2):
            own = memory(os.getpid())
            self.driver = max(self.driver, own)
            self.peak = max(self.peak, own + sum(memory(pid) for pid in below(os.getpid())))


def below(pid: int) -> Iterator[int]:
    """All descendants: a raylet and its workers are the driver's."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
        yield from new


def memory(pid: int) -> int:
    """Proportional set size: what several processes share is divided among them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()
