"""Settings of a campaign: those of one expert, for many tasks, and how Ray Tune runs them."""

from pathlib import Path
from typing import Any

from rl_datagen.config.schema import Config
from rl_datagen.config.types import (
    Count,
    FolderOrUri,
    Gpus,
    Name,
    PositiveFloat,
    PositiveInt,
    Section,
    StorageUri,
    TaskSelector,
)
from rl_datagen.tasks import Task, select_tasks


class CampaignSection(Section):
    """How the trials run; budgets are those of one trial."""

    max_concurrent_trials: PositiveInt | None = None
    """Trials at a time; null: as many as the cluster has room for."""
    max_failures: Count = 2
    """Times a trial is started again after it has died."""
    max_env_steps: PositiveInt | None = None
    """Fine-tuning ends after the iteration that reaches this many env steps."""
    max_hours: PositiveFloat | None = None
    """Fine-tuning ends after the iteration in which the trial has run this long."""
    storage: StorageUri | None = None
    """Folder on a shared disk, or ``s3://`` or ``gs://`` URI, that everything a trial needs to
    continue on another node is copied to; null: ``<output_dir>/campaigns/<name>``, and trials
    continue from ``output_dir``, which is enough on one machine."""
    mlflow_uri: FolderOrUri | None = None
    """MLflow's tracking server; null: an SQLite file in ``<output_dir>/campaigns/<name>``. The
    environment variable MLFLOW_TRACKING_URI wins."""
    gpus_per_trial: Gpus = 0
    """GPU share of each trial's process, which learns with ``algo.num_learners=0``."""
    cost_per_hour: PositiveFloat | None = None
    """Price of one trial's resources for an hour, for the estimated cost on status and board."""


class CampaignConfig(Config):
    """Experts for many tasks."""

    name: Name = "campaign"
    """Names the campaign and its experts."""
    task: TaskSelector = "all"
    """Tasks: ``all``, a suite, ``libero_goal/3``, ``libero_90/0-9``, or a list."""
    campaign: CampaignSection = CampaignSection()

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The selected tasks."""
        return select_tasks(self.task)

    @property
    def folder(self) -> Path:
        """The campaign's folder on the machine that drives it."""
        return Path(self.output_dir, "campaigns", self.name)

    @property
    def storage(self) -> str:
        """Folder or URI of the campaign's state."""
        return self.campaign.storage or str(self.folder.absolute())

    def for_task(self, task: Task) -> Config:
        """Returns the configuration of one trial."""
        values: dict[str, Any] = self.model_dump(exclude={"campaign"}) | {"task": task.id}
        if self.campaign.gpus_per_trial and not self.algo.num_learners:
            share = {"num_gpus_per_learner": self.campaign.gpus_per_trial}
            values["algo"] = values["algo"] | share
        return Config.model_validate(values)
