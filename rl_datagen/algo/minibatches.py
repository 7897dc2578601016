"""Minibatches of decisions, of (decision, denoising step) pairs, and of whole chains."""

# Legend: P pairs, B decisions, K denoising steps. Columns are tensors by name, ``DecisionBatch``'s.

import math
from collections.abc import Iterator
from typing import Any

import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from torch import Tensor

from rl_datagen.algo.connectors import EXECUTED
from rl_datagen.algo.rl_module import CHAIN, CHAIN_LOG_PROB, CHUNK, DENOISING_STEP, NEXT_CHUNK


def shuffled(num: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Every index once, in nearly equal parts of at most ``size``."""
    return iter(torch.randperm(num, generator=generator).chunk(math.ceil(num / size)))


def states(columns: dict[str, Any], rows: Tensor) -> dict[str, Any]:
    """Gathers what the critic needs: it does not look at images, which are large."""
    return {
        Columns.OBS: {
            key: value[rows]
            for key, value in columns[Columns.OBS].items()
            if value.is_floating_point()
        },
        Postprocessing.VALUE_TARGETS: columns[Postprocessing.VALUE_TARGETS][rows],
    }


def pairs(columns: dict[str, Any], index: Tensor, num_steps: int) -> dict[str, Any]:
    """Gathers (decision, position in the chain) pairs; position 0 leads away from noise."""
    rows, position = index // num_steps, index % num_steps
    return {
        Columns.OBS: {key: value[rows] for key, value in columns[Columns.OBS].items()},
        CHUNK: columns[CHAIN][rows, position],
        NEXT_CHUNK: columns[CHAIN][rows, position + 1],
        CHAIN_LOG_PROB: columns[CHAIN_LOG_PROB][rows, position],
        DENOISING_STEP: num_steps - position,
        EXECUTED: columns[EXECUTED][rows],
        Postprocessing.ADVANTAGES: columns[Postprocessing.ADVANTAGES][rows],
    }


def chains(columns: dict[str, Any], rows: Tensor, num_steps: int) -> dict[str, Any]:
    """Gathers decisions with all their denoising steps; the images are held once."""
    k = torch.arange(num_steps, 0, -1, device=rows.device)
    return {
        Columns.OBS: {key: value[rows] for key, value in columns[Columns.OBS].items()},
        DENOISING_STEP: k.expand(len(rows), num_steps),
        **{
            name: columns[name][rows]
            for name in (CHAIN, CHAIN_LOG_PROB, EXECUTED, Postprocessing.ADVANTAGES)
        },
    }


def flat(
    log_prob: Tensor, old_log_prob: Tensor, executed: Tensor, advantage: Tensor, k: Tensor
) -> tuple[Tensor, ...]:
    """Returns one row per pair, whether they came one by one [P] or as whole chains [B, K]."""
    if k.dim() == 1:
        return log_prob, old_log_prob, executed, advantage, k
    each = (executed.repeat_interleave(k.shape[1], 0), advantage.repeat_interleave(k.shape[1]))
    return log_prob.flatten(0, 1), old_log_prob.flatten(0, 1), *each, k.flatten()


def slice_rows(columns: dict[str, Any], rows: slice) -> dict[str, Any]:
    """Returns some rows of every column."""
    return {
        name: slice_rows(value, rows) if isinstance(value, dict) else value[rows]
        for name, value in columns.items()
    }


def wrap(columns: dict[str, Any], num: int) -> MultiAgentBatch:
    """Returns a minibatch as RLlib carries it."""
    return MultiAgentBatch({DEFAULT_MODULE_ID: SampleBatch(columns)}, env_steps=num)
