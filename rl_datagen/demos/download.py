"""LIBERO's full set of human demonstrations, 50 per task, from the Hugging Face hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]
from huggingface_hub.hf_api import RepoFile

from rl_datagen.core.errors import ConfigError, UserError, did_you_mean, first_line
from rl_datagen.tasks import SUITES

REPOSITORY = "yifengzhu-hf/LIBERO-datasets"
LICENSE = (
    "CC BY 4.0: credit Liu et al., LIBERO: Benchmarking Knowledge Transfer for Lifelong Robot "
    "Learning, 2023 (arXiv:2306.03310). So says LIBERO; the hub's page is tagged Apache-2.0."
)
_NETWORK_ERRORS = (HTTPError, OSError)  # OSError: a name that does not resolve, a full disk


@dataclass(frozen=True)
class RemoteFile:
    """One HDF5 file on the hub: the demonstrations of one task.

    Attributes:
        path: In the repository, such as ``libero_goal/open_..._demo.hdf5``.
        num_bytes: Its size.
    """

    path: str
    num_bytes: int


def list_remote(suites: Sequence[str] = SUITES, api: HfApi | None = None) -> list[RemoteFile]:
    """Asks the hub which files there are and how large they are; downloads nothing.

    Args:
        suites: Suites to list.
        api: Client of the hub.

    Raises:
        ConfigError: There is no such suite.
        UserError: The hub cannot be reached or lacks the files.
    """
    for suite in suites:
        if suite not in SUITES:
            raise ConfigError(
                f"Unknown suite '{suite}'.{did_you_mean(suite, SUITES)} Allowed: "
                f"{', '.join(SUITES)}, or none for all five."
            )
    api = api or HfApi()
    try:
        found = [
            RemoteFile(item.path, item.size)
            for suite in suites
            for item in api.list_repo_tree(REPOSITORY, suite, repo_type="dataset")
            if isinstance(item, RepoFile) and item.path.endswith(".hdf5")
        ]
    except _NETWORK_ERRORS as error:
        raise _unreachable(error) from error
    if not found:
        raise UserError(f"The hub's data set {REPOSITORY} has no HDF5 file of {', '.join(suites)}.")
    return found


def download(file: RemoteFile, folder: Path, api: HfApi | None = None) -> Path:
    """Fetches a file below ``folder``; a whole one is kept, a part is continued.

    Raises:
        UserError: The hub cannot be reached.
    """
    try:
        path = (api or HfApi()).hf_hub_download(
            REPOSITORY, file.path, repo_type="dataset", local_dir=folder
        )
    except _NETWORK_ERRORS as error:
        raise _unreachable(error) from error
    return Path(path)


def _unreachable(error: Exception) -> UserError:
    return UserError(
        f"The Hugging Face hub did not answer for the data set {REPOSITORY}: "
        f"{first_line(error)}. Check the network (HF_ENDPOINT names a mirror, HTTPS_PROXY a proxy) "
        "and call again: what is complete is kept. Or copy LIBERO's *_demo.hdf5 files here by "
        "other means and give their folder to `rl-datagen demos import`; the bundled "
        "demonstrations need no network."
    )
