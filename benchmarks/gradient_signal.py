"""Is there anything to learn from an iteration, and at which learning rate?

What it shows: a warm start samples episodes; half of them train a critic and the policy, the other
half judge. First how well the policy gradients of the two halves agree (cosine), then what one pass
over the first half at several learning rates gains on the second: the first-order gain per episode,
the mean of log-density change times advantage (GAE with lambda 1, normalised), with its z-score.

How to run it (a warm start is made by ``rl-datagen train``)::

    python benchmarks/gradient_signal.py outputs/experts/<task>/<name>-warm-start [--episodes 1024]

Results to expect: agreement well above 0, a gain whose z-score is largest near the learning rate to
choose, and the KL divergence it costs; the last line is ``RESULT`` and a JSON object.
"""

import argparse
import copy
import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rl_datagen.algo.losses import chunk_gae, policy_loss, value_loss
from rl_datagen.policy import load_policy
from rl_datagen.policy.base import ChunkPolicy
from rl_datagen.policy.critic import Critic
from rl_datagen.sim import LiberoVectorEnv
from rl_datagen.tasks import get_task

NUM_ENVS = 48
GAMMA, LAMBDA, GAMMA_DENOISING = 0.99, 0.95, 0.99
MINIBATCH_SIZE = 5000
LEARNING_RATES = (1e-4, 3e-5, 1e-5, 3e-6)


@dataclass
class Episode:
    """One sampled episode: decisions, and the observation after the last."""

    observations: list[dict[str, np.ndarray]]
    chains: list[np.ndarray]
    log_probs: list[np.ndarray]
    success: bool
    num_env_steps: int


@dataclass
class Batch:
    """Decisions of some episodes, one row each; ``episode`` says whose."""

    observation: dict[str, Tensor]
    chain: Tensor
    log_prob: Tensor
    executed: Tensor
    advantage: Tensor
    episode: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description="Gradient agreement and gain per learning rate.")
    parser.add_argument("expert")
    parser.add_argument("--episodes", type=int, default=1024)
    arguments = parser.parse_args()
    policy, config, stats = load_policy(arguments.expert)
    episodes = sample(policy, config, arguments.episodes)
    success = float(np.mean([episode.success for episode in episodes]))
    print(f"{len(episodes)} episodes, success {success:.1%}")
    halves = episodes[::2], episodes[1::2]
    critic = fit_critic(Critic(config.algo.critic_width, stats), halves[0])
    train, unbiased = decisions(halves[0], critic, LAMBDA), decisions(halves[1], critic, 1.0)
    gradients = [gradient(policy, batch) for batch in (train, decisions(halves[1], critic, LAMBDA))]
    agreement = float(torch.nn.functional.cosine_similarity(*gradients, dim=0))
    print(f"cosine of the two halves' gradients: {agreement:.2f}")
    result = {"episodes": len(episodes), "success": success, "agreement": agreement, "gains": {}}
    for lr in LEARNING_RATES:
        learnt = improve(policy, train, lr)
        gain, z, kl = judge(learnt, unbiased)
        overfit = judge(learnt, train)[0]
        print(
            f"lr {lr:.0e}: gain {gain:.3f} (z {z:.1f}), on its own half {overfit:.2f}, KL {kl:.4f}"
        )
        result["gains"][f"{lr:.0e}"] = {"gain": gain, "z": z, "kl": kl}
    print("RESULT", json.dumps(result))


def sample(policy: ChunkPolicy, config, num_episodes: int) -> list[Episode]:
    """Runs complete episodes with exploration noise, from newly drawn init states."""
    env = LiberoVectorEnv(
        get_task(config.task), NUM_ENVS, config.policy.action_steps, num_episodes=num_episodes
    )
    generator = torch.Generator().manual_seed(0)
    seen, _ = env.reset(seed=0)
    rows, ended = [[] for _ in range(NUM_ENVS)], np.zeros(NUM_ENVS, bool)
    episodes: list[Episode] = []
    while len(episodes) < num_episodes:
        observation = {key: torch.from_numpy(np.asarray(value)) for key, value in seen.items()}
        chain, log_prob = policy.explore(observation, policy.draw_noise(NUM_ENVS, generator))
        after, _, terminated, truncated, info = env.step(policy.actions(chain).numpy())
        for i in np.flatnonzero(~ended).tolist():  # the step after an end is the reset
            rows[i].append((_row(seen, i), chain[i].numpy(), log_prob[i].numpy()))
            if terminated[i] or truncated[i]:
                before, chains, log_probs = (list(column) for column in zip(*rows[i], strict=True))
                length = int(info["num_env_steps"][i])
                states = [*before, _row(after, i)]
                episodes.append(Episode(states, chains, log_probs, bool(terminated[i]), length))
                rows[i] = []
        seen, ended = after, terminated | truncated
    env.close()
    return episodes


