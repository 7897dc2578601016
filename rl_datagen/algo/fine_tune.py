"""One expert: from a warm start through DPPO to an expert folder, with restart."""

import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, LEARNER_RESULTS

from rl_datagen.algo.bc import Report
from rl_datagen.algo.dppo import DPPO, to_rllib
from rl_datagen.algo.env_runner import LIBERO_ENV
from rl_datagen.config import Config
from rl_datagen.core.errors import UserError
from rl_datagen.core.log import stderr_to
from rl_datagen.core.storage import write_json
from rl_datagen.policy import DiffusionPolicy, load_policy, save_expert

logger = logging.getLogger(__name__)

LEARNING_CURVE = "learning_curve.json"
_CHECKPOINTS = "checkpoints"


def fine_tune(
    config: Config,
    expert_dir: str | Path,
    output_dir: str | Path,
    *,
    report: Report | None = None,
    init_state_indices: Sequence[int] | None = None,
    env: str = LIBERO_ENV,
) -> dict[str, Any]:
    """Fine-tunes a warm-started expert with DPPO; Ray must be running (``ray.init()``).

    Every iteration ends with a checkpoint in ``output_dir``; called again, it goes on after the
    last one, and ends as an uninterrupted run would. ``learning_curve.json`` there holds a row per
    iteration.

    Args:
        config: What to do; ``config.policy`` must be the expert's.
        expert_dir: Folder of the warm start.
        output_dir: Folder of the new expert, of the checkpoints and of the learning curve.
        report: Told the number of finished iterations and the row of the last one.
        init_state_indices: Shipped init states to train on; None draws new ones.
        env: A registered environment, for tests.

    Returns:
        ``num_iterations``, ``num_env_steps`` and the last row of the learning curve.

    Raises:
        UserError: The expert is of another task, or of another shape than ``config.policy``.
    """
    output = Path(output_dir)
    policy, expert_config, stats = load_policy(expert_dir, task=config.task)
    if expert_config.policy != config.policy:
        raise UserError(
            f"The warm start in '{expert_dir}' was made with other policy settings than these. "
            "Make a new warm start, or take its settings."
        )
    with _quiet():
        settings = to_rllib(config, stats, init_state_indices=init_state_indices, env=env)
        with stderr_to(output / "ray.log"):
            algo: Any = settings.build_algo()
        try:
            _set_weights(algo, policy)
            curve = _restore(algo, output)
            while algo.iteration < config.algo.num_iterations:
                curve.append(_row(algo.train(), curve))
                _save(algo, output, curve)
                if report:
                    report(algo.iteration, curve[-1])
            policy.load_state_dict(_get_weights(algo))
        finally:
            algo.stop()
    metrics = {
        "num_iterations": len(curve),
        "num_env_steps": curve[-1]["num_env_steps_lifetime"] if curve else 0,
        "last": curve[-1] if curve else {},
    }
    save_expert(output, policy, config, stats, metrics)
    return metrics


def _set_weights(algo: DPPO, policy: DiffusionPolicy) -> None:
    weights = policy.state_dict()

    def load(learner: Any, *_: Any) -> None:
        learner.module[DEFAULT_MODULE_ID].policy.load_state_dict(weights)

    algo.learner_group.foreach_learner(load)
    algo.broadcast_weights()


def _get_weights(algo: DPPO) -> dict[str, Any]:
    def read(learner: Any, *_: Any) -> dict[str, Any]:
        return learner.module[DEFAULT_MODULE_ID].policy.state_dict()

    result: Any = next(iter(algo.learner_group.foreach_learner(read)))
    return result.get()


def _save(algo: DPPO, output: Path, curve: list[dict[str, Any]]) -> None:
    """Keeps the newest checkpoint; the rename makes it whole or absent."""
    folder = output / _CHECKPOINTS
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    algo.save_to_path(str(partial.resolve()))
    write_json(partial / LEARNING_CURVE, curve)
    partial.rename(folder / f"{algo.iteration:05d}")
    for old in _checkpoints(output)[:-1]:
        shutil.rmtree(old)
    write_json(output / LEARNING_CURVE, curve)


def _restore(algo: DPPO, output: Path) -> list[dict[str, Any]]:
    checkpoints = _checkpoints(output)
    if not checkpoints:
        return []
    algo.restore_from_path(str(checkpoints[-1].resolve()))
    curve = json.loads((checkpoints[-1] / LEARNING_CURVE).read_text(encoding="utf-8"))
    logger.info("restored iteration=%d path=%s", algo.iteration, checkpoints[-1])
    return curve


def _checkpoints(output: Path) -> list[Path]:
    return sorted(path for path in (output / _CHECKPOINTS).glob("[0-9]*") if path.is_dir())


def _row(result: dict[str, Any], curve: list[dict[str, Any]]) -> dict[str, Any]:
    """One point of the learning curve."""
    sampled, learner = result[ENV_RUNNER_RESULTS], result[LEARNER_RESULTS][DEFAULT_MODULE_ID]
    before = curve[-1]["num_env_steps_lifetime"] if curve else 0
    names = ("policy_loss", "approx_kl", "clip_fraction", "ratio_mean", "actor_grad_norm")
    return {
        "iteration": result["training_iteration"],
        "success_rate": float(sampled["success_rate"]),
        "episode_len_mean": float(sampled["num_env_steps_per_episode"]),
        "num_env_steps": int(sampled["num_env_steps"]),
        "num_env_steps_lifetime": before + int(sampled["num_env_steps"]),
        "num_simulator_errors": int(sampled["num_simulator_errors"]),
        # A frozen actor has none of these.
        **{name: _number(learner.get(name)) for name in names},
        "vf_loss": float(learner["vf_loss"]),
        "explained_variance": float(learner["explained_variance"]),
        "largest_normalized_state": float(learner["largest_normalized_state"]),
        "init_states_in_batch": int(learner["init_states_in_batch"]),
        "episodes_in_batch": int(learner["episodes_in_batch"]),
        "lr": float(learner["actor_lr"]),
        "seconds_sample": float(result["time"]["sample"]),
        "seconds_learn": float(result["time"]["learn"]),
    }


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences RLlib's warnings about its own interior, which a user can do nothing about."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.rllib")]
    levels = [item.level for item in loggers]
    for item in loggers:
        item.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for item, level in zip(loggers, levels, strict=True):
                item.setLevel(level)
