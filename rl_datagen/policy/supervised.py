"""Supervised learning of a network: the loop that warm starts, polishing and the VLA share."""

import copy
import logging
import math
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rl_datagen.config import SmallVlaConfig, WarmStartConfig
from rl_datagen.core.errors import UserError, first_line
from rl_datagen.policy.state import load_state, save_state

logger = logging.getLogger(__name__)

Row = dict[str, Any]
"""A row of the learning curve: ``iteration`` (gradient steps), ``loss``, ``grad_norm``, ``lr``."""

_REPORT_INTERVAL = 50  # updates


SupervisedSettings = WarmStartConfig | SmallVlaConfig
"""What has the hyper-parameters of supervised learning."""


def lr_factor(update: int, settings: SupervisedSettings) -> float:
    """Returns the share of the peak learning rate: linear warm-up, then cosine to zero.

    diffusers' schedule of this name begins at zero, which wastes the first update.
    """
    if update < settings.num_lr_warmup_updates:
        return (update + 1) / settings.num_lr_warmup_updates
    left = max(1, settings.num_updates - settings.num_lr_warmup_updates)
    return 0.5 * (1 + math.cos(math.pi * (update - settings.num_lr_warmup_updates) / left))


class SupervisedLearner:
    """A network, its optimizer and the average of its weights, which can be stored and resumed.

    Args:
        network: What learns, where it computes; put into training mode.
        settings: Hyper-parameters.
        loss: Of a batch, whatever that is; of the network, or of what wraps it.
        advice: What to do if the loss is not finite, the end of a sentence.
        generator: Where the caller's randomness comes from, which then resumes too; None: the
            caller looks after that.

    Attributes:
        num_updates: Gradient steps taken.
        curve: Rows so far.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: SupervisedSettings,
        loss: Callable[..., Tensor],
        *,
        advice: str,
        generator: torch.Generator | None = None,
    ) -> None:
        from diffusers.training_utils import (
            EMAModel,
        )  # seconds: it imports every model of diffusers

        self.settings, self.num_updates = settings, 0
        self.curve: list[Row] = []
        self._is_whole = False  # whether the newest checkpoint is this one's
        self._recent: list[Tensor] = []  # loss and gradient norm of updates not yet in the curve
        self._network, self._loss, self._advice = network.train(), loss, advice
        self._generator = generator
        parameters = list(network.parameters())
        self._optimizer = torch.optim.AdamW(
            parameters, settings.lr, weight_decay=settings.weight_decay, fused=True
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda update: lr_factor(update, settings)
        )
        self._ema = EMAModel(parameters, decay=settings.ema_decay, use_ema_warmup=True, power=0.75)

    @property
    def finished(self) -> bool:
        """Whether it has learnt to the end."""
        return self.num_updates >= self.settings.num_updates

    def update(self, *batch: Any) -> Row | None:
        """Takes a gradient step; returns a row of the curve every 50 updates and at the end.

        Raises:
            UserError: The loss is not finite.
        """
        self._optimizer.zero_grad()
        loss = self._loss(*batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), self.settings.grad_clip)
        self._optimizer.step()
        self._schedule.step()
        self._ema.step(self._network.parameters())
        self.num_updates += 1
        self._recent.append(torch.stack([loss.detach(), norm]))
        if self.num_updates % _REPORT_INTERVAL and not self.finished:
            return None
        return self._new_row()

    def _new_row(self) -> Row:
        loss, norm = torch.stack(self._recent).mean(0).tolist()
        if not math.isfinite(loss):
            raise UserError(f"The loss is {loss} after {self.num_updates} updates: {self._advice}.")
        self._recent = []
        lr = self._schedule.get_last_lr()[0]
        row = {"iteration": self.num_updates, "loss": loss, "grad_norm": norm, "lr": lr}
        self.curve.append(row)
        return row

    @contextmanager
    def averaged(self) -> Generator[None]:
        """Gives the network its averaged weights for a while."""
        parameters = list(self._network.parameters())
        self._ema.store(parameters)
        self._ema.copy_to(parameters)
        yield
        self._ema.restore(parameters)

    def finish(self) -> None:
        """Gives the network its averaged weights, which are what acts; learning is over."""
        self._ema.copy_to(self._network.parameters())
        self._network.eval()

    def save(self, path: Path) -> None:
        """Writes everything that ``load`` needs; the state before stays beside it."""
        for each in (path, _before(path)):
            if each.is_dir():  # nothing of ours
                shutil.rmtree(each)
        if self._is_whole:
            path.replace(_before(path))
        save_state(path, self._state())
        self._is_whole = True

    def remove(self, path: Path) -> None:
        """Removes what ``save`` wrote."""
        for each in (path, _before(path)):
            each.unlink(missing_ok=True)

    def load(self, path: Path) -> None:
        """Goes on from what ``save`` wrote; from the state before if it is damaged, or the start.

        Which of them it is, is logged.
        """
        device, start = next(self._network.parameters()).device, copy.deepcopy(self._state())
        for each in filter(os.path.exists, (path, _before(path))):
            try:
                self._set(load_state(each, device))
            except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
                self._set(start)
                logger.warning(
                    "damaged or not this release's, resuming from the one before or the start "
                    "checkpoint=%s error=%s",
                    each,
                    first_line(error),
                )
                continue
            self._is_whole = each == path
            logger.info("restored num_updates=%d path=%s", self.num_updates, each)
            return

    def _state(self) -> dict[str, Any]:
        return {
            "num_updates": self.num_updates,
            "curve": self.curve,
            "recent": self._recent,
            "generator": None if self._generator is None else self._generator.get_state(),
            **{name: part.state_dict() for name, part in self._parts().items()},
        }

    def _set(self, state: dict[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.num_updates, self.curve = state["num_updates"], state["curve"]
        self._recent = state["recent"]
        if self._generator is not None:
            self._generator.set_state(state["generator"].cpu())

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self._network,
            "optimizer": self._optimizer,
            "schedule": self._schedule,
            "ema": self._ema,
        }


def _before(path: Path) -> Path:
    return path.with_name(f"{path.stem}-before{path.suffix}")
