"""The training loop of the built-in VLA: the same for one process and for many."""

# Legend: B batch.

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from rl_datagen.config import SmallVlaConfig
from rl_datagen.core.errors import UserError
from rl_datagen.core.seeding import derive_seed
from rl_datagen.core.storage import atomic_path
from rl_datagen.data.schema import CAMERAS
from rl_datagen.vla.augment import augment
from rl_datagen.vla.frames import Frames
from rl_datagen.vla.language import Embeddings
from rl_datagen.vla.network import SmallVla

Row = dict[str, Any]
"""A row of the learning curve: ``iteration`` (gradient steps), ``loss``, ``grad_norm``, ``lr``."""

METRICS = ("loss", "grad_norm", "lr", "samples_per_second")
_REPORT_INTERVAL = 50  # updates


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


class Learner:
    """A network, its optimizer and its average, which can be stored and go on.

    Args:
        config: Sizes and hyper-parameters.
        network: What learns; moved to the device.
        place: Where this process stands.
    """

    def __init__(self, config: SmallVlaConfig, network: SmallVla, place: Place) -> None:
        self.config, self.place, self.num_updates = config, place, 0
        self.curve: list[Row] = []
        self._recent: list[Tensor] = []  # loss and gradient norm of updates not yet in the curve
        self.network = network.to(place.device).train()
        self._wrapped = place.wrap(self.network)
        parameters = list(self.network.parameters())
        self._optimizer = torch.optim.AdamW(
            parameters, config.lr, weight_decay=config.weight_decay, fused=True
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda update: self._lr_factor(update)
        )
        self._ema = EMAModel(parameters, decay=config.ema_decay, use_ema_warmup=True, power=0.75)

    def update(
        self, observation: dict[str, Tensor], action: Tensor, generator: torch.Generator
    ) -> Row | None:
        """Takes a gradient step; returns a row of the curve every 50 updates and at the end."""
        self._optimizer.zero_grad()
        loss = self._wrapped(observation, action, generator)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.grad_clip)
        self._optimizer.step()
        self._schedule.step()
        self._ema.step(self.network.parameters())
        self.num_updates += 1
        self._recent.append(torch.stack([loss.detach(), norm]))
        if self.num_updates % _REPORT_INTERVAL and not self.finished:
            return None
        mean = torch.stack(self._recent).mean(0).tolist()
        row = {
            "iteration": self.num_updates,
            "loss": mean[0],
            "grad_norm": mean[1],
            "lr": self._schedule.get_last_lr()[0],
        }
        _check_finite(row["loss"], self.num_updates)
        self._recent = []
        self.curve.append(row)
        return row

    @property
    def finished(self) -> bool:
        """Whether it has learnt to the end."""
        return self.num_updates >= self.config.num_updates

    def averaged(self) -> SmallVla:
        """Returns the network with its averaged weights, which is what acts; learning is over."""
        self._ema.copy_to(self.network.parameters())
        return self.network.cpu().eval()

    def save(self, path: Path) -> None:
        """Writes everything that ``load`` needs."""
        state = {
            "num_updates": self.num_updates,
            "curve": self.curve,
            "recent": self._recent,
            **{name: part.state_dict() for name, part in self._parts().items()},
        }
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def load(self, path: Path) -> None:
        """Goes on from what ``save`` wrote."""
        state = torch.load(path, map_location=self.place.device, weights_only=True)
        self.num_updates, self.curve = state["num_updates"], state["curve"]
        self._recent = state["recent"]
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "optimizer": self._optimizer,
            "schedule": self._schedule,
            "ema": self._ema,
        }

    def _lr_factor(self, update: int) -> float:
        """Share of the peak learning rate: linear warm-up, then cosine to zero."""
        warmup = self.config.num_lr_warmup_updates
        if update < warmup:
            return (update + 1) / warmup
        left = max(1, self.config.num_updates - warmup)
        return 0.5 * (1 + math.cos(math.pi * (update - warmup) / left))


def fit(
    learner: Learner,
    frames: Frames,
    embeddings: Embeddings,
    seed: int,
    checkpoint: Path,
    *,
    report: Callable[[Row], None] = lambda _: None,
) -> None:
    """Trains to the end, from a checkpoint if there is one.

    Whatever is drawn depends on the seed, the update's number and the process's rank alone, so that
    an interrupted training goes on as if nothing had happened.

    Args:
        learner: What learns.
        frames: What it learns from.
        embeddings: Of every instruction in it.
        seed: Seed of batches, noise and augmentation.
        checkpoint: File that the first process writes now and then and at the end.
        report: Told every 50 updates and at the end; the first process's is.
    """
    if checkpoint.exists():
        learner.load(checkpoint)
    config, place = learner.config, learner.place
    language = torch.stack([embeddings[sentence] for sentence in frames.instructions])
    batches = _Batches(config, frames, language.to(place.device), seed, place)
    begin, number = time.monotonic(), learner.num_updates
    for observation, action, generator in batches.after(number):
        row = learner.update(observation, action, generator)
        if row:
            num_samples = (learner.num_updates - number) * config.train_batch_size
            report(row | {"samples_per_second": num_samples / (time.monotonic() - begin)})
            begin, number = time.monotonic(), learner.num_updates
        due = learner.finished or learner.num_updates % config.checkpoint_interval == 0
        if place.rank == 0 and due:
            learner.save(checkpoint)


def _check_finite(loss: float, update: int) -> None:
    if not math.isfinite(loss):
        raise UserError(
            f"The VLA's loss is {loss} after {update} updates: lower model.lr, or look for NaN in "
            "the datasets."
        )


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
        return self._frames.observation(mine), chunk, instruction

    def _finish(
        self, observation: dict[str, Tensor], action: Tensor, instruction: Tensor, number: int
    ) -> tuple[dict[str, Tensor], Tensor, torch.Generator]:
        device = self._place.device
        generator = torch.Generator(device).manual_seed(
            derive_seed("vla", "noise", self._seed, number, self._place.rank)
        )
        moved = {key: value.to(device) for key, value in observation.items()}
        if self._config.augment:
            moved |= {camera: augment(moved[camera], generator) for camera in CAMERAS}
        moved["language"] = self._language[instruction.to(device)]
        return moved, action.to(device), generator
