"""The Hugging Face Hub: folders to repositories and back, with files checked on their way.

``HF_ENDPOINT`` and ``HF_TOKEN`` are those of ``huggingface_hub``, which is the extra ``[hub]``.
"""

import os
import shutil
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from rl_datagen.core.disk import disk_errors
from rl_datagen.core.errors import UserError, first_line, require, shown
from rl_datagen.core.lock import lock
from rl_datagen.core.paths import check_relative_path
from rl_datagen.core.progress import Progress
from rl_datagen.core.storage import check_absent, sha256

Kind = Literal["dataset", "model"]
SCHEME = "hf://"
_PREFIX = {"dataset": "datasets/", "model": ""}  # of an address, before the owner
_FILES_PER_COMMIT = 500
_NUM_THREADS = 8  # of a download; each file is a request or two


@dataclass(frozen=True)
class Repo:
    """A repository, or a folder of one.

    Attributes:
        kind: Of the repository.
        name: ``owner/name``.
        folder: In it; empty: all of it.
        revision: Branch, tag or commit; None: the newest.
    """

    kind: Kind
    name: str
    folder: str = ""
    revision: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{SCHEME}{_PREFIX[self.kind]}{self.name}{revision}" + f"/{self.folder}".rstrip("/")

    @classmethod
    def parse(cls, text: str, kind: Kind) -> Self:
        """Returns what ``owner/name``, ``hf://owner/name@revision/folder`` and the like mean.

        Raises:
            UserError: It names no repository.
        """
        path = text.removeprefix(SCHEME).removeprefix(_PREFIX[kind])
        parts = path.split("/", 2)
        name, _, revision = "/".join(parts[:2]).partition("@")
        folder = parts[2].rstrip("/") if len(parts) > 2 else ""
        try:
            for each in (name, folder or name):
                check_relative_path(each)
            if name.count("/") != 1:
                raise ValueError(f"'{shown(name)}' is not of the form OWNER/NAME")
        except ValueError as error:
            raise UserError(
                f"'{shown(text)}' is no repository of the Hub: {error}. Give OWNER/NAME, such as "
                f"lab/libero_goal, or {SCHEME}{_PREFIX[kind]}OWNER/NAME[@REVISION][/FOLDER]."
            ) from None
        return cls(kind, name, folder, revision or None)


@dataclass(frozen=True)
class Upload:
    """What is to be in a repository.

    Attributes:
        files: Content or path of each file, by name; the last ones are there last.
        message: Of the commit.
        tag: Moved to the commit, such as LeRobot's ``v3.0``; None: none.
        private: Whether a new repository is private.
    """

    files: Mapping[str, bytes | Path]
    message: str
    tag: str | None = None
    private: bool = False


def push(repo: Repo, upload: Upload, progress: Progress) -> str:
    """Makes the repository if there is none, uploads files, and returns its address.

    Files are sent in several commits if they are many, and those that are there already are not
    sent again, so that the same call resumes. Other files in the same folders are removed.

    Raises:
        UserError: No network, no token, or no permission.
    """
    api = _api()
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    progress.start("push", len(upload.files), "files")
    with _hub_errors(repo):
        url = api.create_repo(repo.name, repo_type=repo.kind, private=upload.private, exist_ok=True)
        stale = _stale(api, repo, upload.files)
        operations: list[Any] = [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
            for name, content in upload.files.items()
        ]
        for begin in range(0, len(operations), _FILES_PER_COMMIT):
            batch = operations[begin : begin + _FILES_PER_COMMIT]
            last = begin + _FILES_PER_COMMIT >= len(operations)
            removed = [CommitOperationDelete(name) for name in stale] if last else []
            api.create_commit(
                repo.name,
                [*batch, *removed],
                repo_type=repo.kind,
                commit_message=upload.message,
            )
            progress.advance(len(batch))
        if upload.tag:
            _move_tag(api, repo, upload.tag)
    return str(url)


def _stale(api: Any, repo: Repo, files: Iterable[str]) -> list[str]:
    """Returns files of the repository that are not ours, in folders in which ours are."""
    folders = {name.partition("/")[0] for name in files if "/" in name}
    ours = set(files)
    there = [each.path for each in _listing(api, repo)]
    return [p for p in there if "/" in p and p.partition("/")[0] in folders and p not in ours]


def _move_tag(api: Any, repo: Repo, tag: str) -> None:
    from huggingface_hub.errors import RevisionNotFoundError

    with suppress(RevisionNotFoundError):
        api.delete_tag(repo.name, tag=tag, repo_type=repo.kind)
    api.create_tag(repo.name, tag=tag, repo_type=repo.kind)


Choose = Callable[[set[str], Callable[[str], Path]], Sequence[str]]
"""Returns which of a repository's files are wanted; it may fetch some to see which."""


