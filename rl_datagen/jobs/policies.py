"""What an evaluation evaluates: a folder or a policy server, which workers on other nodes open."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from rl_datagen.config import EvaluateConfig
from rl_datagen.core.errors import UserError
from rl_datagen.policy.expert import CONFIG, NORM_STATS, WEIGHTS
from rl_datagen.policy.release import released
from rl_datagen.rollout import Policy
from rl_datagen.runtime.device import torch_device
from rl_datagen.vla.folder import DATA, read_data

if TYPE_CHECKING:
    from rl_datagen.jobs.remote import RemotePolicy

Kind = Literal["vla", "expert", "server"]


@dataclass(frozen=True)
class PolicySource:
    """A policy that is not open yet.

    Attributes:
        kind: What it is.
        id: Tells policies apart: digest of the files; of a server only that it is one.
        files: Those of its folder, by name; they reach workers that do not share a disk.
        task: The only task it knows, if it is an expert.
        source: What it learnt from, if its folder says so.
        trained_on: The tasks it learnt from, likewise.
    """

    kind: Kind
    id: str
    files: dict[str, bytes]
    task: str | None = None
    source: str | None = None
    trained_on: str | None = None

    def describe(self, config: EvaluateConfig) -> EvaluateConfig:
        """Returns the configuration with what the folder says of the training, unless it does."""
        said = {"source": self.source, "trained_on": self.trained_on}
        given = config.model_dump(include=set(said), exclude_none=True)
        return config.model_copy(update=said | given)

    def check(self, config: EvaluateConfig) -> None:
        """Opens the policy once here, so that no worker has to start for one that is of no use.

        Raises:
            UserError: The folder is damaged, or the server does not answer.
        """
        if self.kind == "server":
            self.connect(config).close()
        else:
            self.load(config)

    def connect(self, config: EvaluateConfig) -> "RemotePolicy":
        """Returns a connection to the policy server.

        Raises:
            UserError: It does not answer.
        """
        from rl_datagen.jobs.remote import RemotePolicy

        return RemotePolicy(config.policy, config.server)

    def load(self, config: EvaluateConfig) -> Policy:
        """Returns the policy in the folder.

        Raises:
            UserError: It is damaged.
        """
        with tempfile.TemporaryDirectory() as folder:
            for name, content in self.files.items():
                Path(folder, name).write_bytes(content)
            if self.kind == "expert":
                from rl_datagen.policy import load_expert

                return load_expert(folder)
            from rl_datagen.vla.policy import load_vla

            device = torch_device(config.num_gpus_per_worker, "num_gpus_per_worker")
            return load_vla(folder, device=device)


def find_policy(policy: str) -> PolicySource:
    """Returns the policy that a setting names.

    Args:
        policy: See ``EvaluateConfig``.

    Raises:
        UserError: It is neither an address nor the folder of a policy.
    """
    if policy.startswith(("ws://", "wss://")):
        return PolicySource("server", "server", {})
    folder = Path(released(policy))
    settings = _settings(folder)
    if not {"task", "datasets"} & settings.keys():
        raise UserError(
            f"'{policy}' is no policy: give the folder of a VLA (`rl-datagen vla train`) or "
            "of an expert (outputs/experts/<task>/<name>), or the address of a policy server such "
            "as ws://localhost:8000."
        )
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    content = files.get(WEIGHTS, b"") + files.get(NORM_STATS, b"")
    name = f"{settings.get('name')}@{hashlib.sha256(content).hexdigest()[:12]}"
    if "datasets" not in settings:
        return PolicySource("expert", f"expert {name}", files, task=settings["task"])
    data = read_data(folder) if DATA in files else {}
    tasks = ",".join(data["tasks"]) if "tasks" in data else None
    return PolicySource("vla", f"vla {name}", files, source=data.get("source"), trained_on=tasks)


def _settings(folder: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load((folder / CONFIG).read_text("utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return settings if isinstance(settings, dict) else {}
