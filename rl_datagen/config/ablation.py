"""Settings of an ablation: one expert's, for several arms, tasks and seeds."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from rl_datagen.config.algo import AlgoConfig
from rl_datagen.config.loader import with_overlay
from rl_datagen.config.schema import Config
from rl_datagen.config.types import Count, Name, PositiveInt, TaskSelector
from rl_datagen.tasks import Task, select_tasks

DEFAULT_ARM = "default"
"""The settings as they are; every other arm is compared with it."""


class OneCoreAlgoConfig(AlgoConfig):
    """Denoising-step PPO in one process (Eqs. 2-5 of the paper)."""

    num_env_runners: Count = 0
    """Simulators are stepped in the process that learns."""


class AblationConfig(Config):
    """Learning, with and without each of some choices."""

    name: Name = "ablation"
    """Names the folder under ``<output_dir>/ablations``."""
    task: TaskSelector = "libero_object/6,libero_goal/8,libero_90/48"
    """Tasks: ``all``, a suite, ``libero_goal/3``, ``libero_90/0-9``, or a list."""
    arms: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "ablation/mlp_denoiser",
        "ablation/ddpm",
        "ablation/denoising_steps_1",
        "ablation/denoising_steps_10",
        "ablation/constant_lr",
        "ablation/constant_lr_low",
        "ablation/few_simulators",
        "ablation/very_few_simulators",
        "ablation/gaussian",
    )
    """Overlays, by name or by the path of a YAML file; each is an arm beside the settings as they
    are."""
    num_seeds: PositiveInt = 1
    """Runs of each arm and task: from ``seed`` on, demonstrations included."""
    num_workers: PositiveInt | None = None
    """Runs at a time, a core each; null: as many as there are cores."""

    algo: OneCoreAlgoConfig = OneCoreAlgoConfig()  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The selected tasks."""
        return select_tasks(self.task)

    @property
    def folder(self) -> Path:
        """Results and work."""
        return Path(self.output_dir, "ablations", self.name)

    @property
    def arm_names(self) -> tuple[str, ...]:
        """The arms by their short names, the default one first."""
        return (DEFAULT_ARM, *map(_short, self.arms))

    def for_cell(self, arm: str, task: Task, seed: int) -> Config:
        """Returns the settings of one run.

        Args:
            arm: Its short name.
            task: The task.
            seed: Counted from 0.

        Raises:
            ConfigError: The arm's overlay cannot be read, or contradicts the settings.
        """
        own = {"arms", "num_seeds", "num_workers"}
        values: dict[str, Any] = self.model_dump(exclude=own)
        values |= {"task": task.id, "seed": self.seed + seed}
        overlays = {_short(overlay): overlay for overlay in self.arms}
        return with_overlay(Config.model_validate(values), overlays.get(arm))

    @model_validator(mode="after")
    def _runs_are_of_one_core(self) -> Self:
        names = self.arm_names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"arms: two have the name '{twice[0]}'; rename one of the files")
        if self.algo.num_env_runners or self.algo.num_learners:
            raise ValueError(
                f"algo.num_env_runners={self.algo.num_env_runners} and "
                f"algo.num_learners={self.algo.num_learners}: an ablation's runs take one core "
                "each, and both are 0; num_workers says how many run side by side"
            )
        return self


def _short(overlay: str) -> str:
    return Path(overlay).stem
