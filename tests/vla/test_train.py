import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from rl_datagen.core.errors import ConfigError, DatasetError, UserError
from rl_datagen.data import Dataset
from rl_datagen.data.schema import CAMERAS
from rl_datagen.policy.supervised import SupervisedLearner
from rl_datagen.tasks import get_task
from rl_datagen.vla import train as training
from rl_datagen.vla.folder import check_comparable, read_data
from rl_datagen.vla.policy import VlaPolicy, load_vla
from rl_datagen.vla.train import train

from .conftest import SIZE, TASKS

TRAINED = "config.yaml data.json embeddings.safetensors metrics.json norm_stats.json"


def frames_of(dataset, index):
    """Stored frames as a simulator would show them, and their instructions."""
    items = [Dataset(dataset)[i] for i in index]
    keys = ("proprio", *CAMERAS)
    return {k: np.stack([i[k] for i in items]) for k in keys}, [i["instruction"] for i in items]


def act(policy, observation, instructions, seed=3):
    for episode, instruction in enumerate(instructions):
        policy.begin(episode, instruction, seed + episode)
    return policy.act(observation, range(len(instructions)))


def interrupt(monkeypatch, at):
    """Ends the process's work in the middle of an update."""
    real = SupervisedLearner.update

    def update(self, *batch):
        if self.num_updates == at:
            raise KeyboardInterrupt
        return real(self, *batch)

    monkeypatch.setattr(SupervisedLearner, "update", update)


def test_a_trained_vla_acts_as_in_training_and_from_its_folder(diffusion, make_config, monkeypatch):
    kept = []
    save = training.save_weights
    monkeypatch.setattr(training, "save_weights", lambda n, path: (kept.append(n), save(n, path)))
    config = make_config(diffusion)
    folder = train(config)
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [*TRAINED.split(), "provenance.json", "weights.safetensors"]
    )
    observation, instructions = frames_of(diffusion, [0, 5, 30])
    (network,) = kept
    embeddings = load_vla(folder)._embeddings
    trained = act(VlaPolicy(network, embeddings, SIZE), observation, instructions)
    reloaded = load_vla(folder)
    assert reloaded.image_size == SIZE  # what simulators have to show
    assert reloaded.action_steps == 8
    assert np.array_equal(act(reloaded, observation, instructions), trained)
    assert trained.shape == (3, 8, 7)
    assert np.abs(trained).max() <= 1
    other = [get_task(task).instruction for task in reversed(TASKS)]
    assert not np.array_equal(act(reloaded, observation, [*other, other[0]]), trained)


def test_an_interrupted_training_has_the_same_curve_and_weights(
    diffusion, make_config, monkeypatch
):
    whole = train(make_config(diffusion, "model.checkpoint_interval=5", name="whole"))
    config = make_config(diffusion, "model.checkpoint_interval=5", name="interrupted")
    with monkeypatch.context() as patch:
        interrupt(patch, at=8)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    with pytest.raises(UserError, match="not finished: weights"):
        load_vla(config.folder)
    rows = []
    again = train(config, report=rows.append)
    assert [row["iteration"] for row in rows] == [12]
    expected, found = (
        load_file(whole / "weights.safetensors"),
        load_file(again / "weights.safetensors"),
    )
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
    curves = [json.loads((f / "metrics.json").read_text())["curve"] for f in (whole, again)]
    assert curves[0] == curves[1]
    train(config, report=lambda _: pytest.fail("a finished VLA is trained again"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
@pytest.mark.parametrize("num_workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_training_lowers_the_loss(diffusion, make_config, num_workers):
    settings = ["model.num_updates=400", "model.lr=3e-3", "model.augment=false"]
    config = make_config(diffusion, *settings, f"num_workers={num_workers}")
    rows = []
    curve = json.loads((train(config, report=rows.append) / "metrics.json").read_text())["curve"]
    assert [row["iteration"] for row in curve] == list(range(50, 401, 50))
    assert [row["loss"] for row in rows] == [row["loss"] for row in curve]
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]
    assert curve[-1]["lr"] < 1e-6


def test_a_mixture_is_all_of_its_parts_and_says_so(diffusion, make_dataset, make_config, tmp_path):
    human = make_dataset(tmp_path / "human", source="human", num=1)
    folder = train(make_config([human, diffusion]))
    data = read_data(folder)
    assert data["source"] == "human+diffusion_rl"
    assert data["num_episodes"] == {"human": 2, "diffusion_rl": 4}
    assert data["tasks"] == ["libero_object/0", "libero_goal/3"]  # in the order of the 130
    assert set(data["contents"]) == {str(human), str(diffusion)}


def test_vlas_that_differ_in_more_than_data_are_not_compared(
    diffusion, make_dataset, make_config, tmp_path
):
    human = make_dataset(tmp_path / "human", source="human")
    few = "model.num_updates=1"
    folders = [
        train(make_config(diffusion, few, name="a")),
        train(make_config(human, few, "seed=1", name="b")),
        train(make_config(human, few, "model.lr=1e-5", name="c")),
    ]
    check_comparable(folders[:2])
    with pytest.raises(ConfigError, match=r"model\.lr is 0\.0003 and 1e-05"):
        check_comparable(folders)


def test_other_settings_or_changed_data_do_not_continue_a_vla(make_dataset, make_config, tmp_path):
    dataset = make_dataset(tmp_path / "dataset")
    train(make_config(dataset, "model.num_updates=1"))
    with pytest.raises(ConfigError, match=r"model\.num_updates is 1 there and 2 here"):
        train(make_config(dataset, "model.num_updates=2"))
    train(make_config(dataset, "model.num_updates=1", "mlflow_uri=http://localhost:1"))
    other = make_dataset(tmp_path / "other", num=3)
    other.joinpath("manifest.json").rename(dataset / "manifest.json")
    with pytest.raises(ConfigError, match="dataset has changed"):
        train(make_config(dataset, "model.num_updates=1"))


def test_a_dataset_without_images_is_refused(make_dataset, make_config, tmp_path):
    dataset = make_dataset(tmp_path / "dataset", rendered=False)
    with pytest.raises(DatasetError, match="dataset render"):
        train(make_config(dataset))
