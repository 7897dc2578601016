"""Denoising-step PPO (Eqs. 2-5 of the paper) as an RLlib algorithm on the new API stack."""

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import ray
from ray import tune
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.connectors.learner import LearnerConnectorPipeline
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE
from ray.rllib.core.learner.learner_group import LearnerGroup
from ray.rllib.core.rl_module import RLModuleSpec
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    WEIGHTS_SEQ_NO,
)

from rl_datagen.algo.connectors import DecisionBatch
from rl_datagen.algo.env_runner import (
    LIBERO_ENV,
    EpisodeBatch,
    EpisodeBatchEnvRunner,
    Outcome,
    make_libero_env,
)
from rl_datagen.algo.learner import ITERATION, DPPOLearner
from rl_datagen.algo.live import note_episode
from rl_datagen.algo.rl_module import ChunkModule
from rl_datagen.algo.streaming import (
    MAX_REQUESTS_IN_FLIGHT,
    BatchStream,
    idle_fraction,
    policy_lag,
)
from rl_datagen.config import AlgoConfig, Config
from rl_datagen.core.seeding import derive_seed
from rl_datagen.data.normalization import NormStats

logger = logging.getLogger(__name__)


class DPPOConfig(PPOConfig):
    """RLlib's configuration of DPPO; ``to_rllib`` fills it from ours.

    Attributes:
        settings: Our configuration of the algorithm.
        num_denoising_steps: K of the policy.
        whole_chains: Learn from decisions with all their denoising steps, not from single ones.
        random_shift: Pixels by which images are shifted that are learnt from.
        board: The actor that env runners tell of their episodes; None: nobody asks.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or DPPO)
        self.settings = AlgoConfig()
        self.num_denoising_steps = 1
        self.whole_chains, self.random_shift = False, 0
        self.board: Any = None

    def get_default_learner_class(self) -> type[DPPOLearner]:
        """Returns what updates policy and critic."""
        return DPPOLearner

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """Returns what acts."""
        return RLModuleSpec(module_class=ChunkModule)

    def build_learner_connector(
        self, input_observation_space: Any, input_action_space: Any, device: Any = None
    ) -> LearnerConnectorPipeline:
        """Returns the one piece that turns episodes into decisions."""
        return LearnerConnectorPipeline(
            connectors=[self._decision_batch(device)],
            input_observation_space=input_observation_space,
            input_action_space=input_action_space,
        )

    def _decision_batch(self, device: Any) -> DecisionBatch:
        return DecisionBatch(
            gamma=self.settings.gamma,
            lambda_=self.settings.lambda_,
            bootstrap_at_time_limit=self.settings.bootstrap_at_time_limit,
            device=device,
        )


class DPPO(PPO):
    """Samples complete episode batches, learns, hands out weights; ``algo.mode`` is the order.

    Attributes:
        activity: What it does now, for who watches.
    """

    activity = "begins"

    config: DPPOConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    learner_group: LearnerGroup  # pyright: ignore[reportIncompatibleVariableOverride]
    env_runner_group: EnvRunnerGroup  # pyright: ignore[reportIncompatibleVariableOverride]

    @classmethod
    def get_default_config(cls) -> DPPOConfig:
        """Returns an unfilled configuration."""
        return DPPOConfig()

    def setup(self, config: Any) -> None:
        """Prepares for either mode."""
        super().setup(config)
        settings = self.config.settings
        streaming = settings.mode == "streaming"
        self._stream = BatchStream(self.env_runner_group, settings) if streaming else None

    def training_step(self) -> None:
        """Runs one iteration."""
        start = time.perf_counter()
        self.activity = "samples"
        batches = self._take() if self._stream else self._sample()
        self._log_batches(batches)
        sampled = time.perf_counter()
        self.activity = "learns"
        self._learn([episode for batch in batches for episode in batch.episodes])
        learnt = time.perf_counter()
        if not self._stream:  # else the next request brings them along
            self.broadcast_weights()
        synced = time.perf_counter()
        self._log(
            {
                "time": {
                    "sample": sampled - start,
                    "learn": learnt - sampled,
                    "sync": synced - learnt,
                    "iteration": synced - start,
                    "learner_idle_fraction": 1 - (learnt - sampled) / (synced - start),
                    "simulator_idle_fraction": idle_fraction(batches),
                }
            }
        )

    def _learn(self, episodes: list[Any]) -> None:
        """Gives every learner the same episodes: each takes its share of every minibatch.

        RLlib would split the episodes instead, some of them in the middle, and each learner would
        normalise the advantages of its own.
        """
        update = partial(
            _update,
            episodes=ray.put(episodes) if self.learner_group.is_remote else episodes,
            timesteps={ITERATION: self.iteration, NUM_ENV_STEPS_SAMPLED_LIFETIME: 0},
            num_epochs=self.config.settings.num_epochs,
            minibatch_size=self.config.settings.minibatch_size,
        )
        results: list[Any] = list(self.learner_group.foreach_learner(update))
        for result in results:
            if not result.ok:
                error = result.get()
                raise getattr(error, "cause", None) or error
        # What learners report is agreed among them.
        self.metrics.aggregate([results[0].get()], key=LEARNER_RESULTS)

    def broadcast_weights(self) -> None:
        """Sends the policy's weights to all env runners and waits until they have them.

        RLlib's ``sync_weights`` does not wait, and silently sends nothing to an env runner that
        has not yet confirmed the previous weights.
        """
        weights = self._weights()
        state = weights if self._samples_here else ray.put(weights)
        self.env_runner_group.foreach_env_runner(
            partial(_receive, state=state), local_env_runner=self._samples_here
        )

    @property
    def _samples_here(self) -> bool:
        """Whether this process steps the simulators, without an actor."""
        return not self.config.settings.num_env_runners

    def _weights(self) -> dict[str, Any]:
        """Returns the state of an env runner with the learner's policy."""
        state = self.learner_group.get_state(
            components=f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}", inference_only=True
        )[COMPONENT_LEARNER]
        return {key: state[key] for key in (COMPONENT_RL_MODULE, WEIGHTS_SEQ_NO)}

    def _take(self) -> list[EpisodeBatch]:
        """Returns the next batches of the stream."""
        assert self._stream
        weights = self._weights()
        version = int(weights[WEIGHTS_SEQ_NO])
        batches = self._stream.take(ray.put(weights), version)
        dropped = {"num_episodes_dropped": self._stream.num_dropped}
        self._log({"policy_lag": policy_lag(batches, version), "stream": dropped})
        return batches

    def _sample(self) -> list[EpisodeBatch]:
        """Returns the batches of all env runners that are alive, always in the same order."""
        timeout = self.config.settings.sample_timeout_s
        batches: list[EpisodeBatch] = self.env_runner_group.foreach_env_runner(
            partial(_sample_batch, iteration=self.iteration),
            local_env_runner=self._samples_here,
            timeout_seconds=timeout,
        )
        if not batches:
            raise RuntimeError(
                f"No env runner returned an episode batch in iteration {self.iteration}: all of "
                f"them died, or took more than {timeout} s."
            )
        batches.sort(key=lambda batch: batch.worker_index)
        return batches

    def _log_batches(self, batches: list[EpisodeBatch]) -> None:
        self.metrics.aggregate([batch.metrics for batch in batches], key=ENV_RUNNER_RESULTS)
        outcomes = [outcome for batch in batches for outcome in batch.outcomes]
        self._log({ENV_RUNNER_RESULTS: summarize(outcomes)})
        missing = self.config.settings.num_episodes_per_iteration - len(outcomes)
        if missing > 0:
            logger.warning("lost episodes iteration=%d episodes=%d", self.iteration, missing)

    def _log(self, metrics: Mapping[str, Mapping[str, float]]) -> None:
        for group, values in metrics.items():
            for name, value in values.items():
                self.metrics.log_value((group, name), value, window=1)


