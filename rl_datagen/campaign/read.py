"""Finds a campaign by name, folder or URI, and reads it."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rl_datagen.campaign.state import TrialState, read_state
from rl_datagen.campaign.status import STATES, Campaign
from rl_datagen.config import CampaignConfig, stored_config
from rl_datagen.core.errors import UserError, did_you_mean
from rl_datagen.core.paths import is_uri, without_credentials
from rl_datagen.core.storage import Storage
from rl_datagen.tasks import TASKS, Task

PATIENCE_S = 20.0
"""How long to try to reach a remote storage: somebody waits for the answer."""

_CAMPAIGNS = Path("outputs", "campaigns")


def read_campaign(name: str) -> Campaign:
    """Reads the state of every trial.

    Args:
        name: Name of a campaign in ``outputs/campaigns``, or a campaign's folder or URI.

    Raises:
        UserError: There is no such campaign, it has no trials yet, or a file is damaged.
    """
    folder = _find(name)
    storage = Storage(folder, PATIENCE_S)
    config = _config(storage)
    with ThreadPoolExecutor(16) as pool:  # a remote storage answers slowly, but many at a time
        found = list(pool.map(lambda task: _trial(storage, task), TASKS))
    facts = _facts(storage)
    if not any(found):
        raise UserError(
            f"{folder} holds no state of a trial (trials/<suite>-<index>.json). Give the name of a "
            "campaign that `rl-datagen campaign run` has begun, or its folder, or its "
            "campaign.storage."
        )
    return Campaign(
        name=config.name if config else folder.rstrip("/").rsplit("/", 1)[-1],
        folder=folder,
        trials=tuple(
            trial or TrialState(task.id)
            for task, trial in zip(TASKS, found, strict=True)
            if trial or (config and task in config.tasks)
        ),
        max_concurrent_trials=config.campaign.max_concurrent_trials if config else None,
        cost_per_hour=config.campaign.cost_per_hour if config else None,
        confidence=config.evaluation.confidence if config else 0.95,
        links=_links(facts),
        waiting=facts.get("waiting"),
    )


def _find(name: str) -> str:
    """Returns the folder or URI."""
    path = os.path.expanduser(name)
    if is_uri(name) or Path(path).is_dir():
        return path
    folder = _CAMPAIGNS / name
    if folder.is_dir():
        return str(folder)
    known = sorted(path.name for path in _CAMPAIGNS.iterdir()) if _CAMPAIGNS.is_dir() else []
    there = f"{_CAMPAIGNS} holds {', '.join(known)}" if known else f"{_CAMPAIGNS} holds none"
    raise UserError(
        f"There is no campaign '{name}'.{did_you_mean(name, known)} {there}. Give a name, or the "
        "folder or URI of a campaign."
    )


def _config(storage: Storage) -> CampaignConfig | None:
    text = _text(storage, "config.yaml")
    try:
        return stored_config(text, "config.yaml", CampaignConfig) if text else None
    except ValueError as error:
        raise _damaged(storage, "config.yaml", error) from error


def _trial(storage: Storage, task: Task) -> TrialState | None:
    try:
        trial = read_state(storage, task)
        if trial and (trial.task, trial.state in STATES) != (task.id, True):
            raise ValueError(f"task={trial.task!r} state={trial.state!r}")
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise _damaged(storage, f"trials/{task.suite}-{task.index}.json", error) from error
    return trial


def _facts(storage: Storage) -> dict[str, str | None]:
    """Returns what the driver has left: MLflow's address, the dashboard's, what it waits for."""
    text = _text(storage, "campaign.json")
    try:
        return dict(json.loads(text)) if text else {}
    except (ValueError, TypeError) as error:
        raise _damaged(storage, "campaign.json", error) from error


def _links(known: dict[str, str | None]) -> tuple[tuple[str, str], ...]:
    """Returns title and address of Ray's dashboard and MLflow, as far as they are known."""
    joined = os.environ.get("RAY_ADDRESS", "")
    dashboard = known.get("dashboard") or (joined if joined.startswith("http") else None)
    mlflow = known.get("mlflow_uri") or os.environ.get("MLFLOW_TRACKING_URI")
    if mlflow and not mlflow.startswith("http"):
        mlflow = f"mlflow ui --backend-store-uri {mlflow}"
    found = {"Ray dashboard": dashboard, "MLflow": mlflow}
    return tuple((title, without_credentials(link)) for title, link in found.items() if link)


def _text(storage: Storage, path: str) -> str | None:
    try:
        return storage.read_text(path)
    except (OSError, ValueError) as error:
        raise _damaged(storage, path, error) from error


def _damaged(storage: Storage, path: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(
        f"{storage.uri}/{path} cannot be read: {reason}. Its campaign replaces such files whole, "
        "so something else has damaged this one: restore it, or delete it and continue the "
        "campaign with `rl-datagen campaign run`, which writes it again."
    )
