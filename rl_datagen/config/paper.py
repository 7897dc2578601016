"""Settings of the whole study: experts of two algorithms, data, VLAs, evaluations, tables."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rl_datagen.config.campaign import CampaignConfig
from rl_datagen.config.policy import DiffusionConfig
from rl_datagen.config.types import (
    Count,
    FolderOrName,
    Gpus,
    Name,
    PositiveFloat,
    PositiveInt,
    Section,
    TaskSelector,
)
from rl_datagen.config.vla import SmallVlaConfig
from rl_datagen.tasks import NUM_INIT_STATES, select_tasks


class HumanSection(Section):
    """The data that the experts' are compared with."""

    source: Literal["human", "amplified"] = "human"
    """``human``: ``collect.num_episodes`` demonstrations of each task, replayed; ``amplified``: as
    many made from those there are."""
    demonstrations: FolderOrName = "bundled"
    """As in ``collect``: ``bundled`` has one of each task, LIBERO's full set has 50."""


class VlaSection(Section):
    """The VLAs, which differ in nothing but their data."""

    model: SmallVlaConfig = SmallVlaConfig()
    """What is trained and how."""
    drop_noops: bool = False
    """Leave out env steps that move nothing."""
    num_workers: PositiveInt = 1
    """Processes that train each VLA."""
    gpus_per_worker: Gpus = 0
    """GPUs of each of them."""


class BenchmarkSection(Section):
    """The evaluations of the VLAs; ``evaluation`` is that of the experts."""

    num_episodes: Annotated[int, Field(ge=1, le=NUM_INIT_STATES)] = 50
    """Episodes of each task, from its shipped init states 0, 1, ..."""
    num_simulators: PositiveInt = 10
    """Episodes of one task that run side by side in a worker."""
    num_gpus_per_worker: Gpus = 0
    """GPU share of each worker."""
    num_failure_videos: Count = 0
    """MP4s of failed episodes to write of each task."""


class ZeroShotSection(Section):
    """Table II: the same VLAs, trained on some of the tasks and evaluated on others."""

    train: TaskSelector = "libero_90"
    """Tasks to train on."""
    evaluate: TaskSelector = "libero_10,libero_goal,libero_object"
    """Tasks to evaluate on."""


class CostSection(Section):
    """What ``--dry-run`` assumes, and nothing else reads."""

    expert_env_steps: PositiveInt = 100_000
    """Env steps of one expert, demonstrations, fine-tuning and verdicts together."""
    trial_env_steps_per_second: PositiveFloat = 140
    """Of a trial with one core, cloning included."""
    episode_steps: PositiveFloat = 150
    """Mean env steps of a successful episode."""
    attempts_per_episode: PositiveFloat = 1.5
    """Attempts for a successful one."""
    collect_env_steps_per_second: PositiveFloat = 300
    """Simulation and an expert in state mode, per core."""
    images_per_second: PositiveFloat = 13
    """Rendering of stored episodes, per core."""
    evaluated_episode_steps: PositiveFloat = 250
    """Mean env steps of an evaluated episode; failures run until the time limit."""
    evaluate_env_steps_per_second: PositiveFloat = 30
    """Simulation, rendering and a VLA, per core."""
    vla_updates_per_second: PositiveFloat = 20
    """Gradient steps of a VLA on one GPU, or on one core without GPUs; 20 is what an
    H200 does with the default VLA."""
    core_hour_price: PositiveFloat | None = None
    """Price of a core for an hour; null: the cost is not known."""
    gpu_hour_price: PositiveFloat | None = None
    """Price of a GPU for an hour, with the machine around it."""


class PaperConfig(CampaignConfig):
    """The study.

    What experts are and how they learn is set as for a campaign: ``policy`` is that of the
    diffusion experts, and the Gaussian ones have the same networks.
    """

    name: Name = "paper"
    """Names the study, ``<output_dir>/papers/<name>``, and begins the names of all it makes."""
    human: HumanSection = HumanSection()
    vla: VlaSection = VlaSection()
    benchmark: BenchmarkSection = BenchmarkSection()
    zero_shot: ZeroShotSection | None = ZeroShotSection()
    """null: Table II is not run."""
    gaussian_sampled: bool = False
    """Also data that the Gaussian experts make by sampling, and a VLA that learns from it: their
    mean cannot shake, and the paper's Gaussian data does."""
    costs: CostSection = CostSection()

    @model_validator(mode="after")
    def _study_agrees(self) -> Self:
        if not isinstance(self.policy, DiffusionConfig):
            raise ValueError(
                f"policy.kind={self.policy.kind!r}: the study has diffusion experts, and makes the "
                "Gaussian ones from the same settings itself: leave policy.kind out"
            )
        names = {task.id for task in self.tasks}
        for key in ("train", "evaluate"):
            selector = getattr(self.zero_shot, key, None)
            if selector and not names >= {task.id for task in select_tasks(selector)}:
                raise ValueError(
                    f"zero_shot.{key}={selector!r} has tasks that task={self.task!r} lacks: select "
                    "them there too, or set zero_shot=null, which leaves Table II out"
                )
        return self
