"""Settings of learning: cloning, denoising-step PPO, polishing, and when a policy is reliable.

PPO settings are spelled as RLlib spells them. Lengths of time are in env steps (20 Hz) or decisions
(one action chunk).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rl_datagen.config.types import (
    Count,
    FolderOrName,
    Fraction,
    Gpus,
    GpuShare,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Section,
    Width,
)
from rl_datagen.core.statistics import SequentialTest


class WarmStartConfig(Section):
    """Behaviour cloning of the amplified demonstrations (Eq. 1 of the paper)."""

    expert: FolderOrName | None = None
    """Expert whose network cloning begins with, such as that of the task which this one perturbs:
    its folder, or ``release/libero_goal/5``. null: a new network."""
    num_updates: PositiveInt = 4000
    """Gradient steps for every 200 env steps of the task's human demonstration, or part of them."""
    train_batch_size: PositiveInt = 128
    """Action chunks per gradient step."""
    lr: PositiveFloat = 1e-3
    """Peak learning rate: linear warm-up, then cosine to zero."""
    num_lr_warmup_updates: Count = 100
    """Gradient steps of linear warm-up."""
    weight_decay: NonNegativeFloat = 1e-6
    """AdamW's weight decay."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.995
    """Largest decay of the exponential moving average of the weights."""
    grad_clip: PositiveFloat = 1.0
    """Largest gradient norm."""
    held_out_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of episodes kept out of training, for the held-out loss."""


