"""Cloning the episodes of a dataset, in place of amplified demonstrations."""

import pytest

from rl_datagen.config import load_config
from rl_datagen.core.errors import UserError
from rl_datagen.core.progress import SILENT
from rl_datagen.data.dataset import read_trajectories
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.pipeline.demonstrations import cloned_episodes, demonstrations
from rl_datagen.pipeline.run import Run

pytestmark = pytest.mark.sim

TASK = "libero_object/0"


@pytest.fixture
def collected(tmp_path, make_trajectory):
    """What an expert has collected: successes and failures, of shipped and drawn init states."""
    make = lambda i, **changes: make_trajectory(  # noqa: E731
        i, task=TASK, source="diffusion_rl", length=20 + i, **changes
    )
    path = tmp_path / "collected"
    with DatasetWriter(path, config={}) as writer:
        writer.append([make(0, init_state_index=3), make(1, init_state_index=49)])
        writer.append([make(2, init_state_index=None, success=False)])
        writer.append([make(i, init_state_index=None) for i in (3, 4)])
        writer.append([make_trajectory(9, init_state_index=None)])  # of another task
    return path


def make_run(collected, *settings):
    base = [f"task={TASK}", f"output_dir={collected.parent}", f"demos.dataset={collected}"]
    return Run(load_config([*base, *settings]), SILENT)


def test_successes_that_start_from_no_evaluated_init_state_are_taken(collected):
    run = make_run(collected, "demos.num_episodes=3", "evaluation.num_episodes=20")
    found = demonstrations(run)
    assert found == {"episodes": 3, "attempts": 3, "length_mean": (20 + 23 + 24) / 3}
    stored = {t.episode_id: t for t in read_trajectories(collected)}
    episodes = cloned_episodes(run)
    assert [len(episode) for episode in episodes] == [20, 23, 24]
    assert all(episode == stored[episode.episode_id] for episode in episodes)


def test_a_dataset_with_too_few_of_them_is_refused(collected):
    run = make_run(collected, "demos.num_episodes=3", "demos.num_shipped_init_states=0")
    with pytest.raises(UserError, match=r"has 2 successful episodes of libero_object/0.*3 are to"):
        demonstrations(run)
