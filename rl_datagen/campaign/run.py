"""The driver of a campaign: which tasks are left, Ray Tune over them, and what became of them."""

import logging
import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
import yaml
from ray import tune
from ray._private.worker import get_dashboard_url
from ray.tune.experiment import Trial as TuneTrial

from rl_datagen.campaign.board import write_board
from rl_datagen.campaign.state import DONE, TrialState, read_state, read_states, write_state
from rl_datagen.campaign.trial import TASK, Stages, expert_folder, train_task
from rl_datagen.config import CampaignConfig, stored_config
from rl_datagen.core.compare import difference_lines
from rl_datagen.core.disk import check_space
from rl_datagen.core.errors import ConfigError, DiskError, UserError
from rl_datagen.core.lock import lock
from rl_datagen.core.paths import is_uri, without_credentials
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.provenance import provenance
from rl_datagen.core.storage import Storage, remove_temporaries
from rl_datagen.core.stored import damaged
from rl_datagen.runtime.cluster import ray_session
from rl_datagen.runtime.room import RoomWatch, actors, check_room, settings_of_actors
from rl_datagen.runtime.tracking import CAMPAIGN_METRICS, Several, Tracker, make_trackers
from rl_datagen.runtime.workdir import LEAST_SPACE
from rl_datagen.tasks import Task, get_task

logger = logging.getLogger(__name__)

_SECONDS_TO_REACH_STORAGE = 20.0
_SECONDS_BETWEEN_BOARDS = 30.0
_TRACKED = ("num_iterations", "num_episodes_per_iteration", "lr")
_FREE = ("max_concurrent_trials", "max_failures", "mlflow_uri", "gpus_per_trial", "cost_per_hour")
"""Settings of the campaign that may change from one call to the next."""


def run_campaign(
    config: CampaignConfig,
    *,
    retry_failed: bool = False,
    stages: Stages | None = None,
    progress: Progress = SILENT,
    track: Sequence[str] = (),
) -> Mapping[str, TrialState | None]:
    """Makes the experts that are missing.

    Called again with the same name it resumes: experts that exist are left alone, and interrupted
    trials continue after their last finished stage and iteration.

    Args:
        config: The campaign.
        retry_failed: Run the tasks again that have used up their retries.
        stages: What trials do; None: make an expert.
        progress: Told of each trial that ends.
        track: Some of ``runtime.tracking.TRACKERS``, beside MLflow.

    Returns:
        How each selected task ended, by its id.

    Raises:
        ConfigError: The storage belongs to a campaign with other settings.
        UserError: Storage or Ray cannot be reached, or another process drives this campaign.
    """
    config = _absolute(config)
    where = (config.folder, config.campaign.mlflow_uri)
    trackers = make_trackers(("mlflow", *track), config.name, CAMPAIGN_METRICS, *where)
    busy = (
        f"Another process drives the campaign {config.name} in {config.folder}. Watch it with "
        f"`rl-datagen campaign status {config.name}`, or choose another name (name=...)."
    )
    with lock(config.folder / ".lock", busy):
        check_space(config.folder, LEAST_SPACE)
        return _drive(config, retry_failed, stages, progress, trackers)


def _drive(
    config: CampaignConfig,
    retry_failed: bool,
    stages: Stages | None,
    progress: Progress,
    tracker: Several,
) -> Mapping[str, TrialState | None]:
    Storage(config.storage, patience_s=_SECONDS_TO_REACH_STORAGE).check()
    storage = Storage(config.storage)
    states = read_states(storage, config.tasks)
    _claim(storage, config, begun=any(states.values()))
    remove_temporaries(config.folder)
    left = [task for task in config.tasks if _is_left(states[task.id], retry_failed)]
    logger.info("campaign=%s tasks=%d left=%d", config.name, len(states), len(left))
    if left:
        progress.start("campaign", len(left), "experts")
        progress.say("starts Ray")
        with ray_session(config.folder / "ray.log", num_cores(config, len(left))):
            check_room(bundles(config), _settings(config))
            _run(config, storage, left, stages, progress, tracker)
    return read_states(storage, config.tasks)


def _absolute(config: CampaignConfig) -> CampaignConfig:
    """Trials have another working folder."""
    campaign, demos = config.campaign, config.demos
    if campaign.storage and not is_uri(campaign.storage):
        storage = str(Path(campaign.storage).absolute())
        campaign = campaign.model_copy(update={"storage": storage})
    if demos.dataset:
        demos = demos.model_copy(update={"dataset": str(Path(demos.dataset).absolute())})
    return config.model_copy(update={"campaign": campaign, "demos": demos})


