"""One expert: from a warm start through DPPO to an expert folder, with restart."""

import logging
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, LEARNER_RESULTS

from rl_datagen.algo.bc import Report, make_chunks
from rl_datagen.algo.checkpoint import LEARNING_CURVE, restore_checkpoint, save_checkpoint
from rl_datagen.algo.dppo import DPPO, DPPOConfig, to_rllib
from rl_datagen.algo.env_runner import LIBERO_ENV
from rl_datagen.algo.live import Watch, make_board
from rl_datagen.algo.selection import Score, best_row, finished
from rl_datagen.config import AlgoConfig, Config
from rl_datagen.core.errors import UserError
from rl_datagen.core.log import stderr_to
from rl_datagen.core.storage import write_json
from rl_datagen.data.normalization import NormStats
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.policy import ChunkPolicy, load_policy, save_expert
from rl_datagen.runtime.device import torch_device

logger = logging.getLogger(__name__)

LAST = "last"
BEST = "best"
_CHECKPOINTS = "checkpoints"
_ACTOR_METRICS = (
    "policy_loss",
    "approx_kl",
    "clip_fraction",
    "ratio_mean",
    "ratio_max",
    "actor_grad_norm",
    "bc_loss",
)


def fine_tune(
    config: Config,
    expert_dir: str | Path,
    output_dir: str | Path,
    *,
    evaluate: Callable[[ChunkPolicy, int], Score] | None = None,
    demonstrations: Sequence[Trajectory] = (),
    report: Report | None = None,
    say: Callable[[str], None] | None = None,
    should_stop: Callable[[dict[str, Any]], bool] = lambda _: False,
    max_episode_steps: int | None = None,
    init_state_indices: Sequence[int] | None = None,
    env: str = LIBERO_ENV,
) -> dict[str, Any]:
    """Fine-tunes a warm-started expert with DPPO; Ray must be running (``ray.init()``).

    Every iteration ends with a checkpoint in ``output_dir``; called again, it resumes after the
    last one, and ends as an uninterrupted run would (in ``sync`` mode). ``learning_curve.json``
    there holds a row per iteration. With evaluations, the expert in ``output_dir`` is the best
    policy; ``last`` in it is the last one.

    Args:
        config: What to do; ``config.policy`` must be the expert's.
        expert_dir: Folder of the warm start.
        output_dir: Folder of the new expert, of the checkpoints and of the learning curve.
        evaluate: Rolls a policy out after the iteration with this number, every
            ``algo.evaluation_interval`` iterations; None never does.
        demonstrations: What ``algo.bc_loss_coeff`` clones.
        report: Told the number of finished iterations and the row of the last one.
        say: Told about every second what the iteration is at; None: nobody follows.
        should_stop: Asked with the last row before each further iteration; True ends the run early.
        max_episode_steps: Time limit while learning, env steps; None: ``sim.max_episode_steps``.
        init_state_indices: Shipped init states to train on, taken from the beginning for every
            episode batch; None draws new ones.
        env: A registered environment, for tests.

    Returns:
        ``num_iterations``, ``num_env_steps``, ``stopped`` (by ``should_stop``), and the last and
        the best row of the learning curve.

    Raises:
        UserError: The expert is of another task, or of another shape than ``config.policy``; or
            this process is to learn on a GPU and has none.
    """
    output = Path(output_dir)
    policy, expert_config, stats = load_policy(expert_dir, task=config.task)
    if expert_config.policy != config.policy:
        raise UserError(
            f"The warm start in '{expert_dir}' was made with other policy settings than these. "
            "Make a new warm start, or take its settings."
        )
    if not config.algo.num_learners:
        torch_device(config.algo.num_gpus_per_learner, "algo.num_gpus_per_learner")
    with _quiet():
        settings = to_rllib(
            config,
            stats,
            max_episode_steps=max_episode_steps,
            init_state_indices=init_state_indices,
            env=env,
        )
        if say and config.algo.num_env_runners:
            settings.board = make_board()
        with _built(settings, output / "ray.log") as algo:
            _set_weights(algo, policy)
            if config.algo.bc_loss_coeff:
                _set_demonstrations(algo, demonstrations, policy.observation_keys, config)
            curve = restore_checkpoint(algo, output / _CHECKPOINTS)
            while not (finished(curve, config.algo) or (curve and should_stop(curve[-1]))):
                with Watch(algo, say).iteration() if say else nullcontext():
                    result = algo.train()
                row = _row(result, curve, config.algo)
                curve.append(row)
                if evaluate and _evaluation_due(algo.iteration, config.algo):
                    policy.load_state_dict(_get_weights(algo))
                    row |= evaluate(policy, algo.iteration).columns()
                    if best_row(curve) is row:
                        save_expert(output / BEST, policy, config, stats, row)
                save_checkpoint(algo, output / _CHECKPOINTS, curve)
                write_json(output / LEARNING_CURVE, curve)
                if report:
                    report(algo.iteration, row)
            policy.load_state_dict(_get_weights(algo))
    return _keep(output, curve, policy, config, stats)


