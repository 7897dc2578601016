"""Names that are read from files lead nowhere, whichever file they are in."""

import json
from contextlib import suppress
from functools import partial

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rl_datagen.campaign.sync import Sync
from rl_datagen.core.errors import DatasetError, UserError
from rl_datagen.core.storage import Storage, sha256
from rl_datagen.data.compact import compact, read_compact, read_compact_manifest
from rl_datagen.data.dataset import read_episodes, read_trajectories
from rl_datagen.data.manifest import _seal, read_manifest
from rl_datagen.data.merge import merge
from rl_datagen.data.names import check_name, check_relative_path, check_task_id
from rl_datagen.data.verify import verify
from rl_datagen.data.verify_compact import verify_compact
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.jobs.stored import Experts, find_policy
from rl_datagen.jobs.video import write_videos
from rl_datagen.tasks import get_task
from rl_datagen.vla.folder import read_data

ESCAPES = (
    *("../../../victim", "/tmp/victim", "..", ".", "", "a/../../b", "a\\..\\b", "C:victim"),
    *("libero_goal/3/../../x", "libero_goal/3\n", "x" * 5000, "\x00", "libero_goal/003", "~/x"),
)
FIRST = "episodes/libero_goal/3/part-00000.parquet"


def edit_manifest(folder, change):
    """Changes a manifest and seals it, as a malicious program would."""
    path = folder / "manifest.json"
    body = json.loads(path.read_text())
    del body["sha256"]
    change(body)
    path.write_text(json.dumps({**body, "sha256": _seal(body)}))


def edit_rows(folder, path, change):
    """Changes a Parquet file's rows and the checksum of it that the manifest has."""
    table = pq.read_table(folder / path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), folder / path)

    def reseal(part):
        for value in part.values() if isinstance(part, dict) else part:
            if isinstance(value, dict) and value.get("path") == path:
                value["sha256"] = sha256(folder / path)
                value["num_bytes"] = (folder / path).stat().st_size
            if isinstance(value, dict | list):
                reseal(value)

    edit_manifest(folder, reseal)