def bundles(config: CampaignConfig) -> list[dict[str, float]]:
    """Returns the resources of one trial: its own process, then its actors."""
    algo, gpus = config.algo, config.campaign.gpus_per_trial
    if not algo.num_learners:
        gpus = gpus or algo.num_gpus_per_learner
    own: dict[str, float] = {"CPU": 1, "GPU": gpus} if gpus else {"CPU": 1}
    return [own, *map(dict, actors(algo))]


def _settings(config: CampaignConfig) -> str:
    """The settings that decide about ``bundles``, with their values."""
    gpus = config.campaign.gpus_per_trial
    own = [f"campaign.gpus_per_trial={gpus:g}"] if gpus else []
    return ", ".join(filter(None, [*own, settings_of_actors(config.algo)])) or "a trial"


def _claim(storage: Storage, config: CampaignConfig, *, begun: bool) -> None:
    """Writes configuration and provenance, or checks that the campaign has the same."""
    path, advice = storage.uri_of("config.yaml"), "Restore it from a copy, or choose another name."
    text = storage.read_bytes("config.yaml", advice)
    if text is None and begun:
        raise damaged(path, "it is missing, and there are states of trials", advice)
    if text is not None:
        there = stored_config(text, path, CampaignConfig, advice)
        if lines := difference_lines(_identity(there), _identity(config)):
            raise ConfigError(
                f"The campaign in {config.storage} has another configuration: {'; '.join(lines)}. "
                "Nothing was changed. Choose another name with name=... (and another "
                "campaign.storage), or give it these settings; task, output_dir and, of campaign, "
                f"{', '.join(_FREE)} may differ."
            )
    else:
        storage.write_json("provenance.json", provenance())
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    storage.write_text("config.yaml", without_credentials(text))


def _identity(config: CampaignConfig) -> dict[str, Any]:
    exclude: Any = {"task": True, "output_dir": True, "campaign": {*_FREE, "storage"}}
    return config.model_dump(mode="json", exclude=exclude)


def _is_left(state: TrialState | None, retry_failed: bool) -> bool:
    if state is None or state.state not in (*DONE, "failed"):
        return True
    return state.state == "failed" and retry_failed


def num_cores(config: CampaignConfig, num_tasks: int) -> int:
    """Returns the cores Ray may believe in on this machine: enough for the trials asked for."""
    at_once = min(config.campaign.max_concurrent_trials or 1, num_tasks)
    return max(os.cpu_count() or 1, at_once * len(bundles(config)))


def _run(
    config: CampaignConfig,
    storage: Storage,
    tasks: list[Task],
    stages: Stages | None,
    progress: Progress,
    tracker: Several,
) -> None:
    root = Path(config.output_dir).absolute()
    if not config.campaign.storage and sum(node["Alive"] for node in ray.nodes()) > 1:
        logger.warning(
            "several nodes and campaign.storage=null: they need %s on a shared disk, or give "
            "campaign.storage an s3:// or gs:// URI",
            root,
        )
    runs = tracker.open([task.id for task in tasks], _parameters(config))
    for task in tasks:
        state = read_state(storage, task) or TrialState(task.id)
        pending = {"state": "pending", "finished": None, "error": None, "updated": time.time()}
        run, number = runs.get(task.id) or state.mlflow_run, config.algo.num_iterations
        write_state(storage, replace(state, **pending, mlflow_run=run, num_iterations=number))
    facts = {"mlflow_uri": without_credentials(str(tracker.mlflow_uri)), "dashboard": _dashboard()}
    storage.write_json("campaign.json", facts)

    def expert(parameters: dict[str, Any]) -> None:
        train_task(parameters, config=config, root=root, stages=stages)

    at_once = config.campaign.max_concurrent_trials
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new one cannot be silenced
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C ends it as SIGTERM does
    # Trials that wait for resources are what makes a cluster grow.
    os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(at_once or len(tasks)))
    tuner = tune.Tuner(
        tune.with_resources(expert, tune.PlacementGroupFactory(bundles(config))),
        param_space={TASK: tune.grid_search([task.id for task in tasks])},
        tune_config=tune.TuneConfig(
            max_concurrent_trials=at_once,
            reuse_actors=False,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name=time.strftime("%Y%m%d-%H%M%S"),
            storage_path=storage.uri_of("tune"),
            failure_config=tune.FailureConfig(max_failures=config.campaign.max_failures),
            callbacks=[
                _Witness(config, storage, tracker, root),
                _Waiting(config, storage, facts),
                _Told(progress),
            ],
            verbose=0,
        ),
    )
    tuner.fit()
    tracker.flush(force=True)
    _show_board(config)


def _show_board(config: CampaignConfig) -> None:
    """Renews the page; a campaign does not end for want of it."""
    try:
        write_board(str(config.storage))
    except (UserError, OSError) as error:
        logger.warning("no board error=%s", error)


