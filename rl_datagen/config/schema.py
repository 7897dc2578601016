"""The settings of one task, from its demonstration to its dataset.

Lengths of time are in env steps (20 Hz) or decisions (one action chunk).
"""

from typing import Annotated, Literal, Self, TypedDict

from pydantic import Field, model_validator

from rl_datagen.config.algo import AlgoConfig, PolishConfig, VerdictConfig, WarmStartConfig
from rl_datagen.config.policy import DiffusionConfig, PolicyConfig
from rl_datagen.config.types import (
    Appearance,
    Backend,
    Count,
    Folder,
    GpuShare,
    Name,
    NumEpisodes,
    PositiveInt,
    RenderBackend,
    Section,
    Seed,
    TaskId,
)
from rl_datagen.tasks import NUM_INIT_STATES

ATTEMPTS_PER_SHARD = 100_000
"""Each shard counts its attempts from its number times this, so that none depends on another."""


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
    num_settle_steps: Annotated[int, Field(ge=0, le=1000)] = 10
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
    """One human demonstration to many amplified ones, or episodes that there are."""

    dataset: Folder | None = None
    """Dataset whose successful episodes of the task are cloned in place of amplified ones, such as
    one that the task's state expert has collected: a pixel expert's images are made of any
    episode's physics. null: amplify the human demonstration."""
    num_episodes: NumEpisodes = 120
    """Successful episodes to make for every 200 env steps of the task's human demonstration, or
    part of them: a task of several parts takes more to learn."""
    max_attempts_per_episode: PositiveInt = 15
    """Give up after ``num_episodes`` times this many attempts."""
    num_shipped_init_states: Annotated[int, Field(ge=0, le=NUM_INIT_STATES)] = 50
    """LIBERO's own init states that attempts may start from, once each and in turn with newly drawn
    ones: the first this many. 0 keeps all of them for evaluation."""
    num_steps_after_success: Count = 25
    """Env steps that a demonstration goes on after it first succeeded, or less, to where the
    human's does succeed; it counts if it succeeds at their end too. Many reach the goal for a
    moment, and for good once the hand lets go: a clone of what ends at the edge of the goal aims at
    the edge, and has not seen what comes next."""
    action_noise: Annotated[float, Field(ge=0, le=0.5)] = 0.04
    """Standard deviation of the slowly wandering noise on executed actions, which the tracker
    corrects afterwards."""


class EvaluationConfig(Section):
    """The deterministic sampler on held-back init states."""

    num_episodes: Annotated[int, Field(ge=1, le=NUM_INIT_STATES)] = 20
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
    num_gpus_per_worker: GpuShare = 0
    """Share of a GPU that each worker draws on, such as 0.1; 0: none, or one that Ray does not
    count."""


class ShardsConfig(Section):
    """Successful episodes of a task to Parquet shards."""

    num_episodes: NumEpisodes = 50
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
    seed: Seed = 0
    """All random streams derive from it."""
    output_dir: Folder = "outputs"
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

    @model_validator(mode="after")
    def _images_stay_with_their_weights(self) -> Self:
        shift = self.policy.random_shift
        if self.algo.mode == "streaming" and self.policy.mode == "pixel" and shift:
            raise ValueError(
                f"policy.random_shift={shift} with algo.mode='streaming': of a shifted image only "
                "the newest weights' densities can be computed, and a pack may be of older ones. "
                "Set algo.mode=sync, or policy.random_shift=0"
            )
        return self
