"""Every setting, with its type, range, default and meaning.

PPO settings are spelled as RLlib spells them, denoising ones as DPPO spells them
(arXiv:2409.00588). Lengths of time are in env steps (20 Hz) or decisions (one action chunk).
"""

from typing import Annotated, Literal, Self, TypedDict

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from rl_datagen.core.statistics import SequentialTest
from rl_datagen.tasks import get_task, select_tasks

PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
ATTEMPTS_PER_SHARD = 100_000
"""Each shard counts its attempts from its number times this, so that none depends on another."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


def _known_task(value: str) -> str:
    return get_task(value).id


def _known_tasks(value: str) -> str:
    select_tasks(value)
    return value


Backend = Literal["exact", "stock"]
Appearance = Literal["original", "mujoco"]
RenderBackend = Literal["culled", "stock"]
TaskId = Annotated[str, AfterValidator(_known_task)]
TaskSelector = Annotated[str, AfterValidator(_known_tasks)]


class Section(BaseModel):
    """A part of the configuration: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SceneSettings(TypedDict):
    """What ``sim.load_scene`` takes besides the task; see ``SimConfig``."""

    backend: Backend
    appearance: Appearance
    render_backend: RenderBackend


class SimConfig(Section):
    """How LIBERO is stepped."""

    backend: Backend = "exact"
    """``exact``: compiled and bit-identical to LIBERO; ``stock``: LIBERO's own ``env.step``."""
    appearance: Appearance = "original"
    """How textures are coloured. ``original``: as in every published LIBERO dataset; ``mujoco``: as
    MuJoCo reads them from 3.3.3 on, with dark floors in libero_object."""
    render_backend: RenderBackend = "culled"
    """``culled``: under software GL, only the triangles that show are drawn, which gives the same
    images sooner; ``stock``: MuJoCo's own renderer, as on every GPU."""
    num_settle_steps: Count = 10
    """Env steps of doing nothing after a reset, before the episode begins."""
    max_episode_steps: PositiveInt | None = None
    """Time limit in env steps; null takes the suite's (220 to 520)."""

    def scene(self) -> "SceneSettings":
        """Returns the settings that ``sim.load_scene`` takes."""
        return {
            "backend": self.backend,
            "appearance": self.appearance,
            "render_backend": self.render_backend,
        }


class DemosConfig(Section):
    """One human demonstration to many amplified ones."""

    num_episodes: PositiveInt = 60
    """Successful episodes to make for every 200 env steps of the task's human demonstration, or
    part of them: a task of several parts takes more to learn."""
    max_attempts_per_episode: PositiveInt = 15
    """Give up after ``num_episodes`` times this many attempts."""
    num_shipped_init_states: Annotated[int, Field(ge=0, le=50)] = 50
    """LIBERO's own init states that attempts may start from, once each and in turn with newly drawn
    ones: the first this many. 0 keeps all of them for evaluation."""
    num_steps_after_success: Count = 25
    """Env steps that a demonstration goes on after it first succeeded, or less, to where the
    human's does succeed; it counts if it succeeds at their end too. Many reach the goal for a
    moment, and for good once the hand lets go: a clone of what ends at the edge of the goal aims at
    the edge, and has not seen what comes next."""
    action_noise: Annotated[float, Field(ge=0, le=0.5)] = 0.08
    """Standard deviation of the slowly wandering noise on executed actions, which the tracker
    corrects afterwards."""


class _ChunkPolicyConfig(Section):
    """What all policies over action chunks share."""

    action_horizon: PositiveInt = 8
    """Env steps predicted together."""
    action_steps: PositiveInt = 8
    """Env steps executed of each prediction."""
    encoder: Literal["state", "resnet", "vit"] = "state"
    """What encodes the observation. ``state``: object poses and proprio, an MLP (state mode);
    ``resnet``, ``vit``: both cameras, with proprio by FiLM (pixel mode)."""
    objects: Literal["interest", "all"] = "interest"
    """Whose poses an expert in state mode sees: the objects of interest that the task's definition
    names, which are all that its goal mentions; or all. Where one that does not matter lies
    outside what the demonstrations show, it misleads a policy that sees it."""
    encoder_width: PositiveInt = 128
    """Features of the encoded observation, which condition the denoiser."""
    image_size: Annotated[int, Field(ge=48, le=1024)] = 128
    """Height and width of the images in pixel mode."""
    denoiser: Literal["unet", "mlp"] = "unet"
    """Network over the chunk, conditioned by the encoder's features. A Gaussian policy has the
    same one, applied once to a learnt chunk."""
    unet_channels: tuple[PositiveInt, ...] = (32, 64)
    """Channels of each U-Net level; each further level halves the chunk."""
    mlp_width: PositiveInt = 256
    """Units of the MLP's hidden layers."""

    @property
    def mode(self) -> Literal["state", "pixel"]:
        """What simulators have to show."""
        return "state" if self.encoder == "state" else "pixel"

    @model_validator(mode="after")
    def _shapes_agree(self) -> Self:
        if self.action_steps > self.action_horizon:
            raise ValueError(
                f"action_steps={self.action_steps} is more than "
                f"action_horizon={self.action_horizon}: a policy cannot execute actions it has "
                "not predicted. Lower action_steps or raise action_horizon"
            )
        shrink = 2 ** (len(self.unet_channels) - 1)
        if self.denoiser == "unet" and self.action_horizon % shrink:
            raise ValueError(
                f"action_horizon={self.action_horizon} must be a multiple of {shrink}, since the "
                f"{len(self.unet_channels)} levels of unet_channels halve it that often"
            )
        if self.encoder == "vit" and self.image_size % 8:
            raise ValueError(
                f"image_size={self.image_size} must be a multiple of 8 with encoder='vit', which "
                "cuts an image into 8 x 8 patches"
            )
        return self