def summarize(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Returns the metrics of complete episode batches; lengths are in env steps."""
    lengths = [outcome.num_env_steps for outcome in outcomes]
    successful = [o.num_env_steps for o in outcomes if o.success]
    return {
        "success_rate": len(successful) / len(outcomes),
        "num_env_steps": sum(lengths),
        "num_env_steps_per_episode": float(np.mean(lengths)),
        "num_env_steps_per_success": float(np.mean(successful)) if successful else float("nan"),
        "num_simulator_errors": sum(bool(outcome.error) for outcome in outcomes),
    }


def to_rllib(
    config: Config,
    norm_stats: NormStats,
    *,
    max_episode_steps: int | None = None,
    init_state_indices: Sequence[int] | None = None,
    env: str = LIBERO_ENV,
) -> DPPOConfig:
    """Returns RLlib's configuration of our configuration: the one place where they meet.

    Args:
        config: Ours.
        norm_stats: Statistics the policy was warm-started with.
        max_episode_steps: Time limit while learning, env steps; None: ``sim.max_episode_steps``.
        init_state_indices: Shipped init states to train on; None draws new ones.
        env: A registered environment with the interface of ``LiberoVectorEnv``.
    """
    if env == LIBERO_ENV:
        tune.register_env(LIBERO_ENV, make_libero_env)
    algo = config.algo
    rllib = (
        DPPOConfig()
        .environment(
            env,
            env_config=_env_config(config, max_episode_steps, init_state_indices),
            clip_actions=True,
        )
        .env_runners(
            env_runner_cls=EpisodeBatchEnvRunner,
            num_env_runners=algo.num_env_runners,
            num_gpus_per_env_runner=algo.num_gpus_per_env_runner,
            num_envs_per_env_runner=algo.num_envs_per_env_runner,
            gym_env_vectorize_mode="vector_entry_point",
            batch_mode="complete_episodes",
            sample_timeout_s=algo.sample_timeout_s,
            max_requests_in_flight_per_env_runner=MAX_REQUESTS_IN_FLIGHT,
        )
        .learners(num_learners=algo.num_learners, num_gpus_per_learner=algo.num_gpus_per_learner)
        .rl_module(rl_module_spec=_module_spec(config, norm_stats))
        .fault_tolerance(restart_failed_env_runners=True, delay_between_env_runner_restarts_s=1)
        .callbacks(on_episode_end=note_episode)
        .debugging(seed=config.seed, log_level="ERROR")
    )
    rllib.normalize_actions = False
    rllib.num_denoising_steps = config.policy.num_denoising_steps
    if config.policy.mode == "pixel":
        rllib.whole_chains, rllib.random_shift = True, config.policy.random_shift
    rllib.settings = algo
    # RLlib checks minibatches of (decision, denoising step) pairs against a number of env steps.
    rllib.train_batch_size_per_learner = rllib.minibatch_size = algo.minibatch_size
    # It would wait for the batches in flight, to synchronise connectors that have no state.
    rllib._dont_auto_sync_env_runner_states = algo.mode == "streaming"
    # A minibatch is for the policy or for the critic.
    rllib.torch_ddp_kwargs = {"find_unused_parameters": True}
    return rllib


def _update(learner: Any, episodes: Any, **kwargs: Any) -> Any:
    return learner.update(episodes=_fetched(episodes), **kwargs)


def _receive(env_runner: Any, state: Any) -> None:
    env_runner.set_state(_fetched(state))


def _fetched(value: Any) -> Any:
    """Returns what went through the object store, or came directly."""
    return ray.get(value) if isinstance(value, ray.ObjectRef) else value


def _sample_batch(env_runner: Any, iteration: int) -> EpisodeBatch:
    return env_runner.sample_batch(iteration)


def _env_config(
    config: Config, max_episode_steps: int | None, init_state_indices: Sequence[int] | None
) -> dict[str, Any]:
    indices = None if init_state_indices is None else list(init_state_indices)
    return {
        "task": config.task,
        "action_steps": config.policy.action_steps,
        **config.sim.scene(),
        "num_settle_steps": config.sim.num_settle_steps,
        "max_episode_steps": max_episode_steps or config.sim.max_episode_steps,
        "init_state_indices": indices,
        "mode": config.policy.mode,
        "image_size": config.policy.image_size,
        "rendering": config.policy.rendering,
        "num_threads": 1,  # an env runner is an actor with one core
    }


def _module_spec(config: Config, norm_stats: NormStats) -> RLModuleSpec:
    return RLModuleSpec(
        module_class=ChunkModule,
        model_config={
            "policy": config.policy.model_dump(mode="json"),
            "norm_stats": norm_stats.to_dict(),
            "critic_width": config.algo.critic_width,
            "precision": config.algo.precision,
            "compile": config.algo.compile,
            "seed": derive_seed("dppo", "weights", config.seed),
        },
    )