class _Witness(tune.Callback):
    """Records what happens to trials where they cannot do it themselves."""

    def __init__(
        self, config: CampaignConfig, storage: Storage, tracker: Tracker, root: Path
    ) -> None:
        self._config, self._storage, self._root = config, storage, root
        self._tracker = tracker
        self._shown = 0.0  # time of the last board

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune stores its callbacks for its own restore, which we do not use."""
        return {}

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """A trial's process runs."""
        self._tracker.status(trial.config[TASK], "RUNNING")
        logger.info("started task=%s", trial.config[TASK])

    def on_trial_result(
        self,
        iteration: int,
        trials: list[TuneTrial],
        trial: TuneTrial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """A trial has reported."""
        self._tracker.log(trial.config[TASK], result)
        if time.monotonic() - self._shown > _SECONDS_BETWEEN_BOARDS:
            self._shown = time.monotonic()
            _show_board(self._config)

    def on_trial_recover(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """A trial died and is started again, unless a disk is full: no other try fares better."""
        _end_if_disk_is_full(trial)
        state = read_state(self._storage, get_task(trial.config[TASK]))
        error = (state and state.error) or _cause(trial)
        logger.warning("died, is started again task=%s error=%s", trial.config[TASK], error)

    def on_trial_error(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """A trial has died for the last time."""
        _end_if_disk_is_full(trial)
        task = get_task(trial.config[TASK])
        state = read_state(self._storage, task) or TrialState(task.id)
        now = time.time()
        end = {"state": "failed", "finished": now, "updated": now}
        write_state(self._storage, replace(state, **end, error=state.error or _cause(trial)))
        self._end(task)

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """A trial's function has returned."""
        self._end(get_task(trial.config[TASK]))

    def _end(self, task: Task) -> None:
        state = read_state(self._storage, task) or TrialState(task.id)
        fetch = partial(expert_folder, task, self._config, self._root)
        self._tracker.end(task.id, state.state, fetch if state.expert else None)
        log = logger.warning if state.state == "failed" else logger.info
        log(
            "%s task=%s iterations=%d env_steps=%d seconds=%.0f%s",
            state.state,
            task.id,
            state.iteration,
            state.env_steps,
            state.seconds,
            f" error={state.error}" if state.error else "",
        )


class _Waiting(tune.Callback):
    """Says that no trial can be placed: in the log, and where status and board read it."""

    def __init__(self, config: CampaignConfig, storage: Storage, facts: dict[str, Any]) -> None:
        self._config, self._storage, self._facts = config, storage, facts
        self._watch = RoomWatch(bundles(config), _settings(config))
        self._told: str | None = None

    def __getstate__(self) -> dict[str, Any]:
        """As ``_Witness``."""
        return {}

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """Tune has looked at its trials, as it does all the time."""
        if not self._watch.look() or self._watch.said == self._told:
            return
        self._told = self._watch.said
        self._storage.write_json("campaign.json", {**self._facts, "waiting": self._told})
        _show_board(self._config)


class _Told(tune.Callback):
    """Tells the progress how many trials run, wait and have ended."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __getstate__(self) -> dict[str, Any]:
        """As ``_Witness``."""
        return {}

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """Tune has looked at its trials."""
        states = Counter(trial.status for trial in trials)
        waiting = f", {states['PENDING']} wait" if states["PENDING"] else ""
        self._progress.say(f"{states['RUNNING']} at work{waiting}")

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """A trial's function has returned."""
        self._progress.advance(1)

    def on_trial_error(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """A trial has died for the last time."""
        self._progress.advance(1)


def _cause(trial: TuneTrial) -> str:
    return (_error_text(trial).strip().splitlines() or ["its process died"])[-1].strip()


def _error_text(trial: TuneTrial) -> str:
    """Returns what Tune has noted on this machine; the copy in the storage may lack room."""
    path = trial.error_file
    return Path(path).read_text("utf-8") if path and Path(path).exists() else ""


def _end_if_disk_is_full(trial: TuneTrial) -> None:
    """Raises DiskError if a trial has died of a disk, which ends the campaign."""
    found = re.search(rf"\b{DiskError.__name__}: (.*)", _error_text(trial))
    if found:
        raise DiskError(found[1])


def _parameters(config: CampaignConfig) -> dict[str, Any]:
    algo = {name: getattr(config.algo, name) for name in _TRACKED}
    return {"policy": config.policy.kind, "seed": config.seed} | algo


def _trial_name(trial: TuneTrial) -> str:
    return trial.config[TASK].replace("/", "-")


def _dashboard() -> str | None:
    url = get_dashboard_url()
    return f"http://{url}" if url else None