def everything(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@given(st.text())
def test_what_is_accepted_as_a_name_is_one_part_of_a_path_below_its_folder(text):
    for check in (check_name, check_relative_path):
        with suppress(ValueError):
            check(text)
            assert not text.startswith("/")
            assert ".." not in text.split("/")
            assert "\\" not in text
    with suppress(ValueError):
        check_name(text)
        assert "/" not in text
        assert not text.startswith(".")


@pytest.mark.parametrize("value", [*ESCAPES, None, 3, ["libero_goal/3"], "libero_goal/3-3", "all"])
def test_only_the_130_ids_are_tasks(value):
    with pytest.raises(ValueError, match="is not a task: an id such as"):
        check_task_id(value)
    assert check_task_id("libero_goal/3") == "libero_goal/3"


def restored(*paths):
    """Yields the values that lead elsewhere; each finds the files as they were."""
    contents = {path: path.read_bytes() for path in paths}
    for value in (*ESCAPES, None):
        for path, content in contents.items():
            path.write_bytes(content)
        yield value


@pytest.mark.parametrize(
    "place", ["task", "steps", "episodes", "images", "num_rows", "sha256", "num_episodes"]
)
def test_a_manifest_names_nothing_outside_its_folder(dataset, tmp_path, place):
    def change(body, value):
        shard = body["shards"][0]
        if place in ("steps", "episodes"):
            shard[place]["path"] = value
        elif place == "images":
            shard["images"] = [{**shard["steps"], "path": value}]
        elif place in ("num_rows", "sha256"):
            shard["steps"][place] = value
        else:
            shard[place] = value

    for value in [*restored(dataset / "manifest.json"), -1, ["x"], {}]:
        edit_manifest(dataset, partial(change, value=value))
        before = everything(tmp_path)
        for act in (
            lambda: read_manifest(dataset),
            lambda: merge(tmp_path / "out", [(dataset, None)]),
            lambda: write_videos(dataset, num_episodes=1),
            lambda: verify(dataset).check(),
        ):
            with pytest.raises(DatasetError, match=r"manifest\.json is refused: .*Nothing was wri"):
                act()
        assert everything(tmp_path) == before


def test_a_journal_names_nothing_outside_its_folder(dataset):
    for line in (
        *({"shard": value} for value in (*ESCAPES, None, [], {})),
        *({"images": {}, "of": value} for value in ESCAPES),
        *([], 3, "x", None, {"appearance": "../x"}, {"of": "nowhere"}, {"more": 1}),
    ):
        (dataset / "journal.jsonl").write_text(json.dumps(line) + "\n")
        with pytest.raises(DatasetError, match=r"journal\.jsonl is damaged \(.*Delete it"):
            read_manifest(dataset)


def test_images_that_a_journal_adds_belong_to_their_shard(dataset):
    manifest = read_manifest(dataset)
    other = "images/libero_goal/4/part-00000-00000.parquet"
    entry = {**manifest.shards[0].steps.model_dump(), "path": other}
    line = {"images": entry, "of": manifest.shards[0].steps.path}
    (dataset / "journal.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(DatasetError, match=r"libero_goal/4.* is not a file of libero_goal/3"):
        read_manifest(dataset)


@pytest.mark.parametrize("column", ["episode_id", "task", "shard", "row_group"])
def test_an_index_of_episodes_names_nothing_outside_its_folder(dataset, tmp_path, column):
    values = restored(dataset / FIRST, dataset / "manifest.json")
    for number, text in enumerate(values):
        value = (-1, 3, 2**31 - 1, None)[number % 4] if column == "row_group" else text
        edit_rows(dataset, FIRST, lambda rows, value=value: rows[1].update({column: value}))
        before = everything(tmp_path)
        for act in (
            lambda: read_episodes(dataset),
            lambda: list(read_trajectories(dataset)),
            lambda: merge(tmp_path / "out", [(dataset, None)]),
            lambda: compact(dataset, tmp_path / "out"),
            lambda: write_videos(dataset, num_episodes=1),
        ):
            with pytest.raises(DatasetError, match=rf"{FIRST} is refused: .*Nothing was written"):
                act()
        assert everything(tmp_path) == before
        assert not verify(dataset).ok


def test_a_writer_stores_no_episode_that_a_reader_refuses(tmp_path, make_trajectory):
    with DatasetWriter(tmp_path / "d", config={}) as writer:
        for name in ESCAPES:
            with pytest.raises(DatasetError, match=r"cannot be stored: .* is not a safe name"):
                writer.append([make_trajectory(0, episode_id=name)])


@pytest.mark.parametrize("column", ["episode_id", "task"])
def test_rows_of_a_compact_dataset_name_nothing_outside_its_folder(dataset, tmp_path, column):
    folder, path = tmp_path / "compact", "libero_goal/3.parquet"
    compact(dataset, folder)
    for value in restored(folder / path, folder / "manifest.json"):
        edit_rows(folder, path, lambda rows, value=value: rows[1].update({column: value}))
        assert not verify_compact(folder).ok
        with pytest.raises(DatasetError, match=rf"{path} is refused: .*Nothing was written"):
            next(read_compact(folder, "libero_goal/3"))


@pytest.mark.parametrize("place", ["task", "path", "origin"])
def test_a_compact_manifest_names_nothing_outside_its_folder(dataset, tmp_path, place):
    folder = tmp_path / "compact"
    compact(dataset, folder)

    def change(body, value):
        holder = body["files"][0]["file"] if place == "path" else body["files"][0]
        holder[place] = value

    for value in restored(folder / "manifest.json"):
        edit_manifest(folder, partial(change, value=value))
        with pytest.raises(DatasetError, match=r"manifest\.json is refused: .*Nothing was written"):
            read_compact_manifest(folder)
        assert not verify_compact(folder).ok


@pytest.mark.parametrize("value", [*ESCAPES, 3, ["x"]])
@pytest.mark.parametrize("key", ["task", "name"])
def test_an_expert_s_folder_names_nothing_outside(tmp_path, key, value):
    settings = {"task": "libero_goal/3", "name": "mine", key: value}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    for act in (
        lambda: find_policy(str(tmp_path)),
        lambda: Experts(str(tmp_path), "outputs").tasks(None),
    ):
        with pytest.raises(UserError, match=r"config\.yaml is refused: .*allowed"):
            act()


@pytest.mark.parametrize(
    "change",
    [
        *({"name": value} for value in (*ESCAPES, None, 3)),
        *({"campaign": value} for value in ("x", [], {"storage": 3})),
        {"output_dir": None},
    ],
)
def test_a_campaign_s_settings_lead_nowhere_else(tmp_path, change):
    settings = {"name": "mine", "output_dir": "outputs", "campaign": {"storage": None}} | change
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(UserError, match=r"config\.yaml is refused: .*allowed"):
        Experts(str(tmp_path), "outputs")


@pytest.mark.parametrize(
    "change",
    [
        *({"tasks": [value]} for value in ESCAPES),
        *({"source": "elsewhere"}, {"tasks": "all"}, {"num_episodes": {"human": -1}}),
        *({"contents": []}, {"fingerprint": 3}),
    ],
)
def test_a_vla_s_data_names_known_tasks_and_sources(tmp_path, change):
    sound = {"fingerprint": "x", "contents": {}, "source": "human", "tasks": ["libero_goal/3"]}
    (tmp_path / "data.json").write_text(json.dumps(sound | {"image_size": 128}))
    assert read_data(tmp_path)["image_size"] == 128
    (tmp_path / "data.json").write_text(json.dumps(sound | change))
    (tmp_path / "config.yaml").write_text("datasets: [x]")
    for act in (lambda: read_data(tmp_path), lambda: find_policy(str(tmp_path))):
        with pytest.raises(UserError, match=r"data\.json is refused: .*train the VLA again"):
            act()


@pytest.mark.parametrize("path", [e for e in ESCAPES if e[:3] not in ("lib", "xxx", "~/x")])
def test_a_storage_s_index_restores_nothing_outside_and_removes_nothing(tmp_path, path):
    root, storage = tmp_path / "root", Storage(str(tmp_path / "storage"))
    (root / "mine").mkdir(parents=True)
    (root / "mine" / "kept").write_text("work")
    storage.write_json("index.json", {path: [1, 2], "mine/kept": [4, 5]})
    sync = Sync(storage, root, [root / "mine"], "index.json")
    before = everything(tmp_path)
    for act in (sync.download, sync.upload, lambda: sync.fetch(root / "mine")):
        with pytest.raises(UserError, match=r"index\.json is refused: .*Nothing was restored"):
            act()
    assert everything(tmp_path) == before


def test_a_weight_that_is_no_finite_number_is_refused(dataset, tmp_path):
    for weight in (float("nan"), float("inf"), -float("inf"), 0.0):
        with pytest.raises(DatasetError, match=r"weight of .* is .*: give a positive number"):
            merge(tmp_path / "out", [(dataset, weight), (dataset, 1.0)])
    assert not (tmp_path / "out").exists()


def test_only_the_program_s_own_temporary_files_are_removed(dataset):
    shard = dataset / "shards/libero_goal/3"
    users = [
        *(dataset / ".notes.json", dataset / ".private.mp4", shard / ".mine.parquet"),
        *(dataset / ".notes.json.abcdefgh.json", dataset / "more/.part-0.parquet.abcdefgh.parquet"),
        shard / ".part-00000.parquet.abcdefgh.parquet.bak",
    ]
    mine = [
        shard / ".part-00000.parquet.ab_d3fgh.parquet",
        dataset / ".manifest.json.abcdefgh.json",
        dataset / "videos" / ".libero_goal-3-x-00000.mp4.abcdefgh.mp4",
    ]
    for path in users + mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    DatasetWriter(dataset, config=None).close()
    merge(dataset.parent / "out", [(dataset, None)])
    assert all(path.exists() for path in users)
    assert not any(path.exists() for path in mine)


def test_names_in_use_are_allowed():
    for name in ("libero_object-0-human-bundled", "demo_3", "libero_goal-3-diffusion_rl-0-00012-1"):
        assert check_name(name) == name
    assert get_task(check_task_id("libero_90/89")).index == 89
