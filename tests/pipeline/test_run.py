import pytest
import yaml

from rl_datagen.config import load_config
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.core.lock import lock
from rl_datagen.core.progress import SILENT
from rl_datagen.pipeline import expert
from rl_datagen.pipeline.run import ORDER, Run


def make_run(tmp_path, *settings):
    return Run(load_config([f"output_dir={tmp_path}", "name=chain", *settings]), progress=None)


def test_a_folder_of_another_configuration_is_refused_with_the_difference(tmp_path):
    make_run(tmp_path, "algo.lr=1e-4").bind()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"algo\.lr is 0\.0001 there and 0\.0002 here.*--fresh"):
        make_run(tmp_path, "algo.lr=2e-4").bind()
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_the_same_configuration_continues(tmp_path):
    first = make_run(tmp_path)
    first.bind()
    first.markers.mark("demonstrations", {"episodes": 3})
    again = make_run(tmp_path)
    again.bind()
    assert not again.markers.is_done("demonstrations")  # its marker is there, its dataset is not
    again.demos.mkdir(parents=True)
    assert again.markers.is_done("demonstrations")
    assert not again.markers.is_done("dppo")
    assert again.markers.summary("demonstrations") == {"episodes": 3}


def test_learning_may_go_on_for_longer_until_there_is_a_dataset(tmp_path):
    run = make_run(tmp_path, "algo.num_iterations=3")
    run.bind()
    for stage in ("warm_start", "dppo", "evaluate_after"):
        run.markers.mark(stage, {})
    changes = ("algo.num_iterations=5", "algo.patience=0", "algo.gamma=0.95")
    longer = make_run(tmp_path, *changes)
    longer.bind()
    markers = {path.stem for path in (run.folder / "stages").iterdir()}
    assert markers == {"warm_start"}
    longer.bind()  # it is the run's configuration now
    longer.dataset.mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"algo\.num_iterations is 5 there and 7 here"):
        make_run(tmp_path, *changes, "algo.num_iterations=7").bind()


def test_long_tasks_get_more_demonstrations_and_gradient_steps(tmp_path):
    lengths = {"libero_object/0": 1, "libero_10/1": 2, "libero_10/8": 3}  # 124, 258, 457 env steps
    assert {task: make_run(tmp_path, f"task={task}").scale for task in lengths} == lengths


def test_clearing_deletes_this_run_and_no_other(tmp_path):
    run = make_run(tmp_path)
    other = Run(load_config([f"output_dir={tmp_path}", "name=other"]), progress=None)
    for each in (run, other):
        each.bind()
        each.dataset.mkdir(parents=True)
    run.clear()
    assert not run.folder.exists()
    assert not run.dataset.exists()
    assert other.folder.exists()
    assert other.dataset.exists()


def test_a_setting_that_is_newer_than_the_folder_has_its_default(tmp_path):
    run = make_run(tmp_path)
    run.bind()
    path = run.folder / "config.yaml"
    settings = yaml.safe_load(path.read_text())
    del settings["algo"]["lr_schedule"]
    path.write_text(yaml.safe_dump(settings))
    make_run(tmp_path).bind()
    with pytest.raises(ConfigError, match=r"algo\.lr_schedule is 'cosine' there"):
        make_run(tmp_path, "algo.lr_schedule=constant").bind()


def test_a_stage_that_runs_again_outdates_what_was_made_from_it(tmp_path, monkeypatch):
    ran = []

    def make(stage):
        def run_stage(run):
            ran.append(stage)
            folders = (run.demos, run.warm_expert, run.polished, run.expert, run.dataset)
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            return {}

        return run_stage

    names = list(expert.STAGES)
    assert ORDER[:7] == tuple(names)
    monkeypatch.setattr(expert, "STAGES", {stage: make(stage) for stage in names})
    config = load_config([f"output_dir={tmp_path}"])
    run = expert.train(config, SILENT)
    assert ran == names
    run.markers.mark("collect", {})
    expert.train(config, SILENT)
    assert ran == names  # nothing was left to do
    run.markers.forget("dppo")
    expert.train(config, SILENT)
    assert ran[7:] == names[4:]
    assert not run.markers.is_done("collect")
    assert expert.train(config, SILENT, fresh=True).markers.is_done("evaluate_after")
    assert ran[10:] == names


def test_a_second_process_at_the_same_run_is_refused(tmp_path):
    config = load_config([f"output_dir={tmp_path}", "name=chain"])
    with (
        lock(tmp_path / "runs" / ".chain.lock", "busy"),
        pytest.raises(UserError, match=r"Another process is at work in .*chain"),
    ):
        expert.train(config, SILENT, fresh=True)
    assert not (tmp_path / "runs" / "chain").exists()
