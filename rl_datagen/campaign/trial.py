"""One task's expert, as a function that Ray Tune runs and may have to run again."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from ray import tune

from rl_datagen.campaign.state import DONE, Successes, TrialState, read_state, write_state
from rl_datagen.campaign.sync import Sync
from rl_datagen.config import CampaignConfig
from rl_datagen.core.disk import disk_error
from rl_datagen.core.errors import UserError
from rl_datagen.core.log import setup_logging
from rl_datagen.core.paths import without_credentials
from rl_datagen.core.progress import Silent
from rl_datagen.core.storage import Storage
from rl_datagen.pipeline.engine import Summary
from rl_datagen.pipeline.run import Run, run_stages
from rl_datagen.tasks import Task, get_task

Stages = Mapping[str, Callable[[Run], Summary]]
TASK = "task"  # the parameter that tells trials apart

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialRun(Run):
    """A run that shares its name with those of the campaign's other tasks.

    Attributes:
        root: ``config.output_dir`` as the driver sees it; Tune changes the working folder.
        over_budget: Whether a row of the learning curve has used up the trial's budget.
    """

    is_watched: ClassVar[bool] = False  # its progress is a file that is seldom read
    root: Path
    over_budget: Callable[[dict[str, Any]], bool]

    def should_stop(self, row: dict[str, Any]) -> bool:
        """Whether the budget is used up."""
        return self.over_budget(row)

    def _output(self, *kind: str, suffix: str = "") -> Path:
        if kind[0] == "experts":
            return Path(self.root, *kind, self.config.name + suffix)
        task = f"{self.task.suite}-{self.task.index}{suffix}"
        return Path(self.root, *kind, self.config.name, task)


class Trial(Silent):
    """Runs the stages and says after each, and after each iteration, how far it is.

    Args:
        task: The task.
        config: The campaign.
        root: The campaign's output folder on this machine.
        report: Told what Tune and the tracker should know.
    """

    def __init__(
        self,
        task: Task,
        config: CampaignConfig,
        root: Path,
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self.config, self._report = config, report
        self.storage = Storage(config.campaign.storage or str(root / "campaigns" / config.name))
        own = config.for_task(task)
        self.run = TrialRun(own, self, root, self._over_budget)
        self._copy = _sync_of(self.storage, self.run) if config.campaign.storage else None
        known = read_state(self.storage, task) or TrialState(task.id)
        self.done = known.state in DONE
        again = known.state == "running"  # nobody has said how it ended
        self._begin = time.monotonic() - known.seconds  # the wall clock may jump
        self.state = replace(
            known,
            state="running",
            started=known.started or time.time(),
            finished=None,
            num_iterations=own.algo.num_iterations,
            retries=known.retries + again,
            error=None,
        )

    def __call__(self, stages: Stages) -> None:
        """Runs what is not finished yet."""
        self._update()
        if self._copy:
            self._copy.download()
        stopped = False
        for name, function in stages.items():
            self._update(stage=name)
            run_stages(self.run, {name: function})
            summary = self.run.markers.summary(name, *_needed(name))
            stopped = stopped or summary.get("stopped", False)
            self._sync()
            self._update(**_evaluated(name, summary))
        expert = self.run.expert.relative_to(self.run.root).as_posix()
        here = f"{self.run.config.output_dir}/{expert}"
        self._update(
            state="stopped" if stopped else "finished",
            stage=None,
            finished=time.time(),
            expert=without_credentials(self.storage.uri_of(expert)) if self._copy else here,
        )
        self._report(_final(self.state))

    def fail(self, error: Exception, *, final: bool) -> None:
        """Records what the trial died of."""
        end = {"state": "failed", "finished": time.time()} if final else {}
        lines = str(error).strip().splitlines()
        self._update(error=f"{type(error).__name__}: {lines[0] if lines else ''}", **end)

    def finish(self, stage: str, detail: str, seconds: float) -> None:
        """A stage is done; of ``Progress``."""
        logger.info("task=%s stage=%s seconds=%.0f %s", self.state.task, stage, seconds, detail)

    def iteration(self, row: dict[str, Any]) -> None:
        """An iteration is done, and its checkpoint is on disk."""
        self._sync()
        number, state = row["iteration"], self.state
        evaluated = row.get("evaluation_success_rate")
        self._update(
            iteration=number,
            env_steps=row["num_env_steps_lifetime"],
            env_steps_per_second=row["env_steps_per_second"],
            sampled=_curve(state.sampled, number, row["success_rate"]),
            evaluated=_curve(state.evaluated, number, evaluated),
        )
        self._report({**row, "seconds": self.state.seconds})

    def _over_budget(self, row: dict[str, Any]) -> bool:
        budget, hours = self.config.campaign, (time.monotonic() - self._begin) / 3600
        steps = row["num_env_steps_lifetime"]
        return bool(
            (budget.max_env_steps and steps >= budget.max_env_steps)
            or (budget.max_hours and hours >= budget.max_hours)
        )

    def _sync(self) -> None:
        if self._copy:
            self._copy.upload()

    def _update(self, **changes: Any) -> None:
        seconds = time.monotonic() - self._begin
        self.state = replace(self.state, **changes, updated=time.time(), seconds=seconds)
        write_state(self.storage, self.state)


def train_task(
    parameters: Mapping[str, Any], *, config: CampaignConfig, root: Path, stages: Stages | None
) -> None:
    """Makes the expert of ``parameters["task"]``; Tune's trainable.

    What the user has to put right fails the task at once; anything else is raised, so that Tune
    starts the trial again, or the campaign ends because its disk is full.
    """
    setup_logging()
    trial = Trial(get_task(parameters[TASK]), config, root, tune.report)
    if trial.done:  # it died on its very last steps
        return
    try:
        trial(stages or _training())
    except Exception as error:
        if said := disk_error(error):  # nothing can be recorded; the driver ends the campaign
            raise said from error
        final = isinstance(error, UserError)
        trial.fail(error, final=final)
        if not final:
            raise


def _training() -> Stages:
    """The real stages, imported only where they run: the driver lives without torch and MuJoCo."""
    from rl_datagen.pipeline.expert import STAGES

    return STAGES


def _sync_of(storage: Storage, run: TrialRun) -> Sync:
    moments = [run.evaluation(moment) for moment in ("before", "after")]
    folders = [run.folder, run.demos, run.warm_expert, run.polished, run.expert, *moments]
    name = f"{run.task.suite}-{run.task.index}"
    return Sync(storage, run.root, folders, f"mirror/{run.config.name}/{name}.json")


def _curve(
    points: Iterable[tuple[int, float]], number: int, value: float | None
) -> list[tuple[int, float]]:
    """Adds a point; an iteration that is repeated after a restart replaces its own."""
    kept = [point for point in points if point[0] < number]
    return kept if value is None else [*kept, (number, value)]


def _needed(stage: str) -> tuple[str, ...]:
    evaluated = stage.startswith("evaluate_")
    return ("num_successes", "num_episodes", "episode_len_mean") if evaluated else ()


def _evaluated(stage: str, summary: Summary) -> dict[str, Any]:
    if not _needed(stage):
        return {}
    moment = stage.removeprefix("evaluate_")
    counts = Successes(summary["num_successes"], summary["num_episodes"])
    return {f"success_{moment}": counts, f"length_{moment}": summary["episode_len_mean"]}


def _final(state: TrialState) -> dict[str, Any]:
    """What Tune and the tracker are told at the end."""
    rates = {
        f"success_rate_{moment}": result.num_successes / result.num_episodes
        for moment, result in (("before", state.success_before), ("after", state.success_after))
        if result and result.num_episodes
    }
    return {**rates, "iteration": state.iteration, "seconds": state.seconds}


def expert_folder(task: Task, config: CampaignConfig, root: Path) -> Path:
    """Returns a finished trial's expert on this machine, fetched if another one made it."""
    nobody: Any = None
    run = TrialRun(config.for_task(task), nobody, root, lambda _: False)
    if config.campaign.storage and not run.expert.exists():
        _sync_of(Storage(config.storage), run).fetch(run.expert)
    return run.expert
