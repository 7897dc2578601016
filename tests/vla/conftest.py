"""Small rendered datasets of two tasks, and settings that train in a second."""

import numpy as np
import pytest
import torch

from rl_datagen.config import VlaConfig, load_config
from rl_datagen.data.images import RenderedEpisode
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.tasks import get_task
from rl_datagen.vla.language import save_embeddings

TASKS = ("libero_goal/3", "libero_object/0")
SIZE = 40
SMALL = (
    "model.encoder=compact",
    "model.image_size=32",
    "model.encoder_width=16",
    "model.unet_channels=[8,16]",
    "model.num_updates=12",
    "model.train_batch_size=4",
    "model.num_lr_warmup_updates=2",
)


def render(trajectory):
    rng = np.random.default_rng(trajectory.seed)
    shape = (2, len(trajectory), SIZE, SIZE, 3)
    agentview, wrist = rng.integers(0, 256, shape, np.uint8)
    return RenderedEpisode(trajectory.episode_id, agentview, wrist)


@pytest.fixture(scope="session")
def make_dataset(make_trajectory):
    def make(path, *, source="diffusion_rl", num=2, rendered=True):
        with DatasetWriter(path, config={"source": source}, origin={"git": "abc"}) as writer:
            for number, task in enumerate(TASKS):
                some = [make_trajectory(i, task=task, source=source) for i in range(num)]
                writer.append(some)
                if rendered:
                    shard = writer.manifest.shards[number]
                    writer.append_images([render(t) for t in some], shard=shard)
        return path

    return make


@pytest.fixture(scope="session")
def diffusion(make_dataset, tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data") / "diffusion")


@pytest.fixture
def make_config(tmp_path, monkeypatch):
    """Settings of a small VLA whose embeddings are there already: no sentence encoder needed."""
    monkeypatch.setattr("rl_datagen.vla.train.make_trackers", lambda *_: _Nothing())

    def make(datasets, *overrides, name="small") -> VlaConfig:
        listed = ", ".join(map(str, datasets if isinstance(datasets, list) else [datasets]))
        settings = [f"datasets=[{listed}]", f"output_dir={tmp_path}", f"name={name}"]
        config = load_config([*settings, *SMALL, *overrides], model=VlaConfig)
        generator = torch.Generator().manual_seed(0)
        save_embeddings(
            config.folder / "embeddings.safetensors",
            {get_task(task).instruction: torch.randn(6, generator=generator) for task in TASKS},
        )
        return config

    return make


class _Nothing:
    """In place of MLflow, which has its own tests."""

    def __getattr__(self, name):
        return lambda *_, **__: None
