"""What does learning inside RLlib cost?

What it shows: (decision, denoising step) pairs and critic states per second of our RLlib learner,
from sampled episodes to updated weights, against a plain torch loop of the same losses on the same
batch; then which part of the learner's update takes how long. Both take turns in one run. In pixel
mode also the CPU time per decision of an epoch, when an image is encoded once for each of its
denoising steps, as it was, and when it is encoded once for all of them, as it is.

How to run it::

    python benchmarks/learner.py [--rounds 5] [--device cuda] [--shapes state pixel]
        [--set algo.precision=bf16 algo.compile=true]

On a GPU batches are larger and images are 128 pixels high; ``--set`` overrides settings. On a CPU
that others use too, set OMP_NUM_THREADS=1: CPU time of threads that wait would count.

Results to expect: the last line is ``RESULT`` and a JSON object with ``ratio_state`` and
``ratio_pixel`` (ours over plain, medians over the rounds), both at least 0.85, and with
``encodings`` (CPU milliseconds per decision, ``per_pair`` and ``per_decision``, medians), whose
``ratio`` is at least 3.
"""

import argparse
import json
import logging
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from functools import wraps

from rl_datagen.algo.dppo import to_rllib
from rl_datagen.algo.learner import ITERATION
from rl_datagen.algo.losses import policy_loss, value_loss
from rl_datagen.config import load_config
from rl_datagen.data.normalization import NormStats

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

PROPRIO, OBJECTS = 8, 56  # entries of a typical task's observation
_STATE = ("algo.num_epochs=2", "algo.num_critic_epochs=2")
_PIXEL = (
    *("algo.num_epochs=1", "algo.num_critic_epochs=2"),
    *("policy.encoder=resnet", "policy.unet_channels=[80,160]"),  # the paper's 12 M parameters
)
SHAPES = {
    ("cpu", "state"): (*_STATE, "algo.minibatch_size=2500"),
    ("cpu", "pixel"): (
        *_PIXEL,
        "policy.image_size=84",
        "algo.minibatch_size=40",
        "algo.critic_minibatch_size=32",
    ),
    ("cuda", "state"): (*_STATE, "algo.minibatch_size=5000"),
    ("cuda", "pixel"): (*_PIXEL, "algo.minibatch_size=250"),
}
NUM_EPISODES = {
    ("cpu", "state"): 125,
    ("cpu", "pixel"): 4,
    ("cuda", "state"): 1000,
    ("cuda", "pixel"): 50,
}
NUM_DECISIONS = {"state": 16, "pixel": 8}  # per episode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--shapes", nargs="+", choices=("state", "pixel"), default=("state", "pixel")
    )
    parser.add_argument("--set", nargs="+", default=(), metavar="KEY=VALUE")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("ray").setLevel(logging.ERROR)
    result = {}
    for shape in arguments.shapes:
        result |= compare(shape, arguments.rounds, arguments.device, arguments.set)
    print("RESULT", json.dumps(result))


def compare(shape: str, rounds: int, device: str, overrides: Sequence[str]) -> dict:
    config = load_config(
        [
            *SHAPES[device, shape],
            "algo.num_critic_warmup_iterations=0",
            "algo.target_kl=1e9",
            f"algo.num_gpus_per_learner={int(device == 'cuda')}",
            *overrides,
        ]
    )
    learner = make_learner(config)
    episodes = make_episodes(
        learner.module[DEFAULT_MODULE_ID],
        config,
        NUM_EPISODES[device, shape],
        NUM_DECISIONS[shape],
    )
    columns = {}
    original = learner._make_batch_if_necessary

    def remember(**kwargs):
        batch = original(**kwargs)
        columns.update(batch.policy_batches[DEFAULT_MODULE_ID])
        return batch

    learner._make_batch_if_necessary = remember
    settings = {
        "timesteps": {ITERATION: 0},
        "num_epochs": config.algo.num_epochs,
        "minibatch_size": config.algo.minibatch_size,
    }
    learner.update(episodes=episodes, **settings)  # warms up, and makes the batch
    plain = PlainLoop(learner.module[DEFAULT_MODULE_ID], config, columns)
    plain.update()
    ratios, seconds, encodings = [], [], []
    for number in range(rounds):
        if shape == "pixel":
            encodings.append(cpu_per_decision(learner, episodes, settings))
            print(shape, encodings[-1], flush=True)
        runs = {
            "ours": lambda: learner.update(episodes=episodes, **settings),
            "plain": plain.update,
        }
        order = list(runs) if number % 2 else list(reversed(runs))
        taken = {name: timed(runs[name]) for name in order}
        ratios.append(taken["plain"] / taken["ours"])
        seconds.append(taken["ours"])
        print(shape, {name: round(value, 3) for name, value in taken.items()}, flush=True)
    pairs = len(columns["chain"]) * config.policy.num_denoising_steps * config.algo.num_epochs
    return {
        f"ratio_{shape}": round(statistics.median(ratios), 3),
        f"pairs_per_s_{shape}": round(pairs / statistics.median(seconds), 1),
        f"shares_{shape}": time_shares(learner, episodes, settings),
        **({"encodings": medians(encodings)} if encodings else {}),
    }


