"""Tables I and II of constructed evaluations."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from rl_datagen.cli import app
from rl_datagen.config import EvaluateConfig
from rl_datagen.core.errors import UserError
from rl_datagen.data.results import EvaluatedEpisode, write_results
from rl_datagen.report.published import TABLE_I, TABLE_II
from rl_datagen.report.tables import make_tables
from rl_datagen.report.tables_report import write_tables
from rl_datagen.tasks import select_tasks


@pytest.fixture
def evaluation(tmp_path):
    def make(name, source, trained_on, tasks, successes, num=20, **settings):
        settings |= {"source": source, "trained_on": trained_on, "num_episodes": num}
        config = EvaluateConfig(policy="vla", name=name, **settings)
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
        write_results(
            folder,
            [
                EvaluatedEpisode(task.id, i, i, i < successes, 100)
                for task in select_tasks(tasks)
                for i in range(num)
            ],
            seconds=1,
        )
        return folder

    return make


def test_table_one_counts_what_the_vla_was_trained_on(evaluation):
    folders = [
        evaluation("a", "diffusion_rl", "all", "libero_goal,libero_10", 15),
        evaluation("b", "human", "libero_object", "libero_object/0-2,libero_goal/0", 5),
    ]
    one, two = make_tables(folders)
    ours = one.rows["diffusion_rl"]
    assert (ours["libero_goal"].num_successes, ours["libero_goal"].num_episodes) == (150, 200)
    # Wilson (1927): (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), z = 1.95996
    assert ours["libero_goal"].low == pytest.approx(0.68566, abs=1e-5)
    assert ours["libero_goal"].high == pytest.approx(0.80492, abs=1e-5)
    assert ours["libero_spatial"] is None
    assert ours["mean"] is None
    assert one.rows["human"]["libero_object"].num_tasks == 3
    assert one.rows["human"]["libero_goal"] is None  # it was not trained on that
    assert one.rows["gaussian_rl"]["mean"] is None
    assert all(cell is None for row in two.rows.values() for cell in row.values())


def test_table_two_is_zero_shot_from_libero_90(evaluation):
    folders = [
        evaluation("a", "diffusion_rl", "libero_90", "libero_10,libero_goal,libero_90/0", 10),
        evaluation("b", "human", "libero_spatial", "libero_10", 10),
    ]
    one, two = make_tables(folders)
    assert two.columns == ("libero_10", "libero_goal", "libero_object", "mean")
    assert two.rows["diffusion_rl"]["libero_10"].num_episodes == 200
    assert two.rows["diffusion_rl"]["mean"] is None  # one suite is missing
    assert two.rows["human"]["libero_10"] is None  # trained on another suite than LIBERO-90
    assert one.rows["diffusion_rl"]["libero_90"].num_tasks == 1
    assert one.rows["diffusion_rl"]["libero_10"] is None


def test_the_paper_s_numbers_stand_beside_ours(evaluation, tmp_path):
    folder = evaluation("a", "amplified+diffusion_rl", "libero_goal", "libero_goal/0-2", 20)
    markdown, latex, table, _ = write_tables(tmp_path / "out", make_tables([folder]))
    text = markdown.read_text()
    row = "100.0 [94.0, 100.0] (n=60, 3 tasks)"
    assert f"| amplified+diffusion_rl | ours | not run | not run | {row} |" in text
    for line in (
        "| human | paper | 73.40 | 92.00 | 83.20 | 66.00 | 68.60 | 76.64 |",
        "| gaussian_rl | paper | 80.40 | 61.80 | 82.40 | 47.00 | 75.00 | 69.32 |",
        "| diffusion_rl | paper | 83.40 | 99.00 | 83.80 | 63.00 | 80.49 | 81.94 |",
        "| human+diffusion_rl | paper | 4.60 | 5.60 | 5.40 | 5.20 |",
    ):
        assert line in text
    assert r"diffusion\_rl & paper & " in latex.read_text()
    assert latex.read_text().count(r"\begin{tabular}") == 2
    with table.open() as file:
        rows = list(csv.DictReader(file))
    (cell,) = [r for r in rows if r["column"] == "libero_goal" and r["num_episodes"]]
    assert (cell["table"], cell["data"], cell["num_successes"]) == (
        "I",
        "amplified+diffusion_rl",
        "60",
    )


def test_perturbed_tasks_have_a_table_and_sources_are_paired(evaluation, tmp_path):
    learnt = "libero_goal/1,libero_goal_swap/1"
    tasks = f"{learnt},libero_goal_swap/2,libero_goal_object/1"
    folders = [
        evaluation("a", "amplified", "libero_goal/1", tasks, 5),
        evaluation("b", "amplified+perturbed", learnt, tasks, 15),
    ]
    tables = make_tables(folders)
    one, _, perturbed = tables
    assert one.rows["amplified+perturbed"]["libero_goal"].num_tasks == 1
    assert perturbed.columns == ("libero_goal_swap", "libero_goal_object")
    swapped = {source: cells["libero_goal_swap"] for source, cells in perturbed.rows.items()}
    assert (swapped["amplified"].num_learnt, swapped["amplified"].num_episodes) == (0, 40)
    assert swapped["amplified+perturbed"].num_learnt == 1
    pairs = {pair.column: pair for pair in perturbed.pairs}
    assert (pairs["libero_goal_swap"].num_pairs, pairs["all"].num_pairs) == (40, 60)
    assert pairs["all"].num_only_second == 30

    markdown, latex, _, pairs = write_tables(tmp_path / "out", tables)
    text = markdown.read_text()
    assert "| amplified+perturbed | ours | 75.0 [59.8, 85.8] (n=40, 2 tasks, 1 learnt) |" in text
    assert (
        "| amplified | amplified+perturbed | all suites | 60 | 0 | 30 | +50.0 | 1.9e-09 |" in text
    )
    assert latex.read_text().count(r"\begin{tabular}") == 3
    with pairs.open() as file:
        rows = [row for row in csv.DictReader(file) if row["table"] == "P"]
    assert [row["num_only_second"] for row in rows] == ["20", "10", "30"]


def test_the_paper_s_means_are_over_suites():
    for table in (TABLE_I, TABLE_II):
        for rates in table.values():
            *suites, mean = rates.values()
            assert mean == pytest.approx(np.mean(suites), abs=0.01)


def test_the_mean_counts_suites_the_same_and_has_an_interval(evaluation):
    folders = [
        evaluation(suite, "human", "libero_90", f"{suite}/0-{last}", successes)
        for suite, last, successes in (
            ("libero_10", 0, 0), ("libero_goal", 9, 20), ("libero_object", 4, 10)
        )
    ]  # fmt: skip
    _, two = make_tables(folders)
    cells, mean = two.rows["human"], two.rows["human"]["mean"]
    assert mean.rate == pytest.approx((0 + 1 + 0.5) / 3)
    assert (mean.num_successes, mean.num_episodes, mean.num_tasks) == (250, 320, 16)
    # the widest of three, which is that of the 20 episodes, over three
    assert cells["libero_10"].high / 3 < mean.high - mean.rate < 1.2 * cells["libero_10"].high / 3
    assert mean.rate - mean.low < mean.high - mean.rate


def test_rows_that_are_not_clear_are_refused(evaluation, tmp_path):
    a = evaluation("a", "human", "all", "libero_goal", 10)
    b = evaluation("b", "human", "libero_goal", "libero_goal/3", 10)
    with pytest.raises(UserError, match=r"both have episodes of libero_goal/3 for 'human'"):
        make_tables([a, b])
    nameless = evaluation("c", None, None, "libero_goal", 10)
    with pytest.raises(UserError, match="does not say what its policy learnt from"):
        make_tables([nameless])
    with pytest.raises(UserError, match="is not an evaluation"):
        make_tables([tmp_path / "nothing"])
    (a / "results.parquet").unlink()
    with pytest.raises(UserError, match="is not complete"):
        make_tables([a])


def test_the_command_prints_and_writes(evaluation, tmp_path, capsys):
    folder = evaluation("a", "gaussian_rl", "all", "libero_object", 4)
    app(["tables", str(folder), "--out", str(tmp_path / "t")], standalone_mode=False)
    assert "**Table II**" in capsys.readouterr().out
    assert (tmp_path / "t" / "tables.csv").exists()


def test_evaluations_of_different_appearance_are_not_compared(evaluation):
    one = evaluation("a", "human", "all", "libero_goal", 5)
    other = evaluation("b", "diffusion_rl", "all", "libero_goal", 5, sim={"appearance": "mujoco"})
    with pytest.raises(UserError, match="'original' and 'mujoco'"):
        make_tables([one, other])
    settings = yaml.safe_load((one / "config.yaml").read_text())
    del settings["sim"]["appearance"]  # from before appearances were recorded
    (one / "config.yaml").write_text(yaml.safe_dump(settings))
    make_tables([one, other])


def test_results_that_do_not_verify_make_no_table(evaluation):
    folder = evaluation("a", "human", "all", "libero_goal/0-1", 5, num=8)
    path, sound = folder / "results.parquet", (folder / "results.parquet").read_bytes()
    rows = pq.read_table(path).to_pylist()
    for name, changed in {
        "twice": [*rows, rows[3]],
        "all twice": rows * 2,
        "one gone": rows[1:],
        "a task shorter": rows[:-1],
        "none": [],
        "more successes": [row | {"success": True} for row in rows],
        "another task's": [row | {"task": "libero_goal/9"} for row in rows[:8]] + rows[8:],
    }.items():
        pq.write_table(pa.Table.from_pylist(changed, schema=pq.read_schema(path)), path)
        with pytest.raises(UserError, match=r"a/.*is refused: .*Delete that file and repeat"):
            make_tables([folder])
        bare = pq.read_schema(path).remove_metadata()  # as a release before checksums
        pq.write_table(pa.Table.from_pylist(changed, schema=bare), path)
        with pytest.raises(UserError, match=r"a/.*is refused: .*Delete that file and repeat"):
            make_tables([folder])
        path.write_bytes(sound)
        assert make_tables([folder]), name
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(settings | {"num_episodes": 9}))
    with pytest.raises(UserError, match=r"libero_goal/0 has 8 episodes where config.yaml says 9"):
        make_tables([folder])


def test_results_of_an_earlier_release_still_make_a_table(evaluation):
    folder = evaluation("a", "human", "all", "libero_goal/0-1", 5, num=8)
    path, info = folder / "results.parquet", folder / "eval_info.json"
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    values = json.loads(info.read_text())
    del values["results_sha256"]
    info.write_text(json.dumps(values))
    assert make_tables([folder])[0].rows["human"]["libero_goal"].num_episodes == 16
    values["per_task"][0]["metrics"]["successes"][7] = True
    info.write_text(json.dumps(values))
    with pytest.raises(UserError, match="its successes are not those in"):
        make_tables([folder])