class DiffusionConfig(_ChunkPolicyConfig):
    """A diffusion policy over action chunks."""

    kind: Literal["diffusion"] = "diffusion"
    num_train_timesteps: PositiveInt = 100
    """Steps of the noise schedule that the denoiser is trained on."""
    num_denoising_steps: PositiveInt = 5
    """Steps of the sampler, K."""
    sampler: Literal["ddim", "ddpm"] = "ddim"
    """``ddpm`` visits every training step, so it needs K = ``num_train_timesteps``."""
    sampling_eta: Fraction = 0.5
    """Scale of the sampler's own noise in training; 1 is DDPM's."""
    sampling_temperature: Fraction = 0.5
    """Scale of the noise that chains begin with in training. As in evaluation: what is improved is
    what collects."""
    evaluation_eta: Fraction = 0.0
    """The same in evaluation and collection, without a floor; 0 is deterministic."""
    evaluation_temperature: Fraction = 0.5
    """Scale of the sampler's noise in evaluation and collection, of what it begins with too: 1
    samples as the policy was cloned, less is surer and smoother, 0 always starts from zero."""
    min_sampling_denoising_std: PositiveFloat = 0.06
    """Floor of the exploration noise per denoising step, in normalised action units."""
    min_logprob_denoising_std: PositiveFloat = 0.1
    """Floor of the standard deviation in the log-probabilities."""

    @property
    def source(self) -> Literal["diffusion_rl"]:
        """What its episodes are recorded as."""
        return "diffusion_rl"

    @model_validator(mode="after")
    def _sampler_agrees(self) -> Self:
        if self.num_denoising_steps > self.num_train_timesteps:
            raise ValueError(
                f"num_denoising_steps={self.num_denoising_steps} is more than "
                f"num_train_timesteps={self.num_train_timesteps}"
            )
        if self.sampler == "ddpm" and self.num_denoising_steps != self.num_train_timesteps:
            raise ValueError(
                f"num_denoising_steps={self.num_denoising_steps} with sampler='ddpm', which visits "
                f"every training step: set num_denoising_steps to {self.num_train_timesteps} (or "
                "num_train_timesteps lower), or take sampler='ddim'"
            )
        if self.sampler == "ddpm" and self.sampling_eta != 1:
            raise ValueError(
                f"sampling_eta={self.sampling_eta} with sampler='ddpm', whose noise is that of "
                "sampling_eta=1: set that, or take sampler='ddim'"
            )
        return self


class GaussianConfig(_ChunkPolicyConfig):
    """A diagonal Gaussian over action chunks, the paper's baseline."""

    kind: Literal["gaussian"] = "gaussian"
    init_std: PositiveFloat = 0.08
    """Standard deviation before fine-tuning, in normalised action units; the warm start leaves it
    alone."""
    min_std: PositiveFloat = 0.04
    """What the learnt standard deviation approaches at most."""

    @property
    def num_denoising_steps(self) -> int:
        """Its chain has one step."""
        return 1

    @property
    def source(self) -> Literal["gaussian_rl"]:
        """What its episodes are recorded as."""
        return "gaussian_rl"

    @model_validator(mode="after")
    def _deviations_agree(self) -> Self:
        if self.init_std <= self.min_std:
            raise ValueError(
                f"init_std={self.init_std} must be more than min_std={self.min_std}, which the "
                "learnt deviation stays above"
            )
        return self


PolicyConfig = DiffusionConfig | GaussianConfig
"""The policies there are; ``kind`` tells them apart."""


