"""Checkpoints that are damaged, or that somebody else put there."""

import os
import pickle

import numpy as np
import pytest
import torch

from rl_datagen.algo.checkpoint import restore_checkpoint, save_checkpoint


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
        curve = [{"iteration": i + 1} for i in range(iteration)]
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
    path.write_bytes(path.read_bytes()[:-200])


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
    if name == "learning_curve.json" and damage in (cut, flip):
        damage = write(b"[{]")
    damage(path)
    assert restore(folder) == (2, 2)
    assert "00003" in caplog.text
    damage(folder / "00002" / name)
    assert restore(folder) == (0, 0)
    save_checkpoint(Algorithm(3), folder, [])  # in place of the damaged one
    assert restore(folder) == (3, 0)


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
