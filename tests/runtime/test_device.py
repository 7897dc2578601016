"""Where PyTorch computes."""

import pytest
import torch

from rl_datagen.core.errors import MachineError
from rl_datagen.runtime.device import torch_device


def test_without_a_gpu_asked_for_it_is_the_cpu():
    assert torch_device(0, "gpus") == "cpu"


def test_a_gpu_that_is_there_is_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_device(0.5, "gpus") == "cuda"


def test_a_missing_gpu_is_named_with_its_setting(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MachineError, match=r"gpus=0\.5, but PyTorch finds no GPU.*gpus=0"):
        torch_device(0.5, "gpus")