class WarmStartConfig(Section):
    """Behaviour cloning of the amplified demonstrations (Eq. 1 of the paper)."""

    num_updates: PositiveInt = 2000
    """Gradient steps for every 200 env steps of the task's human demonstration, or part of them."""
    train_batch_size: PositiveInt = 128
    """Action chunks per gradient step."""
    lr: PositiveFloat = 1e-3
    """Peak learning rate: linear warm-up, then cosine to zero."""
    num_lr_warmup_updates: Count = 100
    """Gradient steps of linear warm-up."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-6
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
    num_gpus_per_learner: Annotated[float, Field(ge=0)] = 0
    """GPU share of each learner."""
    num_gpus_per_env_runner: Annotated[float, Field(ge=0, le=1)] = 0
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
    critic_width: PositiveInt = 256
    """Units of the critic's hidden layers."""
    log_prob_reduction: Literal["mean", "sum"] = "mean"
    """How the elements of a chunk make one log-probability. ``mean`` is DPPO's, and the reason for
    its small clip ranges; ``sum`` is the true density and needs ranges around 0.1."""
    bc_loss_coeff: Annotated[float, Field(ge=0)] = 0
    """Weight of behaviour cloning of the demonstrations in the actor's loss."""
    time_limit_factor: Annotated[float, Field(gt=1)] | None = 1.5
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
    """``bf16`` encodes observations in mixed precision while learning; for a GPU in pixel mode."""
    compile: bool = False
    """Compile the policy's log-probabilities with ``torch.compile``; for a GPU."""
    sample_timeout_s: PositiveFloat = 3600
    """An env runner that takes longer for its cohort is given up for this iteration."""

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

    good_success_rate: Fraction = 0.98
    """A policy that succeeds this often is to be accepted."""
    poor_success_rate: Fraction = 0.92
    """A policy that succeeds this often is to be rejected."""
    false_acceptance: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """How often a poor policy may be accepted."""
    false_rejection: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """How often a good policy may be rejected."""
    max_episodes: PositiveInt = 120
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


class EvaluationConfig(Section):
    """The deterministic sampler on held-back init states."""

    num_episodes: Annotated[int, Field(ge=1, le=50)] = 20
    """Episodes, each from its own shipped init state; no demonstration starts from one of these."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Level of the Wilson interval."""


class RenderConfig(Section):
    """Replay of stored states into camera images."""

    num_episodes: Count | None = 2
    """Episodes to render of each task: the first ones; null: all."""
    image_size: Annotated[int, Field(ge=16, le=1024)] = 256
    """Height and width of both cameras' images, in pixels."""
    encoding: Literal["png", "jpeg"] = "png"
    """``png`` is lossless; ``jpeg`` is about a fifth of its size."""
    appearance: Appearance = "original"
    """How textures are coloured; see ``sim.appearance``. A dataset has one."""
    num_gpus_per_worker: Annotated[float, Field(ge=0, le=1)] = 0
    """Share of a GPU that each worker draws on, such as 0.1; 0: none, or one that Ray does not
    count."""


class ShardsConfig(Section):
    """Successful episodes of a task to Parquet shards."""

    num_episodes: PositiveInt = 50
    """Successful episodes to store."""
    num_episodes_per_shard: PositiveInt = 25
    """Successful episodes in one Parquet file."""
    max_attempts_per_episode: PositiveInt = 5
    """Give up a shard after this many attempts times its episodes."""
    init_states: Literal["drawn", "shipped"] = "drawn"
    """Where episodes start. ``drawn``: from the distribution that LIBERO draws from, a new one each
    time; none of them is in a benchmark. ``shipped``: LIBERO's own ones in turn, which its
    benchmark and ``evaluation`` start from: for data that is compared with those."""
    keep_failed: bool = False
    """Store the failed attempts too, marked; they do not count."""

    @property
    def num_shards(self) -> int:
        """Shards of one task."""
        return -(-self.num_episodes // self.num_episodes_per_shard)

    def shard_size(self, shard: int) -> int:
        """Returns how many successful episodes the shard with this number has."""
        before = shard * self.num_episodes_per_shard
        return min(self.num_episodes_per_shard, self.num_episodes - before)

    @model_validator(mode="after")
    def _shards_have_room(self) -> Self:
        if self.num_episodes_per_shard * self.max_attempts_per_episode > ATTEMPTS_PER_SHARD:
            raise ValueError(
                f"num_episodes_per_shard={self.num_episodes_per_shard} times "
                f"max_attempts_per_episode={self.max_attempts_per_episode} is more than the "
                f"{ATTEMPTS_PER_SHARD} attempts that a shard has numbers for: lower one of them"
            )
        return self


class CollectConfig(ShardsConfig):
    """Shards, and images of some of their episodes."""

    render: RenderConfig = RenderConfig()


class Config(Section):
    """One task from its demonstration to its dataset."""

    name: Name = "default"
    """Names the output folders."""
    task: TaskId = "libero_object/0"
    """Task id such as ``libero_goal/3``."""
    seed: Count = 0
    """All random streams derive from it."""
    output_dir: str = "outputs"
    """Folder that holds demonstrations, experts, datasets and evaluations."""
    sim: SimConfig = SimConfig()
    demos: DemosConfig = DemosConfig()
    policy: Annotated[PolicyConfig, Field(discriminator="kind")] = DiffusionConfig()
    """What acts: ``kind`` chooses, and an overlay that changes it replaces the section."""
    warm_start: WarmStartConfig = WarmStartConfig()
    algo: AlgoConfig = AlgoConfig()
    verdict: VerdictConfig = VerdictConfig()
    polish: PolishConfig = PolishConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    collect: CollectConfig = CollectConfig()
