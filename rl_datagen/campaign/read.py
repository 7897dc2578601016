"""Finds a campaign by name, folder or URI, and reads it."""

import os
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter

from rl_datagen.campaign.state import TrialState, read_state
from rl_datagen.campaign.status import Campaign
from rl_datagen.config import CampaignConfig, stored_config
from rl_datagen.core.errors import UserError, did_you_mean, first_line
from rl_datagen.core.paths import is_uri, without_credentials
from rl_datagen.core.storage import Storage
from rl_datagen.core.stored import damaged
from rl_datagen.tasks import Task, known_tasks

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
        found = list(pool.map(lambda task: _trial(storage, task), known_tasks()))
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
            for task, trial in zip(known_tasks(), found, strict=True)
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
    """Returns the settings; None if somebody has put states together without."""
    with _reachable(storage, "config.yaml"):
        text = storage.read_bytes("config.yaml", _AGAIN)
    if text is None:
        return None
    return stored_config(text, storage.uri_of("config.yaml"), CampaignConfig, _AGAIN)


def _trial(storage: Storage, task: Task) -> TrialState | None:
    with _reachable(storage, f"trials/{task.suite}-{task.index}.json"):
        return read_state(storage, task)


def _facts(storage: Storage) -> dict[str, str | None]:
    """Returns what the driver has left: MLflow's address, the dashboard's, what it waits for."""
    with _reachable(storage, "campaign.json"):
        return storage.read_json("campaign.json", _FACTS, _AGAIN) or {}


def _links(known: dict[str, str | None]) -> tuple[tuple[str, str], ...]:
    """Returns title and address of Ray's dashboard and MLflow, as far as they are known."""
    joined = os.environ.get("RAY_ADDRESS", "")
    dashboard = known.get("dashboard") or (joined if joined.startswith("http") else None)
    mlflow = known.get("mlflow_uri") or os.environ.get("MLFLOW_TRACKING_URI")
    if mlflow and not mlflow.startswith("http"):
        mlflow = f"mlflow ui --backend-store-uri {mlflow}"
    found = {"Ray dashboard": dashboard, "MLflow": mlflow}
    return tuple((title, without_credentials(link)) for title, link in found.items() if link)


@contextmanager
def _reachable(storage: Storage, path: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        advice = "Check the address and the network."
        raise damaged(storage.uri_of(path), first_line(error), advice) from error


_AGAIN = "Restore it from a copy, or delete it: `rl-datagen campaign run` writes it again."
_FACTS: TypeAdapter[dict[str, str | None]] = TypeAdapter(dict[str, str | None])