def cpu_per_decision(learner, episodes, settings) -> dict[str, float]:
    """CPU milliseconds of an update, all threads, by how often an image is encoded."""
    num = settings["num_epochs"] * sum(len(episode) for episode in episodes)
    found = {}
    for name, whole in (("per_pair", False), ("per_decision", True)):
        learner._whole_chains = whole
        begin = time.process_time()
        learner.update(episodes=episodes, **settings)
        found[name] = 1e3 * (time.process_time() - begin) / num
    return found | {"ratio": found["per_pair"] / found["per_decision"]}


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(row[name] for row in rows), 2) for name in rows[0]}


def timed(function) -> float:
    begin = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def observation_spaces(config) -> dict[str, gym.Space]:
    numbers = lambda n: gym.spaces.Box(-np.inf, np.inf, (n,), np.float32)  # noqa: E731
    spaces = {"proprio": numbers(PROPRIO), "object_state": numbers(OBJECTS)}
    if config.policy.mode == "pixel":
        size = config.policy.image_size
        image = gym.spaces.Box(0, 255, (size, size, 3), np.uint8)
        spaces |= {"agentview": image, "wrist": image}
    return spaces


def make_learner(config):
    sizes = {"proprio": PROPRIO, "object_state": OBJECTS}
    stats = NormStats(
        -np.ones(7, np.float32),
        np.ones(7, np.float32),
        {key: np.zeros(size, np.float32) for key, size in sizes.items()},
        {key: np.ones(size, np.float32) for key, size in sizes.items()},
    )
    rllib = to_rllib(config, stats)
    spec = rllib.get_default_rl_module_spec()
    spec.model_config = rllib.rl_module_spec.model_config
    spec.observation_space = gym.spaces.Dict(observation_spaces(config))
    spec.action_space = gym.spaces.Box(-1, 1, (config.policy.action_steps, 7), np.float32)
    modules = MultiRLModuleSpec(rl_module_specs={DEFAULT_MODULE_ID: spec})
    learner = rllib.learner_class(config=rllib, module_spec=modules)
    learner.build()
    return learner


