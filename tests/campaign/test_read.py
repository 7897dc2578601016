import json

import pytest

from rl_datagen.campaign.read import read_campaign
from rl_datagen.core.errors import UserError
from tests.campaign.states import finished, store


def test_a_campaign_is_found_by_name_folder_and_uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = store(tmp_path / "outputs" / "campaigns" / "first", finished("libero_goal/3"))
    for name in ("first", folder, f"file://{folder}"):
        campaign = read_campaign(name)
        assert (campaign.name, [trial.task for trial in campaign.trials]) == (
            "first",
            ["libero_goal/3"],
        )


def test_selected_tasks_without_a_file_are_pending_and_earlier_selections_stay(tmp_path):
    config = (
        "name: some\ntask: libero_goal/0-1\nevaluation: {confidence: 0.9}\n"
        "campaign: {max_concurrent_trials: 3, cost_per_hour: 0.5}\n"
    )
    trials = (finished("libero_goal/1"), finished("libero_spatial/7"))
    campaign = read_campaign(store(tmp_path, *trials, config=config))
    assert [(trial.task, trial.state) for trial in campaign.trials] == [
        ("libero_spatial/7", "finished"),
        ("libero_goal/0", "pending"),
        ("libero_goal/1", "finished"),
    ]
    settings = (campaign.name, campaign.max_concurrent_trials, campaign.cost_per_hour)
    assert (*settings, campaign.confidence) == ("some", 3, 0.5, 0.9)


def test_links_are_those_of_the_driver_without_passwords(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@mlflow:5000")
    folder = store(tmp_path, finished("libero_goal/3"))
    assert read_campaign(folder).links == (
        ("Ray dashboard", "http://head:8265"),
        ("MLflow", "http://mlflow:5000"),
    )
    driver = {"dashboard": "http://10.0.0.1:8265", "mlflow_uri": "sqlite:////data/mlflow.db"}
    (tmp_path / "campaign.json").write_text(json.dumps(driver))
    assert read_campaign(folder).links == (
        ("Ray dashboard", "http://10.0.0.1:8265"),
        ("MLflow", "mlflow ui --backend-store-uri sqlite:////data/mlflow.db"),
    )


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("trials/libero_goal-3.json", '{"task": "libero_goal/3", "sta', "EOF while parsing"),
        ("trials/libero_goal-3.json", "", "EOF while parsing"),
        ("trials/libero_goal-3.json", "[1, 2]", "an object"),
        ("trials/libero_goal-3.json", '{"state": "running"}', "task"),
        ("trials/libero_goal-3.json", '{"task": "libero_goal/3", "state": "gone"}', "'gone'"),
        ("trials/libero_goal-3.json", '{"task": "libero_goal/4"}', "it is of libero_goal/4"),
        ("config.yaml", "campaign: {max_concurrent_trials: none}", "max_concurrent_trials"),
        ("config.yaml", "{", "expected"),
        ("campaign.json", "[", "EOF while parsing"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, path, text, message):
    folder = store(tmp_path, finished("libero_goal/0"))
    (tmp_path / path).write_text(text)
    with pytest.raises(UserError) as caught:
        read_campaign(folder)
    assert path in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