def _row(observation: dict[str, np.ndarray], index: int) -> dict[str, np.ndarray]:
    return {key: np.array(value[index]) for key, value in observation.items()}


def _stack(rows: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
    return {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}


def advantages(episode: Episode, critic: Critic, lambda_: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the episode's advantages and the critic's targets; a time limit is worth nothing."""
    with torch.no_grad():
        values = critic(_stack(episode.observations)).numpy()
    rewards = np.zeros(len(episode.chains), np.float32)
    rewards[-1] = episode.success
    advantage = chunk_gae(rewards, values, True, GAMMA, lambda_)
    return advantage, advantage + values[:-1]


def fit_critic(critic: Critic, episodes: list[Episode]) -> Critic:
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(critic.parameters(), 1e-3)
    states = _stack([row for episode in episodes for row in episode.observations[:-1]])
    for _ in range(6):  # targets follow the critic
        targets = torch.from_numpy(
            np.concatenate([advantages(episode, critic, LAMBDA)[1] for episode in episodes])
        )
        for _ in range(10):
            for rows in torch.randperm(len(targets)).split(512):
                predicted = critic({key: value[rows] for key, value in states.items()})
                optimizer.zero_grad()
                value_loss(predicted, targets[rows]).backward()
                optimizer.step()
    return critic


def decisions(episodes: list[Episode], critic: Critic, lambda_: float) -> Batch:
    advantage = np.concatenate([advantages(e, critic, lambda_)[0] for e in episodes])
    advantage = (advantage - advantage.mean()) / advantage.std()
    log_prob = torch.from_numpy(np.concatenate([np.stack(e.log_probs) for e in episodes]))
    executed = torch.ones(len(advantage), log_prob.shape[2], dtype=torch.bool)
    lengths = np.array([len(episode.chains) for episode in episodes])
    for end, episode in zip(np.cumsum(lengths), episodes, strict=True):
        done = episode.num_env_steps - (len(episode.chains) - 1) * log_prob.shape[2]
        executed[end - 1, done:] = False
    return Batch(
        _stack([row for episode in episodes for row in episode.observations[:-1]]),
        torch.from_numpy(np.concatenate([np.stack(e.chains) for e in episodes])),
        log_prob,
        executed,
        torch.from_numpy(advantage.astype(np.float32)),
        np.repeat(np.arange(len(episodes)), lengths),
    )


def loss(policy: ChunkPolicy, batch: Batch, pairs: Tensor, *, clip: bool = True) -> Tensor:
    rows, position = pairs // policy.num_chain_steps, pairs % policy.num_chain_steps
    observation = {key: value[rows] for key, value in batch.observation.items()}
    before, after = batch.chain[rows, position], batch.chain[rows, position + 1]
    k = policy.num_chain_steps - position
    return policy_loss(
        policy.log_prob(observation, before, after, k),
        batch.log_prob[rows, position],
        batch.executed[rows],
        batch.advantage[rows],
        k,
        num_denoising_steps=policy.num_chain_steps,
        gamma_denoising=GAMMA_DENOISING,
        clip_base=0.001 if clip else 1e9,
        clip_param=0.01 if clip else 1e9,
    ).loss


def gradient(policy: ChunkPolicy, batch: Batch) -> Tensor:
    policy.zero_grad()
    pairs = torch.arange(len(batch.advantage) * policy.num_chain_steps)
    for part in pairs.split(MINIBATCH_SIZE):
        (loss(policy, batch, part, clip=False) * len(part) / len(pairs)).backward()
    return torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None])


def improve(policy: ChunkPolicy, batch: Batch, lr: float) -> ChunkPolicy:
    """Returns the policy after one pass over all (decision, denoising step) pairs."""
    policy = copy.deepcopy(policy)
    optimizer = torch.optim.Adam(policy.parameters(), lr)
    generator = torch.Generator().manual_seed(0)
    num_pairs = len(batch.advantage) * policy.num_chain_steps
    for pairs in torch.randperm(num_pairs, generator=generator).split(MINIBATCH_SIZE):
        optimizer.zero_grad()
        loss(policy, batch, pairs).backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
    return policy


def judge(policy: ChunkPolicy, batch: Batch) -> tuple[float, float, float]:
    """Returns first-order gain per episode, its z-score, and the KL of the worst denoising step."""
    changes = []
    with torch.no_grad():
        for rows in torch.arange(len(batch.advantage)).split(2000):
            observation = {key: value[rows] for key, value in batch.observation.items()}
            change = policy.chain_log_prob(observation, batch.chain[rows]) - batch.log_prob[rows]
            changes.append((change * batch.executed[rows][:, None, :, None]).sum((2, 3)))
    change = torch.cat(changes)
    gains = np.bincount(batch.episode, (change.sum(1) * batch.advantage).numpy())
    kl = (change.exp() - 1 - change).mean(0).max()
    return float(gains.mean()), float(gains.mean() / gains.std() * len(gains) ** 0.5), float(kl)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