def pull(
    repo: Repo, out: Path, choose: Choose, check: Callable[[Path], None], progress: Progress
) -> None:
    """Downloads files to a folder, which appears whole and checked or not at all.

    The same call resumes one that was interrupted: files that are there are not fetched again.

    Args:
        repo: The repository.
        out: Folder that does not exist yet.
        choose: See ``Choose``.
        check: Raises if the files are not what they should be.
        progress: Told of each file.

    Raises:
        UserError: No network, no such repository, a file that is damaged or whose name leads out
            of the folder, or ``check``'s.
    """
    check_absent(out)
    api = _api()
    work = out.with_name(f".{out.name}.pull")
    files = work / "files"
    held = lock(work / "lock", f"Another process pulls to {out}. Wait until it has finished.")
    with closing(held), disk_errors(out), _hub_errors(repo):
        commit = api.repo_info(repo.name, repo_type=repo.kind, revision=repo.revision).sha
        pinned = Repo(repo.kind, repo.name, repo.folder, commit)
        listing = {_checked(each.path, repo): each for each in _listing(api, pinned)}

        def fetch(name: str) -> Path:
            return _fetch(api, pinned, listing[name], files)

        wanted = choose(set(listing), fetch)
        progress.start("pull", len(wanted), "files")
        with ThreadPoolExecutor(_NUM_THREADS) as pool:
            for _ in pool.map(fetch, wanted):
                progress.advance()
        shutil.rmtree(files / ".cache", ignore_errors=True)
        root = files / repo.folder
        check(root)
        check_absent(out)
        root.rename(out)
        shutil.rmtree(work)


def cached(repo: Repo, names: Sequence[str]) -> Path:
    """Returns a folder of the Hub's cache that has these files of a repository's folder.

    Raises:
        UserError: No network, no such repository, or a file is not there.
    """
    api = _api()
    with _hub_errors(repo):
        paths = [
            api.hf_hub_download(
                repo.name,
                name,
                subfolder=repo.folder or None,
                repo_type=repo.kind,
                revision=repo.revision,
            )
            for name in names
        ]
    return Path(paths[0]).parent


def _api() -> Any:
    require("huggingface_hub")
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"))


def _listing(api: Any, repo: Repo) -> list[Any]:
    entries = api.list_repo_tree(
        repo.name,
        repo.folder or None,
        recursive=True,
        repo_type=repo.kind,
        revision=repo.revision,
    )
    return [each for each in entries if hasattr(each, "size")]  # folders have none


def _checked(path: str, repo: Repo) -> str:
    try:
        return check_relative_path(path)
    except ValueError as error:
        raise UserError(
            f"{repo} is refused: it lists a file {error}. Nothing was written."
        ) from None


def _fetch(api: Any, repo: Repo, entry: Any, files: Path) -> Path:
    path = Path(
        api.hf_hub_download(
            repo.name,
            entry.path,
            repo_type=repo.kind,
            revision=repo.revision,
            local_dir=files,
        )
    )
    expected = entry.lfs.sha256 if entry.lfs else None
    if path.stat().st_size != entry.size or (expected and sha256(path) != expected):
        path.unlink()
        raise UserError(
            f"{entry.path} of {repo} is damaged: it is not of the size and the SHA-256 that the "
            "Hub says. The same command fetches it again."
        )
    return path


@contextmanager
def _hub_errors(repo: Repo) -> Generator[None]:
    """Makes one paragraph of what the Hub, or the way there, answers.

    Raises:
        UserError: In place of the library's errors.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        causes: list[BaseException] = [error]  # an upload's is wrapped
        while (cause := causes[-1].__cause__) is not None:
            causes.append(cause)
        said = next(filter(None, (_explain(each, repo) for each in causes)), None)
        if said is None:
            raise
        raise UserError(said) from error


def _explain(error: BaseException, repo: Repo) -> str | None:
    from huggingface_hub import errors

    endpoint = os.environ.get("HF_ENDPOINT", "the Hub")
    login = "Set HF_TOKEN, or run `hf auth login`; tokens are made in the settings of your account."
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return f"{repo} is gated: ask for access on its page. {login}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"There is no repository {repo} at {endpoint}, or it is private and your token does "
            f"not see it. Check owner, name and kind ({repo.kind}). {login}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo} has no revision '{repo.revision}': give a branch, a tag or a commit of it."
    if isinstance(error, errors.LocalTokenNotFoundError) or status == 401:
        return f"{endpoint} asks who you are, for {repo}. {login}"
    if status == 403:
        return f"Your token may not write to {repo}: it needs the role 'write'. {login}"
    if _is_of_network(error, errors):
        return (
            f"{endpoint} cannot be reached, for {repo}: {first_line(error)}. Check the network, "
            "HF_ENDPOINT and HF_HUB_OFFLINE; the same command then resumes."
        )
    if isinstance(error, errors.EntryNotFoundError):
        return f"A file is not in {repo}: {first_line(error)}."
    if isinstance(error, errors.HFValidationError):
        return f"{repo} is no name of a repository: {first_line(error)}."
    if status is not None:
        return f"{endpoint} refused, for {repo}: {first_line(error)}. The same command resumes."
    return None


def _is_of_network(error: BaseException, errors: Any) -> bool:
    """Whether the way to the Hub failed, whichever library the Hub's one calls."""
    if isinstance(error, errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError):
        return True
    if isinstance(error, errors.HfHubHTTPError):  # which answered
        return False
    return type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "requests")