@contextmanager
def _built(settings: DPPOConfig, log: Path) -> Generator[Any]:
    """Yields the algorithm, whose processes end with it."""
    with stderr_to(log):
        algo = settings.build_algo()
    try:
        yield algo
    finally:
        algo.stop()


def _keep(
    output: Path, curve: list[dict[str, Any]], policy: ChunkPolicy, config: Config, stats: NormStats
) -> dict[str, Any]:
    """Stores the expert: the best policy if there were evaluations, and otherwise the last."""
    best = best_row(curve)
    metrics = {
        "num_iterations": len(curve),
        "num_env_steps": curve[-1]["num_env_steps_lifetime"] if curve else 0,
        "stopped": not finished(curve, config.algo),
        "last": curve[-1] if curve else {},
        "best": best or {},
    }
    if best:
        save_expert(output / LAST, policy, config, stats, metrics)
        policy, _, _ = load_policy(output / BEST)
    else:
        save_expert(output / BEST, policy, config, stats, metrics)
    save_expert(output, policy, config, stats, metrics)
    return metrics


def _evaluation_due(iteration: int, settings: AlgoConfig) -> bool:
    interval = settings.evaluation_interval
    last = iteration == settings.num_iterations
    return interval > 0 and (iteration % interval == 0 or last)


def _set_weights(algo: DPPO, policy: ChunkPolicy) -> None:
    weights = policy.state_dict()

    def load(learner: Any, *_: Any) -> None:
        learner.module[DEFAULT_MODULE_ID].unwrapped().policy.load_state_dict(weights)

    algo.learner_group.foreach_learner(load)
    algo.broadcast_weights()


def _set_demonstrations(
    algo: DPPO, demonstrations: Sequence[Trajectory], keys: Sequence[str], config: Config
) -> None:
    if not demonstrations:
        raise UserError("algo.bc_loss_coeff clones demonstrations: give some, or set it to 0.")
    chunks = make_chunks(demonstrations, keys, config)

    def load(learner: Any, *_: Any) -> None:
        learner.demonstrations = chunks

    algo.learner_group.foreach_learner(load)


def _get_weights(algo: DPPO) -> dict[str, Any]:
    def read(learner: Any, *_: Any) -> dict[str, Any]:
        weights = learner.module[DEFAULT_MODULE_ID].unwrapped().policy.state_dict()
        return {name: value.cpu() for name, value in weights.items()}

    result: Any = next(iter(algo.learner_group.foreach_learner(read)))
    return result.get()


def _row(
    result: dict[str, Any], curve: list[dict[str, Any]], settings: AlgoConfig
) -> dict[str, Any]:
    """One point of the learning curve."""
    sampled, learner = result[ENV_RUNNER_RESULTS], result[LEARNER_RESULTS][DEFAULT_MODULE_ID]
    before = curve[-1]["num_env_steps_lifetime"] if curve else 0
    seconds, lag = result["time"], result.get("policy_lag", {})
    num_env_steps = int(sampled["num_env_steps"])
    return {
        "iteration": result["training_iteration"],
        "success_rate": float(sampled["success_rate"]),
        "episode_len_mean": float(sampled["num_env_steps_per_episode"]),
        "num_env_steps": num_env_steps,
        "num_env_steps_lifetime": before + num_env_steps,
        "num_simulator_errors": int(sampled["num_simulator_errors"]),
        # A frozen actor has none of these.
        **{name: _number(learner.get(name)) for name in _ACTOR_METRICS},
        "vf_loss": float(learner["vf_loss"]),
        "explained_variance": float(learner["explained_variance"]),
        "largest_normalized_state": float(learner["largest_normalized_state"]),
        "init_states_in_batch": int(learner["init_states_in_batch"]),
        "episodes_in_batch": int(learner["episodes_in_batch"]),
        "lr": float(learner["actor_lr"]),
        # What may change when a run resumes.
        "gamma": settings.gamma,
        "patience": settings.patience,
        "num_iterations": settings.num_iterations,
        "policy_lag_mean": float(lag.get("mean", 0)),
        "policy_lag_max": int(lag.get("max", 0)),
        "num_episodes_dropped": int(result.get("stream", {}).get("num_episodes_dropped", 0)),
        **{f"seconds_{name}": float(seconds[name]) for name in ("sample", "learn", "sync")},
        "learner_idle_fraction": float(seconds["learner_idle_fraction"]),
        "simulator_idle_fraction": float(seconds["simulator_idle_fraction"]),
        "env_steps_per_second": num_env_steps / float(seconds["iteration"]),
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
