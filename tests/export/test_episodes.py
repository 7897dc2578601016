import numpy as np
import pyarrow.parquet as pq
import pytest

from rl_datagen.core.errors import DatasetError, UserError
from rl_datagen.core.storage import atomic_folder
from rl_datagen.data import DatasetWriter, RenderedEpisode, read_images, read_rendered
from rl_datagen.data.dataset import rendered_episodes
from rl_datagen.export import export_hdf5, export_lerobot, export_rlds
from rl_datagen.export.episodes import Source, in_parts_of, kept_steps, only, read_plan
from rl_datagen.export.plan import Choice, plan_export
from rl_datagen.jobs.render import render_missing
from tests.fuzz.folders import reseal
from tests.told import Told


def taken(dataset, **choice):
    plan = plan_export(dataset, Choice(**choice))
    source = Source(dataset, plan.shards, plan.choice.drop_noops, plan.look)
    return plan, [pair for part in in_parts_of(plan, 20) for pair in source.read(part)]


def test_successful_episodes_are_taken_task_by_task(rendered):
    plan, pairs = taken(rendered, tasks="libero_object,libero_goal")
    assert [t.task for t, _ in pairs] == ["libero_object/0"] * 2 + ["libero_goal/3"] * 2
    assert all(t.success and t.episode_id == images.episode_id for t, images in pairs)
    assert (len(plan.episodes), plan.num_frames, plan.num_failed, plan.num_noops) == (4, 44, 2, 0)
    assert [(e.index, e.first, e.task_index) for e in plan.episodes] == [
        *((0, 0, 0), (1, 10, 0), (2, 22, 1), (3, 32, 1))
    ]


def test_parts_depend_on_the_frames_alone(rendered):
    plan = plan_export(rendered, Choice())
    for limit, lengths in ((1, [1, 1, 1, 1]), (10, [1, 1, 1, 1]), (11, [2, 2]), (99, [4])):
        parts = in_parts_of(plan, limit)
        assert [len(part.episodes) for part in parts] == lengths
        assert [episode for part in parts for episode in part.episodes] == list(plan.episodes)
        assert {part.num_parts for part in parts} == {len(parts)}


def test_noops_are_left_out_of_every_row(rendered):
    plan, kept = taken(rendered, tasks="libero_goal", drop_noops=True)
    whole = [pair for pair in read_rendered(rendered, task="libero_goal/3") if pair[0].success]
    assert (plan.num_noops, [e.length for e in plan.episodes]) == (4, [8, 10])
    for (short, images), (full, all_images) in zip(kept, whole, strict=True):
        rows = np.delete(np.arange(len(full)), [4, 5])
        for name in ("action", "sim_state", "reward", "ee_quat", "decision"):
            np.testing.assert_array_equal(getattr(short, name), getattr(full, name)[rows])
        np.testing.assert_array_equal(images.wrist, all_images.wrist[rows])
        np.testing.assert_array_equal(short.init_state, full.init_state)
        assert not short.noops.any()
        assert only(kept_steps(full, drop_noops=True), full, None)[1] is None


def test_what_cannot_be_exported_is_refused_before_any_work(rendered, dataset, make_trajectory):
    with pytest.raises(DatasetError, match=r"no episode of task=libero_90.*libero_goal/3"):
        plan_export(rendered, Choice("libero_90"))
    with pytest.raises(DatasetError, match=r"12 of 12 episodes.*dataset render.*--render"):
        plan_export(dataset, Choice())
    plan_export(dataset, Choice(images=False))
    with DatasetWriter(dataset, config={"seed": 0}) as writer:
        writer.append([make_trajectory(0, task="libero_10/0", success=False)])
    with pytest.raises(DatasetError, match=r"No episode of task=libero_10 .* reached the goal"):
        plan_export(dataset, Choice("libero_10", images=False))


def test_episodes_without_images_can_be_left_out(rendered, tmp_path, make_trajectory):
    with DatasetWriter(rendered, config={}) as writer:
        for task in ("libero_goal/3", "libero_10/0"):
            writer.append([make_trajectory(8, task=task)])
    with pytest.raises(DatasetError, match=r"2 of 6 episodes.*--rendered-only"):
        export_hdf5(rendered, tmp_path / "out")
    report = export_hdf5(rendered, tmp_path / "out", rendered_only=True)
    assert (report.num_episodes, report.num_failed, report.num_not_rendered) == (4, 2, 1)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["libero_goal", "libero_object"]
    with pytest.raises(DatasetError, match="no rendered episode of task=libero_10"):
        plan_export(rendered, Choice("libero_10", rendered_only=True))


def test_images_of_two_sizes_are_refused(rendered, tmp_path, make_trajectory):
    with DatasetWriter(rendered, config={}) as writer:
        writer.append([make_trajectory(9)])
        views = np.zeros((2, 12, 8, 8, 3), np.uint8)
        images = RenderedEpisode(make_trajectory(9).episode_id, *views)
        writer.append_images([images], shard=writer.shard_of(images.episode_id))
    with pytest.raises(DatasetError, match=r"8 x 8 pixels.*16 x 20"):
        export_lerobot(rendered, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["rendered"]


@pytest.mark.parametrize("export", [export_hdf5, export_lerobot, export_rlds])
def test_an_existing_folder_is_never_touched(rendered, tmp_path, export):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"exists already.*another name.*delete"):
        export(rendered, out)
    assert (out / "thesis.tex").read_text() == "years of work"


def test_a_folder_is_whole_or_absent(tmp_path):
    def fail_halfway():
        with atomic_folder(tmp_path / "a") as folder:
            (folder / "half").mkdir()
            (folder / "half").write_text("")

    with pytest.raises(UserError, match=r"was not written: .*Make room"):
        fail_halfway()
    assert not list(tmp_path.iterdir())
    with atomic_folder(tmp_path / "a") as folder:
        (folder / "whole").write_text("")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert oct((tmp_path / "a").stat().st_mode)[-3:] != "700"  # others may read it


@pytest.mark.parametrize(
    ("export", "options"),
    [(export_lerobot, {"version": "v2.1"}), (export_hdf5, {}), (export_rlds, {})],
)
def test_exports_say_how_far_they_are(rendered, successes, tmp_path, export, options):
    told = Told()
    export(rendered, tmp_path / "out", progress=told, **options)
    assert (told.stages, told.units) == (["export"], ["episodes"])
    assert told.totals == [told.done] == [len(successes)]


READERS = {
    "export": lambda path: list(read_plan(plan_export(path, Choice()))),
    "read_rendered": lambda path: list(read_rendered(path)),
    "read_images": lambda path: [read_images(path, each) for each in rendered_episodes(path)],
    "render_missing": render_missing,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_images_whose_bytes_are_no_parquet_are_named_though_their_checksum_fits(rendered, read):
    (path, *_) = sorted((rendered / "images").rglob("*.parquet"))
    columns = pq.ParquetFile(path).metadata.row_group(0)
    (wrist,) = (
        column
        for column in map(columns.column, range(columns.num_columns))
        if column.path_in_schema == "wrist"
    )
    data = bytearray(path.read_bytes())
    begin = wrist.data_page_offset
    data[begin : begin + 200] = bytes(200)
    path.write_bytes(data)
    assert reseal(rendered)
    with pytest.raises(DatasetError, match=rf"{path.name} is not a readable Parquet file"):
        read(rendered)