def make_episodes(module, config, num_episodes: int, num_decisions: int) -> list:
    """Episodes of random observations, acted in by the policy itself."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    num, device = num_episodes * (num_decisions + 1), next(module.parameters()).device
    rows = {key: random_rows(rng, space, num) for key, space in observation_spaces(config).items()}
    parts = []
    with torch.no_grad():
        for begin in range(0, num, 1000):
            part = {
                k: torch.from_numpy(v[begin : begin + 1000]).to(device) for k, v in rows.items()
            }
            parts.append(module.forward_exploration({"obs": part}))
    output = {key: torch.cat([part[key] for part in parts]).cpu().numpy() for key in parts[0]}
    split = lambda columns: {k: np.split(v, num_episodes) for k, v in columns.items()}  # noqa: E731
    rows, output = split(rows), split(output)
    return [
        make_episode(*({k: v[n] for k, v in part.items()} for part in (rows, output)), config, rng)
        for n in range(num_episodes)
    ]


def random_rows(rng, space: gym.Space, num: int) -> np.ndarray:
    if space.dtype == np.uint8:
        return rng.integers(0, 256, (num, *space.shape), np.uint8)
    return rng.normal(size=(num, *space.shape)).astype(np.float32)


def make_episode(observations, output, config, rng) -> SingleAgentEpisode:
    """An episode of all rows but the last, which is its final observation."""
    num = len(output["actions"]) - 1
    success = bool(rng.integers(2))
    steps = num * config.policy.action_steps
    last = {"num_env_steps": steps, "init_state_index": -1, "seed": int(rng.integers(2**31))}
    output = {key: list(value[:-1]) for key, value in output.items()}
    return SingleAgentEpisode(
        observations=[{k: v[row] for k, v in observations.items()} for row in range(num + 1)],
        actions=output.pop("actions"),
        rewards=[0.0] * (num - 1) + [float(success)],
        infos=[{}] * num + [last],
        terminated=success,
        truncated=not success,
        extra_model_outputs=output,
        len_lookback_buffer=0,
    ).to_numpy()


class PlainLoop:
    """The same losses on the same batch, as one would write them without RLlib."""

    def __init__(self, module, config, columns) -> None:
        self.module, self.algo, self.columns = module, config.algo, columns
        self.num_steps = config.policy.num_denoising_steps
        self.whole_chains = config.policy.mode == "pixel"
        self.actor = torch.optim.Adam(module.policy.parameters(), self.algo.lr)
        self.critic = torch.optim.Adam(module.critic.parameters(), self.algo.critic_lr)

    def update(self) -> None:
        num = len(self.columns["chain"])
        for _ in range(self.algo.num_critic_epochs):
            for rows in self.minibatches(num, self.algo.critic_minibatch_size):
                value = self.module.critic(self.observation(rows))
                loss = value_loss(value, self.columns["value_targets"][rows])
                self.step(loss, self.critic, self.module.critic)
        size = self.num_steps if self.whole_chains else 1  # pairs that are drawn at once
        most = self.algo.minibatch_size // size
        for _ in range(self.algo.num_epochs):
            for drawn in self.minibatches(num * self.num_steps // size, most):
                self.step(self.policy_loss(drawn), self.actor, self.module.policy)

    def policy_loss(self, drawn):
        """Of pairs, or of whole chains."""
        columns, policy = self.columns, self.module.policy
        if self.whole_chains:
            log_prob = policy.chain_log_prob(self.observation(drawn), columns["chain"][drawn])
            log_prob = log_prob.flatten(0, 1)
            rows = drawn.repeat_interleave(self.num_steps)
            position = torch.arange(self.num_steps).repeat(len(drawn)).to(rows.device)
        else:
            rows, position = drawn // self.num_steps, drawn % self.num_steps
            chunk, following = (columns["chain"][rows, position + i] for i in (0, 1))
            k = self.num_steps - position
            log_prob = policy.log_prob(self.observation(rows), chunk, following, k)
        result = policy_loss(
            log_prob,
            columns["chain_log_prob"][rows, position],
            columns["executed"][rows],
            columns["advantages"][rows],
            self.num_steps - position,
            num_denoising_steps=self.num_steps,
            gamma_denoising=self.algo.gamma_denoising,
            clip_base=self.algo.clip_base,
            clip_param=self.algo.clip_param,
        )
        result.approx_kl.item()  # for the KL limit
        return result.loss

    def observation(self, rows):
        return {key: value[rows] for key, value in self.columns["obs"].items()}

    def minibatches(self, num: int, size: int):
        order = torch.randperm(num).to(self.columns["chain"].device)
        return order.chunk(-(-num // size))

    def step(self, loss, optimizer, part) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(part.parameters(), self.algo.grad_clip)
        optimizer.step()


def time_shares(learner, episodes, settings) -> dict[str, float]:
    """Returns the share of one update's time by part; what is left over is RLlib's own."""
    seconds: Counter[str] = Counter()

    def watch(owner, name: str, part: str) -> None:
        function = getattr(owner, name)

        @wraps(function)
        def wrapper(*args, **kwargs):
            begin = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                seconds[part] += time.perf_counter() - begin

        setattr(owner, name, wrapper)

    watch(learner, "_make_batch_if_necessary", "batch")
    watch(learner.module, "forward_train", "forward")
    watch(learner, "compute_losses", "loss")
    watch(torch.Tensor, "backward", "backward")
    watch(torch.nn.utils, "clip_grad_norm_", "clip")
    watch(torch.optim.Adam, "step", "step")
    total = timed(lambda: learner.update(episodes=episodes, **settings))
    seconds["rest"] = total - sum(seconds.values())
    return {part: round(value / total, 3) for part, value in seconds.items()}


if __name__ == "__main__":
    main()
