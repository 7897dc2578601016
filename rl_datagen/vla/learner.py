"""The training loop of the built-in VLA: the same for one process and for many."""

# Legend: B batch.

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rl_datagen.config import SmallVlaConfig
from rl_datagen.core.seeding import derive_seed
from rl_datagen.data.schema import CAMERAS
from rl_datagen.policy.supervised import Row, SupervisedLearner
from rl_datagen.vla.augment import augment
from rl_datagen.vla.frames import Frames
from rl_datagen.vla.language import Embeddings
from rl_datagen.vla.network import SmallVla

METRICS = ("loss", "grad_norm", "lr", "samples_per_second")


@dataclass(frozen=True)
class Place:
    """Where a process stands among those that train together.

    Attributes:
        rank: Its number.
        num_workers: How many there are.
        device: Where it computes.
        wrap: Makes the network sum its gradients over all of them.
    """

    rank: int = 0
    num_workers: int = 1
    device: str = "cpu"
    wrap: Callable[[nn.Module], nn.Module] = lambda network: network


def make_learner(network: SmallVla, config: SmallVlaConfig, place: Place) -> SupervisedLearner:
    """Returns what trains a network, which moves to the process's device.

    Args:
        network: What learns.
        config: Hyper-parameters.
        place: Where this process stands.
    """
    loss = place.wrap(network.to(place.device).train())
    advice = "lower model.lr, or look for NaN in the datasets"
    return SupervisedLearner(network, config, loss, advice=advice)


def fit(
    learner: SupervisedLearner,
    config: SmallVlaConfig,
    place: Place,
    frames: Frames,
    embeddings: Embeddings,
    seed: int,
    checkpoint: Path,
    *,
    report: Callable[[Row], None] = lambda _: None,
) -> None:
    """Trains to the end, from a checkpoint if there is one.

    Whatever is drawn depends on the seed, the update's number and the process's rank alone, so that
    an interrupted training resumes as if nothing had happened.

    Args:
        learner: What learns.
        config: Batches and augmentation.
        place: Where this process stands.
        frames: What it learns from.
        embeddings: Of every instruction in it.
        seed: Seed of batches, noise and augmentation.
        checkpoint: File that the first process writes now and then and at the end.
        report: Told every 50 updates and at the end; the first process's is.
    """
    if checkpoint.exists():
        learner.load(checkpoint)
    language = torch.stack([embeddings[sentence] for sentence in frames.instructions])
    batches = _Batches(config, frames, language.to(place.device), seed, place)
    begin, number = time.monotonic(), learner.num_updates
    for observation, action, generator in batches.after(number):
        if row := learner.update(observation, action, generator):
            num_samples = (learner.num_updates - number) * config.train_batch_size
            report(row | {"samples_per_second": num_samples / (time.monotonic() - begin)})
            begin, number = time.monotonic(), learner.num_updates
        due = learner.finished or learner.num_updates % config.checkpoint_interval == 0
        if place.rank == 0 and due:
            learner.save(checkpoint)


class _Batches:
    """Batches by number; the next one is made while the present one is learnt from."""

    def __init__(
        self, config: SmallVlaConfig, frames: Frames, language: Tensor, seed: int, place: Place
    ) -> None:
        self._config, self._frames, self._language = config, frames, language
        self._seed, self._place = seed, place

    def after(self, update: int) -> Iterator[tuple[dict[str, Tensor], Tensor, torch.Generator]]:
        """Yields the batches that follow an update."""
        with ThreadPoolExecutor(1) as thread:
            ahead = thread.submit(self._make, update)
            for number in range(update, self._config.num_updates):
                observation, action, instruction = ahead.result()
                ahead = thread.submit(self._make, min(number + 1, self._config.num_updates - 1))
                yield self._finish(observation, action, instruction, number)

    def _make(self, number: int) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        rng = np.random.default_rng(derive_seed("vla", "batch", self._seed, number))
        index = rng.integers(len(self._frames), size=self._config.train_batch_size)
        mine = index[self._place.rank :: self._place.num_workers]
        instruction = torch.from_numpy(self._frames.instruction[mine])
        chunk = self._frames.chunk(mine, self._config.action_horizon)
        observation = self._frames.observation(mine)
        if self._place.device.startswith("cuda"):  # so that it is copied while the GPU computes
            observation = {key: value.pin_memory() for key, value in observation.items()}
        return observation, chunk, instruction

    def _finish(
        self, observation: dict[str, Tensor], action: Tensor, instruction: Tensor, number: int
    ) -> tuple[dict[str, Tensor], Tensor, torch.Generator]:
        device = self._place.device
        generator = torch.Generator(device).manual_seed(
            derive_seed("vla", "noise", self._seed, number, self._place.rank)
        )
        moved = {key: value.to(device, non_blocking=True) for key, value in observation.items()}
        if self._config.augment:
            moved |= {camera: augment(moved[camera], generator) for camera in CAMERAS}
        moved["language"] = self._language[instruction.to(device)]
        return moved, action.to(device), generator
