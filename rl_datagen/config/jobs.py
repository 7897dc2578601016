"""Settings of the jobs that make datasets for many tasks."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rl_datagen.config.schema import DemosConfig, ShardsConfig, SimConfig
from rl_datagen.config.types import (
    Folder,
    FolderOrName,
    Name,
    PositiveInt,
    Section,
    Seed,
    TaskSelector,
)


class _Job(Section):
    """What these jobs have in common."""

    name: Name
    seed: Seed = 0
    """All random streams derive from it."""
    output_dir: Folder = "outputs"
    """Folder that holds demonstrations, experts, datasets and evaluations."""
    num_workers: PositiveInt | None = None
    """Ray tasks at a time; null: as many as the cluster has cores."""
    sim: SimConfig = SimConfig()


class _FromDemonstrations(Section):
    """What is made of human demonstrations."""

    demonstrations: FolderOrName = "bundled"
    """The human ones: ``bundled`` (one of each task), or an HDF5 file of LIBERO's, or a folder of
    them."""


class _DemosJob(_Job):
    """A job that makes demonstrations."""

    task: TaskSelector = "all"
    """Tasks: ``all``, a suite, ``libero_goal/3``, ``libero_90/0-9``, or a list."""


class ImportConfig(_DemosJob):
    """Human demonstrations to a dataset."""

    name: Name = "human"
    """Names the dataset, ``<output_dir>/demos/<name>``."""
    on_error: Literal["skip", "refuse"] = "skip"
    """What to do with a malformed demonstration: name it and import the rest, or stop."""


class AmplifyConfig(_DemosJob, DemosConfig, _FromDemonstrations):
    """Many demonstrations from one or a few human ones of each task, to a dataset."""

    name: Name = "amplified"
    """Names the dataset, ``<output_dir>/demos/<name>``."""


class CollectionConfig(_Job, ShardsConfig, _FromDemonstrations):
    """Successful episodes of many tasks to a dataset."""

    name: Name = "collected"
    """Names the dataset, ``<output_dir>/datasets/<name>``."""
    task: TaskSelector | None = None
    """Tasks: ``all``, a suite, ``libero_goal/3``, ``libero_90/0-9``, or a list; null: each that has
    an expert, or all without experts."""
    source: Literal["experts", "amplified", "human"] = "experts"
    """What acts: trained experts, or amplified or replayed human ``demonstrations``."""
    experts: FolderOrName | None = None
    """The experts: a name (``<output_dir>/experts/<task>/<name>``, as ``train``, ``quickstart`` and
    ``campaign run`` leave them), ``release`` (this repository's), one expert's folder, a campaign's
    folder or ``campaign.storage``, or any folder or URI in which ``{task}`` stands for the task."""
    action_noise: Annotated[float, Field(ge=0, le=0.5)] = 0.04
    """``amplified``: standard deviation of the slowly wandering noise on executed actions."""
    gaussian_actions: Literal["mean", "sampled"] = "mean"
    """What Gaussian experts do: their mean, as they are evaluated, or samples, as they learnt,
    whose episodes are of the source ``gaussian_rl_sampled``. Diffusion experts take no notice."""

    @model_validator(mode="after")
    def _sources_agree(self) -> Self:
        if self.source == "experts" and self.experts is None:
            raise ValueError(
                "experts is not set: give a name such as experts=campaign, an expert's folder, or "
                "a campaign's; or collect without experts by source=amplified or source=human"
            )
        if self.source != "experts" and self.experts is not None:
            raise ValueError(
                f"experts={self.experts!r} has no effect with source={self.source!r}: leave one out"
            )
        return self
