import httpx2
import pytest
from huggingface_hub.hf_api import RepoFile, RepoFolder

from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.demos.download import RemoteFile, download, list_remote


class Hub:
    """The part of ``HfApi`` that is used."""

    def list_repo_tree(self, repository, suite, *, repo_type):
        assert (repository, repo_type) == ("yifengzhu-hf/LIBERO-datasets", "dataset")
        files = [RepoFile(path=f"{suite}/{name}", size=10, oid="") for name in ("a_demo.hdf5", "b")]
        return [*files, RepoFolder(path=f"{suite}/c.hdf5", oid="")]

    def hf_hub_download(self, repository, path, *, repo_type, local_dir):
        return str(local_dir / path)


class Offline:
    def list_repo_tree(self, *_, **__):
        raise httpx2.ConnectError("[Errno -2] Name or service not known")
        yield

    def hf_hub_download(self, *_, **__):
        raise OSError("No space left on device")


def test_the_listing_has_the_hdf5_files_and_their_sizes():
    files = list_remote(["libero_goal", "libero_10"], Hub())
    expected = ["libero_goal/a_demo.hdf5", "libero_10/a_demo.hdf5"]
    assert files == [RemoteFile(path, 10) for path in expected]
    assert len(list_remote(api=Hub())) == 5


def test_files_keep_their_folder(tmp_path):
    path = download(RemoteFile("libero_goal/a_demo.hdf5", 10), tmp_path, Hub())
    assert path == tmp_path / "libero_goal" / "a_demo.hdf5"


def test_an_unknown_suite_is_named():
    with pytest.raises(ConfigError, match="Did you mean 'libero_goal'"):
        list_remote(["libero_gaol"], Hub())


def test_no_network_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"Name or service not known\. Check the network"):
        list_remote(api=Offline())
    with pytest.raises(UserError, match="No space left"):
        download(RemoteFile("libero_goal/a_demo.hdf5", 10), tmp_path, Offline())
