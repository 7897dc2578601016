"""Settings of an evaluation on LIBERO's benchmark."""

from pathlib import Path
from typing import Annotated, get_args

from pydantic import AfterValidator, Field

from rl_datagen.config.schema import SimConfig
from rl_datagen.config.types import (
    Count,
    Folder,
    FolderOrName,
    Fraction,
    Gpus,
    Name,
    PositiveFloat,
    PositiveInt,
    Section,
    Seed,
    Source,
    TaskSelector,
)
from rl_datagen.tasks import NUM_INIT_STATES

PERTURBED = "perturbed"
"""Part of a mixture whose tasks are perturbed ones, in part or all."""
SOURCES = (*get_args(Source), PERTURBED)
"""What a VLA may have learnt from."""


def _mixture(value: str) -> str:
    parts = value.split("+")
    if len(set(parts)) < len(parts) or not set(parts) <= set(SOURCES):
        raise ValueError(f"give one of {', '.join(SOURCES)}, or some of them joined by '+'")
    return "+".join(sorted(parts, key=SOURCES.index))


Mixture = Annotated[str, AfterValidator(_mixture)]
"""What a VLA learnt from, such as ``human+diffusion_rl``."""


class ServerConfig(Section):
    """How a policy server is asked; openpi's LIBERO example by default."""

    action_steps: PositiveInt = 5
    """Actions executed of each answer."""
    render_size: Annotated[int, Field(ge=16, le=1024)] = 256
    """Height and width at which cameras are rendered: that of the training data."""
    image_size: Annotated[int, Field(ge=16, le=1024)] = 224
    """Height and width of the images that are sent, scaled down from those."""
    timeout_s: PositiveFloat = 300
    """Give a server up that answers nothing for so long; its first answer may take minutes."""


class EvaluateConfig(Section):
    """A policy on many tasks, from LIBERO's shipped init states."""

    policy: FolderOrName
    """The folder of a VLA or an expert, here or in a storage (``s3://...``); a released expert such
    as ``release/libero_goal/8``; or a policy server's address, ``ws://host:port``."""
    name: Name = "evaluation"
    """Names the evaluation, ``<output_dir>/evaluations/<name>``."""
    task: TaskSelector | None = None
    """Tasks: ``all``, a suite, ``libero_goal/3``, ``libero_90/0-9``, or a list; null: an
    expert's own, or all."""
    num_episodes: Annotated[int, Field(ge=1, le=NUM_INIT_STATES)] = 50
    """Episodes of each task, from its shipped init states 0, 1, ...; as many as there are where a
    perturbed task has fewer."""
    seed: Seed = 0
    """The policy's randomness derives from it."""
    output_dir: Folder = "outputs"
    """Folder that holds the evaluation."""
    sim: SimConfig = SimConfig()
    num_workers: PositiveInt | None = None
    """Ray tasks at a time; null: as many as the cluster has cores; 1: in this process, without
    Ray."""
    num_gpus_per_worker: Gpus = 0
    """GPU share of each of them, for the policy."""
    num_simulators: PositiveInt = 10
    """Episodes of one task that run side by side in a worker, in one batch for the policy, and are
    stored together."""
    num_failure_videos: Count = 0
    """MP4s of failed episodes to write of each task."""
    confidence: Annotated[Fraction, Field(gt=0, lt=1)] = 0.95
    """Level of the Wilson intervals."""
    source: Mixture | None = None
    """What the policy learnt from, such as ``human+diffusion_rl``: its row in the tables; null:
    what the VLA's folder says."""
    trained_on: TaskSelector | None = None
    """The tasks it learnt from, which tell Table I and Table II apart; null: what the VLA's folder
    says."""
    server: ServerConfig = ServerConfig()

    @property
    def folder(self) -> Path:
        """The evaluation's folder."""
        return Path(self.output_dir, "evaluations", self.name)
