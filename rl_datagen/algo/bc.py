"""Warm start: behaviour cloning of demonstrated action chunks, Eq. (1) of the paper."""

# Legend: M chunks, B batch, Ta action horizon, Da action dim, T env steps.

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int64, UInt8
from torch import Tensor

from rl_datagen.config import Config, WarmStartConfig
from rl_datagen.core.errors import UserError
from rl_datagen.core.seeding import derive_seed
from rl_datagen.data.normalization import NormStats
from rl_datagen.data.schema import CAMERAS
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.policy import ChunkPolicy, make_policy
from rl_datagen.policy.augment import shift_images
from rl_datagen.policy.supervised import SupervisedLearner
from rl_datagen.runtime.device import torch_device
from rl_datagen.tasks import get_task

Report = Callable[[int, dict[str, Any]], None]
"""Called with the number of finished updates or iterations and what was measured."""

_SAVE_INTERVAL_S = 120.0  # with images, cloning takes hours
_NUM_HELD_OUT_DRAWS = 4  # noise levels per held-out chunk: the loss varies a lot over them


@dataclass(frozen=True)
class Chunks:
    """Demonstrated chunks.

    Attributes:
        observation: What was seen at the beginning of each chunk, by key, ``[M, ...]``.
        action: What was done, in simulator units.
    """

    observation: dict[str, Tensor]
    action: Float[Tensor, "M Ta Da"]

    def __len__(self) -> int:
        return len(self.action)

    def take(self, index: Int[Tensor, " B"]) -> "Chunks":
        """Returns the chunks at ``index``."""
        return Chunks({k: v[index] for k, v in self.observation.items()}, self.action[index])

    def to(self, device: str) -> "Chunks":
        """Returns the same on another device."""
        return Chunks(
            {k: v.to(device) for k, v in self.observation.items()}, self.action.to(device)
        )


def make_chunks(trajectories: Sequence[Trajectory], keys: Sequence[str], config: Config) -> Chunks:
    """Cuts episodes into chunks for a policy.

    In state mode a chunk begins at every env step. In pixel mode, where a frame is dear, an
    episode gives the frames of one policy's decisions, and the next episode those in between.

    A chunk that runs over the end of its episode repeats the last action: the demonstration ends
    at success, and a policy that has not succeeded there should keep doing what made it.

    Args:
        trajectories: At least one episode.
        keys: Observations to keep; images are made by replay.
        config: ``policy``, and in pixel mode ``task`` and ``sim``, are read.
    """
    pixels = config.policy.mode == "pixel"
    parts: list[dict[str, np.ndarray]] = []
    for number, trajectory in enumerate(trajectories):
        begins = np.arange(len(trajectory))
        if pixels:
            steps = config.policy.action_steps
            begins = begins[(begins == 0) | (begins % steps == number % steps)]
        part = {key: getattr(trajectory, key)[begins] for key in keys if key not in CAMERAS}
        part["action"] = _windows(trajectory.action, config.policy.action_horizon)[begins]
        parts.append(part | (_images(trajectory, begins, config) if pixels else {}))
    joined = {key: torch.from_numpy(np.concatenate([p[key] for p in parts])) for key in parts[0]}
    return Chunks({key: joined[key] for key in keys}, joined["action"])


def _images(
    trajectory: Trajectory, begins: Int64[np.ndarray, " M"], config: Config
) -> dict[str, UInt8[np.ndarray, "M H W 3"]]:
    from rl_datagen.sim import load_scene, replay  # state mode needs no simulator here

    wanted = set(begins.tolist())
    scene = load_scene(get_task(config.task), **config.sim.scene())
    frames = [
        simulator.images(config.policy.image_size, config.policy.rendering)
        for step, simulator in enumerate(replay(trajectory, scene))
        if step in wanted
    ]
    return {name: np.stack([frame[name] for frame in frames]) for name in CAMERAS}


def warm_start(
    trajectories: Sequence[Trajectory],
    config: Config,
    *,
    ignored: Bool[np.ndarray, " Do"] | None = None,
    positions: Bool[np.ndarray, " Do"] | None = None,
    initial: tuple[ChunkPolicy, NormStats] | None = None,
    report: Report | None = None,
    checkpoint: Path | None = None,
) -> tuple[ChunkPolicy, NormStats, dict[str, float]]:
    """Clones demonstrations and returns the policy with averaged weights.

    It trains on a GPU if ``algo.num_gpus_per_learner`` asks for one.

    Args:
        trajectories: Successful episodes of one task.
        config: ``policy``, ``warm_start`` and ``seed`` are read.
        ignored: Entries of the object state that the policy is not to see.
        positions: Entries of the object state that are positions relative to the hand, which the
            policy is to tell apart finely.
        initial: Policy to begin with, which is left as it is, and its statistics, which stay its
            own; None: a new one.
        report: Told ``train_loss``, ``held_out_loss`` (of the averaged weights) and ``lr`` every
            50 updates and at the end.
        checkpoint: File to keep the state of learning in every few minutes, and to resume from if
            it is there; removed at the end. None: none is kept.

    Returns:
        The policy, the statistics it was built with, and the last reported metrics.

    Raises:
        UserError: There is no episode to learn from.
    """
    settings = config.warm_start
    training, held_out = _split(trajectories, settings.held_out_fraction, config.seed)
    stats = NormStats.from_trajectories(training)
    if ignored is not None:
        stats = stats.ignoring("object_state", ignored)
    if positions is not None:
        stats = stats.with_positions("object_state", positions)
    policy, stats = _continued(*initial, stats) if initial else (_new_policy(config, stats), stats)
    keys = policy.observation_keys
    device = torch_device(config.algo.num_gpus_per_learner, "algo.num_gpus_per_learner")
    metrics = _train(
        policy.to(device),
        make_chunks(training, keys, config),
        make_chunks(held_out, keys, config) if held_out else None,
        settings,
        torch.Generator(device).manual_seed(derive_seed("bc", "batches", config.seed)),
        report,
        checkpoint,
    )
    return policy.cpu().eval(), stats, metrics


