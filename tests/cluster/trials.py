"""Trials that each hold a core until all have a node; run by test_autoscaling.

``python trials.py ADDRESS STORAGE NUM_TRIALS`` ends with 0 if every trial has reported.
"""

import sys
import time

import ray
from ray import tune


def train(config):
    """Ends when there is a node for each trial beside the head."""
    while sum(node["Alive"] for node in ray.nodes()) <= config["num_trials"]:
        time.sleep(0.5)
    tune.report({"number": config["number"]})


if __name__ == "__main__":
    address, storage, num_trials = sys.argv[1], sys.argv[2], int(sys.argv[3])
    ray.init(address=address)
    numbers = list(range(num_trials))
    results = tune.Tuner(
        tune.with_resources(train, tune.PlacementGroupFactory([{"CPU": 1}])),
        param_space={"number": tune.grid_search(numbers), "num_trials": num_trials},
        tune_config=tune.TuneConfig(max_concurrent_trials=num_trials),
        run_config=tune.RunConfig(storage_path=storage, name="trials", verbose=0),
    ).fit()
    sys.exit(sorted(result.metrics["number"] for result in results) != numbers)
