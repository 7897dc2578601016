"""Checkpoints that are damaged, or that somebody else put there."""

import os
import pickle

import numpy as np
import pytest
import torch

from rl_datagen.algo.checkpoint import restore_checkpoint, save_checkpoint

ROW = {"num_env_steps_lifetime": 100, "success_rate": 0.5, "episode_len_mean": 80.0}


class Algorithm:
    """What a checkpoint is of."""

    def __init__(self, iteration=0):
        self.iteration, self.weight = iteration, np.full(1000, iteration, np.float32)

    def get_state(self):
        scalar = np.float64(0.5)
        return {"training_iteration": self.iteration, "weight": self.weight, "metrics": [scalar]}

    def set_state(self, state):
        self.iteration, self.weight = state["training_iteration"], state["weight"]


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of three iterations, of which two are kept."""
    for iteration in (1, 2, 3):
        curve = [ROW | {"iteration": i + 1} for i in range(iteration)]
        save_checkpoint(Algorithm(iteration), tmp_path, curve)
    return tmp_path


def restore(folder):
    algo = Algorithm()
    curve = restore_checkpoint(algo, folder)
    assert (algo.weight == algo.iteration).all()
    return algo.iteration, len(curve)


def test_the_newest_is_gone_on_from_and_two_are_kept(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["00002", "00003"]
    assert restore(folder) == (3, 3)


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def write(content):
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize("name", ["state.pt", "learning_curve.json"])
@pytest.mark.parametrize("damage", [cut, flip, write(b""), write(b"{"), os.remove])
def test_a_damaged_one_is_passed_over(folder, name, damage, caplog):
    path = folder / "00003" / name
    damage(path)
    assert restore(folder) == (2, 2)
    assert "00003" in caplog.text
    damage(folder / "00002" / name)
    assert restore(folder) == (0, 0)
    save_checkpoint(Algorithm(3), folder, [])  # in place of the damaged one
    assert restore(folder) == (3, 0)


@pytest.mark.parametrize("name", ["state.pt", "learning_curve.json"])
def test_whichever_bit_is_another_is_passed_over_or_means_nothing(folder, name):
    path, rng = folder / "00003" / name, np.random.default_rng(0)
    whole = path.read_bytes()
    for place in rng.integers(len(whole), size=300):
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        algo = Algorithm()
        curve = restore_checkpoint(algo, folder)
        assert len(curve) == algo.iteration
        assert (algo.iteration, curve[-1]["success_rate"]) in ((2, 0.5), (3, 0.5))
        assert (algo.weight == algo.iteration).all()


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize(
    "write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))]
)
def test_what_a_stranger_has_put_there_runs_no_code(folder, tmp_path, write):
    target = tmp_path / "was run"
    write({"training_iteration": 9, "weight": Bomb(target)}, folder / "00003" / "state.pt")
    assert restore(folder) == (2, 2)
    assert not target.exists()