def _new_policy(config: Config, stats: NormStats) -> ChunkPolicy:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("bc", "weights", config.seed))
        return make_policy(config.policy, stats, config.algo.precision)


def _continued(
    policy: ChunkPolicy, stats: NormStats, found: NormStats
) -> tuple[ChunkPolicy, NormStats]:
    """Returns a copy of a policy and its statistics, if it can see what was ``found``."""
    if (theirs := stats.observation_sizes) != (ours := found.observation_sizes):
        raise UserError(
            f"warm_start.expert observes {theirs} numbers and this task has {ours}: its scene has "
            "other objects. Give the expert of a task with as many, or leave the setting out to "
            "begin with a new network."
        )
    return copy.deepcopy(policy), stats


def clone_own(
    policy: ChunkPolicy,
    trajectories: Sequence[Trajectory],
    config: Config,
    stream: str,
    *,
    report: Report | None = None,
) -> ChunkPolicy:
    """Returns a copy of a policy that has cloned episodes on top; its statistics stay.

    Args:
        policy: Left as it is.
        trajectories: Successful episodes of its task.
        config: ``polish``, ``warm_start`` and ``seed`` are read.
        stream: Names its randomness.
        report: As for ``warm_start``.
    """
    settings = config.warm_start.model_copy(
        update={
            "num_updates": config.polish.num_updates,
            "lr": config.polish.lr,
            "num_lr_warmup_updates": min(
                config.warm_start.num_lr_warmup_updates, config.polish.num_updates // 10
            ),
        }
    )
    device = torch_device(config.algo.num_gpus_per_learner, "algo.num_gpus_per_learner")
    learner = copy.deepcopy(policy).train().to(device)
    chunks = make_chunks(trajectories, policy.observation_keys, config)
    seed = derive_seed("bc", stream, config.seed)
    _train(learner, chunks, None, settings, torch.Generator(device).manual_seed(seed), report)
    return learner.cpu().eval()


def _train(
    policy: ChunkPolicy,
    chunks: Chunks,
    held_out: Chunks | None,
    settings: WarmStartConfig,
    generator: torch.Generator,
    report: Report | None,
    checkpoint: Path | None = None,
) -> dict[str, float]:
    device = str(generator.device)
    advice = "lower warm_start.lr, or look for NaN in the demonstrations"
    learner = SupervisedLearner(policy, settings, policy.loss, advice=advice, generator=generator)
    if checkpoint:
        learner.load(checkpoint)
    saved = time.monotonic()
    size = min(settings.train_batch_size, len(chunks))
    metrics: dict[str, float] = {}
    while not learner.finished:
        index = torch.randint(len(chunks), (size,), generator=generator, device=device)
        batch = chunks.take(index.cpu()).to(device)
        observation = _shifted(batch.observation, policy, generator)
        if row := learner.update(observation, batch.action, generator):
            metrics = {"train_loss": row["loss"], "lr": row["lr"]}
            if held_out:
                with learner.averaged():
                    metrics["held_out_loss"] = _held_out_loss(policy, held_out.to(device))
            if report:
                report(learner.num_updates, metrics)
        if checkpoint and not learner.finished and time.monotonic() - saved > _SAVE_INTERVAL_S:
            learner.save(checkpoint)
            saved = time.monotonic()
    learner.finish()
    if checkpoint:
        learner.remove(checkpoint)
    return metrics


def _shifted(
    observation: dict[str, Tensor], policy: ChunkPolicy, generator: torch.Generator
) -> dict[str, Tensor]:
    most = policy.config.random_shift
    cameras = [key for key in observation if most and key in CAMERAS]
    return observation | {c: shift_images(observation[c], most, generator) for c in cameras}


def _held_out_loss(policy: ChunkPolicy, held_out: Chunks) -> float:
    """Error on held-out chunks, with the same noise every time it is asked."""
    generator = torch.Generator(held_out.action.device).manual_seed(0)
    with torch.inference_mode():
        losses = [
            policy.loss(held_out.observation, held_out.action, generator)
            for _ in range(_NUM_HELD_OUT_DRAWS // policy.num_draws)
        ]
    return torch.stack(losses).mean().item()


def _split(
    trajectories: Sequence[Trajectory], held_out_fraction: float, seed: int
) -> tuple[list[Trajectory], list[Trajectory]]:
    """Keeps whole episodes apart; a lone episode is trained on."""
    order = np.random.default_rng(derive_seed("bc", "split", seed)).permutation(len(trajectories))
    num = min(round(held_out_fraction * len(trajectories)), len(trajectories) - 1)
    shuffled = [trajectories[i] for i in order]
    return shuffled[max(num, 0) :], shuffled[: max(num, 0)]


def _windows(action: Float32[np.ndarray, "T Da"], length: int) -> Float32[np.ndarray, "T Ta Da"]:
    index = np.arange(len(action))[:, None] + np.arange(length)
    return action[np.minimum(index, len(action) - 1)]