class AlgoConfig(Section):
    """Denoising-step PPO (Eqs. 2-5 of the paper)."""

    mode: Literal["sync", "streaming"] = "sync"
    """``sync``: sample, then learn; the same seed gives the same curve. ``streaming``: env runners
    sample without a pause, and the learner takes what the fast ones have finished."""
    max_policy_lag: Count = 4
    """``streaming``: episodes sampled with weights more than this many updates old are dropped."""
    num_iterations: Count = 8
    """Rounds of sampling and learning, at most."""
    num_episodes_per_iteration: PositiveInt = 192
    """Complete episodes sampled per iteration, over all env runners."""
    num_env_runners: Count = 2
    """Ray actors that step simulators, a core each; 0 steps them in this process, in turn with
    learning: one core for an expert, none of it idle."""
    num_envs_per_env_runner: PositiveInt = 32
    """Simulators in each of them (of this process, without any)."""
    num_learners: Count = 0
    """Ray actors that learn, each a share of every minibatch (DDP); 0 learns in this process."""
    num_gpus_per_learner: Gpus = 0
    """GPU share of each learner."""
    num_gpus_per_env_runner: GpuShare = 0
    """GPU share of each env runner, which draws its images on it in pixel mode: 0.1 puts ten of
    them on each of a node's GPUs. 0 draws in software."""
    lr: PositiveFloat = 4e-5
    """Actor's peak learning rate."""
    lr_schedule: Literal["cosine", "constant"] = "cosine"
    """The actor's learning rate over the run: a cosine to a tenth, or the peak throughout."""
    critic_lr: PositiveFloat = 1e-3
    """Critic's learning rate."""
    gamma: Fraction = 0.97
    """Discount per ``action_steps`` env steps: so many more cost a share of 1 - gamma of a success.
    Lower makes experts quicker, and success rise slower."""
    lambda_: Fraction = 0.9
    """GAE's lambda, per decision."""
    bootstrap_at_time_limit: bool = False
    """What an episode that ran out of time was worth: the critic's value of its last state (true)
    or nothing (false). The critic sees no clock, so with few decisions per episode the first keeps
    the value of hopeless states up by itself; then choose false."""
    gamma_denoising: Fraction = 0.99
    """Discount of the advantage per denoising step still to come."""
    clip_param: PositiveFloat = 0.01
    """Clip range of the ratio at the last denoising step."""
    clip_base: PositiveFloat = 0.001
    """Clip range at the noisiest denoising step."""
    num_epochs: PositiveInt = 5
    """Passes over an iteration's (decision, denoising step) pairs."""
    minibatch_size: PositiveInt = 2500
    """(decision, denoising step) pairs per gradient step."""
    micro_batch_size: PositiveInt | None = None
    """Pairs that a learner has in memory with all their activations; null: a whole minibatch. The
    gradient of a larger minibatch is summed up part by part."""
    grad_clip: PositiveFloat = 1.0
    """Largest gradient norm of actor and critic, each."""
    target_kl: PositiveFloat = 0.05
    """Stop an iteration's epochs above this approximate KL divergence per denoising step, in nats
    summed over the chunk."""
    num_critic_warmup_iterations: Count = 0
    """Iterations in which only the critic learns. None is needed: in the first one, two critics
    judge the half of the episodes that they did not learn from."""
    num_critic_epochs: PositiveInt = 10
    """Passes of the critic over an iteration's decisions."""
    critic_minibatch_size: PositiveInt = 256
    """Decisions per gradient step of the critic."""
    critic_width: Width = 256
    """Units of the critic's hidden layers."""
    log_prob_reduction: Literal["mean", "sum"] = "mean"
    """How the elements of a chunk make one log-probability. ``mean`` is DPPO's, and the reason for
    its small clip ranges; ``sum`` is the true density and needs ranges around 0.1."""
    bc_loss_coeff: NonNegativeFloat = 0
    """Weight of behaviour cloning of the demonstrations in the actor's loss."""
    time_limit_factor: Annotated[float, Field(gt=1, le=1000)] | None = 1.5
    """Time limit while learning, in mean lengths of the demonstrations, at most the benchmark's:
    an episode that is late by half has gone wrong, and its rest costs env steps. null: the
    benchmark's, which evaluation and collection keep in any case."""
    evaluation_interval: Count = 1
    """Iterations between verdicts (``verdict``), which choose the policy to keep; 0 keeps the last
    one."""
    patience: Count | None = 0
    """End the run once a policy is reliable and so many verdicts after it have found none that is
    quicker and smoother; 0: once one is reliable, which may be the warm start; null: after all
    iterations."""
    precision: Literal["float32", "bf16"] = "float32"
    """``bf16`` encodes observations in mixed precision, in cloning, PPO and acting, where the
    device is quick at it: a GPU, a CPU with AMX. Elsewhere it is ``float32``. For pixel mode."""
    compile: bool = False
    """Compile the policy's log-probabilities with ``torch.compile``; for a GPU."""
    sample_timeout_s: PositiveFloat = 3600
    """An env runner that takes longer for its episode batch is given up for this iteration."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        simulators = max(1, self.num_env_runners) * self.num_envs_per_env_runner
        if self.num_episodes_per_iteration < simulators:
            raise ValueError(
                f"num_episodes_per_iteration={self.num_episodes_per_iteration} is less than the "
                f"{simulators} simulators of num_env_runners={self.num_env_runners} times "
                f"num_envs_per_env_runner={self.num_envs_per_env_runner}: some would never start. "
                "Raise the first or lower the others"
            )
        if self.mode == "streaming" and not self.num_env_runners:
            raise ValueError(
                "mode=streaming with num_env_runners=0: what samples and learns in one process "
                "does one after the other. Set num_env_runners to 1 or more, or mode=sync"
            )
        if self.clip_base > self.clip_param:
            raise ValueError(
                f"clip_base={self.clip_base} is more than clip_param={self.clip_param}: the clip "
                "range grows from clip_base to clip_param along the denoising chain"
            )
        return self


class VerdictConfig(Section):
    """When a policy is reliable: Wald's sequential test of its success.

    Episodes start from newly drawn init states, have the sampler that collects and the benchmark's
    time limit.
    """

    good_success_rate: Fraction = 0.985
    """A policy that succeeds this often is to be accepted."""
    poor_success_rate: Fraction = 0.93
    """A policy that succeeds this often is to be rejected."""
    false_acceptance: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """How often a poor policy may be accepted."""
    false_rejection: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """How often a good policy may be rejected."""
    max_episodes: PositiveInt = 160
    """Episodes after which the test ends undecided, which does not count as reliable."""

    @model_validator(mode="after")
    def _rates_are_apart(self) -> Self:
        if not 0 < self.poor_success_rate < self.good_success_rate < 1:
            raise ValueError(
                f"poor_success_rate={self.poor_success_rate} and "
                f"good_success_rate={self.good_success_rate}: the first must be above 0 and below "
                "the second, and the second below 1"
            )
        return self

    @property
    def test(self) -> SequentialTest:
        """The test."""
        return SequentialTest(
            self.poor_success_rate,
            self.good_success_rate,
            self.false_acceptance,
            self.false_rejection,
        )


class PolishConfig(Section):
    """Best-of-N self-distillation: a policy clones the quickest and smoothest of its successes."""

    num_rounds: Count = 2
    """Rounds of attempts and cloning at most, each of what the one before made; they end once the
    policy is reliable. 0 leaves them out."""
    num_init_states: PositiveInt = 48
    """Newly drawn init states of a round."""
    num_attempts: PositiveInt = 2
    """Episodes from each of them, of which the best is cloned."""
    num_updates: PositiveInt = 600
    """Gradient steps of a round."""
    lr: PositiveFloat = 5e-4
    """Peak learning rate of a round; what else cloning needs is in ``warm_start``."""
