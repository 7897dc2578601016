"""What does sampling without a barrier gain when one simulator is slow?

What it shows: env steps per second end to end (sampling, learning, checkpoints) of
``algo.mode=streaming`` against ``sync``, on the tests' toy task with simulators that sleep; one of
four env runners sleeps three times as long. Both modes take turns in one run.

How to run it::

    python benchmarks/streaming.py [--rounds 2] [--iterations 8]

Results to expect: the last line is ``RESULT`` and a JSON object with ``ratio`` (streaming over
sync) and ``lag_mean`` (updates between the weights an episode was sampled with and those it
improves). A barrier waits for the slow one, so the ratio is above 1.3.
"""

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import ray
from ray import cloudpickle, tune

sys.path.insert(0, str(Path(__file__).parents[1]))
import tests.toy as toy
from rl_datagen.algo.bc import warm_start
from rl_datagen.algo.fine_tune import fine_tune
from rl_datagen.policy import save_expert

FAST_S, SLOW_S = 0.2, 0.6  # per decision
WARM_UP = 2  # iterations that are not counted
SETTINGS = (
    "policy.unet_channels=[16]",
    "policy.num_denoising_steps=3",
    "warm_start.num_updates=50",
    "algo.num_env_runners=4",
    "algo.num_envs_per_env_runner=16",
    "algo.num_episodes_per_iteration=128",
    "algo.num_critic_warmup_iterations=1",
    "algo.num_critic_epochs=2",
    "algo.critic_width=32",
    "algo.num_epochs=2",
)


class SleepyVectorEnv(toy.ToyVectorEnv):
    """The toy, with simulators that take their time."""

    def __init__(self, *args, seconds, **kwargs):
        super().__init__(*args, **kwargs)
        self._seconds = seconds

    def step(self, actions):
        time.sleep(self._seconds)
        return super().step(actions)


def make_env(context, marker):
    try:
        Path(marker).touch(exist_ok=False)  # the first env runner of a run is the slow one
        seconds = SLOW_S
    except FileExistsError:
        seconds = FAST_S
    return SleepyVectorEnv(
        context["num_envs"],
        context["action_steps"],
        context["max_episode_steps"],
        context["num_episodes"],
        seconds=seconds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=8)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    cloudpickle.register_pickle_by_value(toy)  # workers cannot import tests
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init(
        address="local",
        num_cpus=5,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    config = toy.toy_config(*SETTINGS, f"algo.num_iterations={arguments.iterations}")
    with tempfile.TemporaryDirectory() as folder:
        policy, stats, metrics = warm_start(toy.demonstrations(20), config)
        save_expert(f"{folder}/warm", policy, config, stats, metrics)
        runs = {"sync": [], "streaming": []}
        for number in range(arguments.rounds):
            for mode, measured in runs.items():
                measured.append(measure(config, mode, Path(folder, f"{mode}{number}")))
                print(mode, json.dumps(measured[-1]), flush=True)
    ray.shutdown()
    mean = lambda mode, key: statistics.mean(run[key] for run in runs[mode])  # noqa: E731
    result = {
        "ratio": round(mean("streaming", "steps_per_s") / mean("sync", "steps_per_s"), 2),
        "lag_mean": round(mean("streaming", "lag_mean"), 2),
        "lag_max": max(run["lag_max"] for run in runs["streaming"]),
        "episodes_dropped": sum(run["dropped"] for run in runs["streaming"]),
        **{
            f"{who}_idle_{mode}": round(mean(mode, f"{who}_idle"), 2)
            for who in ("learner", "simulator")
            for mode in runs
        },
    }
    print("RESULT", json.dumps(result))


def measure(config, mode: str, output: Path) -> dict:
    """Runs one mode and returns its speed after the warm-up."""
    config = config.model_copy(update={"algo": config.algo.model_copy(update={"mode": mode})})
    rows, times = [], []
    output.mkdir()
    tune.register_env("sleepy", partial(make_env, marker=str(output / "slow")))

    def report(_, row):
        rows.append(row)
        times.append(time.perf_counter())

    fine_tune(config, output.parent / "warm", output, report=report, env="sleepy")
    counted = rows[WARM_UP:]
    mean = lambda key: round(statistics.mean(row[key] for row in counted), 3)  # noqa: E731
    steps = sum(row["num_env_steps"] for row in counted)
    return {
        "steps_per_s": round(steps / (times[-1] - times[WARM_UP - 1])),
        "lag_mean": mean("policy_lag_mean"),
        "lag_max": max(row["policy_lag_max"] for row in counted),
        "dropped": rows[-1]["num_episodes_dropped"],
        "learner_idle": mean("learner_idle_fraction"),
        "simulator_idle": mean("simulator_idle_fraction"),
        "seconds_learn": mean("seconds_learn"),
        "seconds_sample": mean("seconds_sample"),
    }


if __name__ == "__main__":
    main()
