import pytest

from rl_datagen.campaign.state import TrialState, read_state, read_states, write_state
from rl_datagen.core.errors import UserError
from rl_datagen.core.storage import Storage
from rl_datagen.core.stored import OBJECT
from rl_datagen.tasks import get_task, select_tasks


def test_a_state_comes_back_as_it_was_written(tmp_path):
    storage = Storage(str(tmp_path))
    state = TrialState("libero_goal/3", "running", "dppo", sampled=[(1, 0.5)], retries=1)
    write_state(storage, state)
    again = read_state(storage, get_task("libero_goal/3"))
    assert again.retries == 1
    assert list(again.sampled[0]) == [1, 0.5]
    assert [path.name for path in (tmp_path / "trials").iterdir()] == ["libero_goal-3.json"]


def test_tasks_without_a_file_are_none(tmp_path):
    storage = Storage(f"file://{tmp_path}")
    write_state(storage, TrialState("libero_goal/3"))
    states = read_states(storage, select_tasks("libero_goal/3-4"))
    assert states == {"libero_goal/3": TrialState("libero_goal/3"), "libero_goal/4": None}


class Flaky:
    """A filesystem whose first calls fail."""

    def __init__(self, real, failures):
        self._real, self.failures, self.type_name = real, failures, real.type_name

    def __getattr__(self, name):
        if self.failures:
            self.failures -= 1
            raise OSError("connection reset")
        return getattr(self._real, name)


def test_storage_that_is_briefly_unavailable_is_waited_for_and_reported(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    storage = Storage(str(tmp_path))
    storage._fs = Flaky(storage._fs, 3)
    messages = []
    monkeypatch.setattr(
        "rl_datagen.core.storage.logger.warning", lambda text, *values: messages.append(text)
    )
    storage.write_json("a/b.json", {"c": 1})
    assert storage.read_json("a/b.json", OBJECT, "") == {"c": 1}
    assert len(messages) == 3


def test_storage_that_stays_away_is_a_users_error(tmp_path):
    storage = Storage(str(tmp_path), patience_s=0)
    storage._fs = Flaky(storage._fs, 100)
    with pytest.raises(UserError, match=r"campaign\.storage=.*connection reset.*credentials"):
        storage.check()
    with pytest.raises(UserError, match="begins with file"):
        Storage("ftp://somewhere/else")


def test_files_go_up_and_come_down(tmp_path):
    storage = Storage(f"file://{tmp_path}/far")
    (tmp_path / "here").write_bytes(b"data")
    storage.upload(tmp_path / "here", "x/there")
    storage.download("x/there", tmp_path / "deep" / "again")
    assert (tmp_path / "deep" / "again").read_bytes() == b"data"
    storage.remove("x/there")
    storage.remove("x/there")
    assert storage.read_bytes("x/there", "") is None


def test_a_uri_keeps_its_options_at_the_end(tmp_path):
    assert Storage(f"file://{tmp_path}/").uri_of("a/b") == f"file://{tmp_path}/a/b"
    storage = Storage("s3://bucket/x?endpoint_override=127.0.0.1:9&region=r")
    assert storage.uri_of("a") == "s3://bucket/x/a?endpoint_override=127.0.0.1:9&region=r"
