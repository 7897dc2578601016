"""A campaign whose stages take a moment and leave a line each; also a program, to be killed.

``python -m tests.campaign.tiny [toy] [--retry-failed] KEY=VALUE...`` runs it; with ``toy`` the
expert learns in the toy environment.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import ray
from ray import cloudpickle, tune

import tests.toy as toy
from rl_datagen.algo.bc import warm_start
from rl_datagen.algo.fine_tune import fine_tune
from rl_datagen.algo.selection import Score
from rl_datagen.campaign.run import run_campaign
from rl_datagen.config import CampaignConfig, load_config
from rl_datagen.core.log import setup_logging
from rl_datagen.policy import ChunkActor, save_expert

SMALL = (
    "policy.action_horizon=4",
    "policy.action_steps=4",
    "policy.encoder_width=16",
    "policy.unet_channels=[16]",
    "policy.num_denoising_steps=2",
    "sim.max_episode_steps=20",
    "warm_start.num_updates=10",
    "algo.num_iterations=4",
    "algo.num_env_runners=1",
    "algo.num_envs_per_env_runner=4",
    "algo.num_episodes_per_iteration=8",
    "algo.num_critic_epochs=1",
    "algo.critic_width=16",
    "algo.evaluation_interval=2",
    "algo.target_kl=100",
)
EVALUATION = {"num_successes": 3, "num_episodes": 4, "episode_len_mean": 11.5}


def tiny_config(root, *settings, task="libero_goal/0-2"):
    arguments = [*SMALL, f"output_dir={root}", f"task={task}", "name=tiny", *settings]
    return load_config(arguments, model=CampaignConfig)


def note(run, what):
    """Leaves a line, dies if a test asked for it, and takes a moment."""
    name = run.config.task.replace("/", "-")
    path = Path(run.root, "notes", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"{what} {os.getpid()}\n")
    fault = Path(run.root, "faults", f"{name}-{what}")
    if fault.exists():
        if fault.read_text() == "raise":
            raise RuntimeError("the scene cannot be built\nand more")
        fault.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)


def notes(root, task="libero_goal/0"):
    path = Path(root, "notes", task.replace("/", "-"))
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def demonstrations(run):
    note(run, "demonstrations")
    run.demos.mkdir(parents=True, exist_ok=True)
    (run.demos / "data").write_text("demonstration")
    return {}


def clone(run):
    note(run, "warm_start")
    run.warm_expert.mkdir(parents=True, exist_ok=True)
    (run.warm_expert / "weights.safetensors").write_text("warm")
    return {}


def evaluate(run):
    note(run, "evaluate")
    return dict(EVALUATION)


def learn(run, die_after=None):
    last = run.expert / "checkpoints" / "last.json"
    row = json.loads(last.read_text()) if last.exists() else {}
    stopped = False
    while (done := row.get("iteration", 0)) < run.config.algo.num_iterations:
        if done == die_after:
            raise OSError("gone")
        if stopped := bool(row and run.should_stop(row)):
            break
        note(run, f"iteration{done + 1}")
        row = {
            "iteration": done + 1,
            "num_env_steps_lifetime": 100 * (done + 1),
            "env_steps_per_second": 500.0,
            "success_rate": 0.5,
            "approx_kl": None,
            "unknown": 1,
        }
        last.parent.mkdir(parents=True, exist_ok=True)
        last.write_text(json.dumps(row))
        run.progress.iteration(row)
    (run.expert / "weights.safetensors").write_text("weights")
    return {"stopped": True} if stopped else {}


def clone_toy(run):
    note(run, "warm_start")
    config = run.config
    policy, stats, metrics = warm_start(toy.demonstrations(6), config)
    save_expert(run.warm_expert, policy, config, stats, metrics)
    return {}


def learn_toy(run):
    def report(number, row):
        note(run, f"iteration{number}")
        run.progress.iteration(row)

    metrics = fine_tune(
        run.config,
        run.warm_expert,
        run.expert,
        evaluate=lambda policy, _: Score(
            toy.success_rate(ChunkActor(policy), 8), 8, "undecided", 10.0, 5.0
        ),
        report=report,
        should_stop=run.should_stop,
        env="toy",
    )
    return {"stopped": True} if metrics["stopped"] else {}


TINY = {
    "demonstrations": demonstrations,
    "warm_start": clone,
    "evaluate_before": evaluate,
    "dppo": learn,
    "evaluate_after": evaluate,
}
TOY = {**TINY, "warm_start": clone_toy, "dppo": learn_toy}


def start_ray(num_cpus=6):
    import tests.campaign.tiny as me

    for module in (toy, me):
        cloudpickle.register_pickle_by_value(module)  # workers cannot import tests
    address = os.environ.get("RAY_ADDRESS", "local")
    ray.init(
        address=address,
        num_cpus=num_cpus if address == "local" else None,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    tune.register_env("toy", toy.make_toy_env)


def main(arguments):
    import tests.campaign.tiny as me

    setup_logging()
    start_ray()
    kinds = [word for word in arguments if word in ("toy", "--retry-failed")]
    settings = [word for word in arguments if "=" in word]
    config = load_config([*SMALL, *settings], model=CampaignConfig)
    stages = me.TOY if "toy" in kinds else me.TINY
    run_campaign(config, retry_failed="--retry-failed" in kinds, stages=stages)


if __name__ == "__main__":
    main(sys.argv[1:])
