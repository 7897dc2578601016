"""The expert folder: ``config.yaml weights.safetensors norm_stats.json metrics.json``."""

from pathlib import Path
from typing import Any

import yaml

from rl_datagen.config import Config, DiffusionConfig, PolicyConfig, stored_config
from rl_datagen.core.errors import UserError
from rl_datagen.core.storage import write_json, write_text
from rl_datagen.core.stored import read_bytes, read_stored_yaml
from rl_datagen.data.normalization import NormStats
from rl_datagen.data.schema import appearance_of_settings
from rl_datagen.policy.actor import ChunkActor
from rl_datagen.policy.base import ChunkPolicy
from rl_datagen.policy.diffusion import DiffusionPolicy
from rl_datagen.policy.gaussian import GaussianPolicy
from rl_datagen.policy.weights import CONFIG, NORM_STATS, WEIGHTS, load_weights, save_weights

METRICS = "metrics.json"


def make_policy(config: PolicyConfig, stats: NormStats, precision: str = "float32") -> ChunkPolicy:
    """Returns a new policy of the configured kind, with weights from torch's global stream.

    Args:
        config: The policy section of a configuration.
        stats: Statistics of the warm-start data.
        precision: ``algo.precision``: what it encodes observations in.
    """
    if isinstance(config, DiffusionConfig):
        policy = DiffusionPolicy(config, stats)
    else:
        policy = GaussianPolicy(config, stats)
    policy.bf16 = precision == "bf16"
    return policy


def save_expert(
    path: str | Path,
    policy: ChunkPolicy,
    config: Config,
    norm_stats: NormStats,
    metrics: dict[str, Any],
) -> None:
    """Writes an expert folder; the weights come last, so a folder that has them is whole.

    Args:
        path: The folder; made if missing, its four files replaced if present.
        policy: What acts.
        config: The configuration it was trained with, task included.
        norm_stats: Statistics the policy was built with.
        metrics: Anything JSON-ready worth keeping beside it.
    """
    folder = Path(path)
    write_text(folder / CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    norm_stats.save(folder / NORM_STATS)
    write_json(folder / METRICS, metrics)
    save_weights(policy, folder / WEIGHTS)


def load_expert(path: str | Path, *, task: str | None = None, explore: bool = False) -> ChunkActor:
    """Returns the actor in an expert folder.

    Args:
        path: The folder.
        task: Task it must be an expert of; None accepts any.
        explore: Sample as in training instead of deterministically.

    Raises:
        UserError: The folder is missing or damaged, its weights do not fit its configuration or
            are not finite, or it is an expert of another task.
    """
    policy, config, _ = load_policy(path, task=task)
    appearance = _appearance(Path(path))
    return ChunkActor(policy, explore=explore, appearance=appearance, task=config.task)


def _appearance(folder: Path) -> str:
    """Returns how textures were coloured when an expert was trained."""
    return appearance_of_settings(read_stored_yaml(folder / CONFIG, ""))


def load_policy(
    path: str | Path, *, task: str | None = None
) -> tuple[ChunkPolicy, Config, NormStats]:
    """Returns policy, configuration and statistics of an expert folder.

    Args:
        path: The folder.
        task: Task it must be an expert of; None accepts any.

    Raises:
        UserError: As ``load_expert``.
    """
    folder = Path(path)
    missing = [name for name in (CONFIG, WEIGHTS, NORM_STATS) if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"'{folder}' is not an expert folder: {', '.join(missing)} missing. Train one with "
            "`rl-datagen quickstart`."
        )
    advice = "Copy the whole folder again, or train the expert anew."
    content = read_bytes(folder / CONFIG, advice)
    config = stored_config(content, str(folder / CONFIG), Config, advice)
    if task is not None and config.task != task:
        raise UserError(
            f"The expert in '{folder}' was trained for {config.task}, not for {task}: an expert "
            "knows one task only. Give the folder of the right expert."
        )
    stats = NormStats.load(folder / NORM_STATS)
    policy = make_policy(config.policy, stats, config.algo.precision)
    load_weights(policy, folder / WEIGHTS)
    return policy, config, stats
