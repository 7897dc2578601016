"""Jobs on datasets: demonstrations, collection, rendering, labels, replay of compact episodes."""

from rl_datagen.jobs.check_replay import check_replay
from rl_datagen.jobs.hydrate import hydrate
from rl_datagen.jobs.label import label_dataset
from rl_datagen.jobs.render import render_dataset, render_episode, render_missing
from rl_datagen.jobs.video import write_videos

__all__ = [
    "check_replay",
    "hydrate",
    "label_dataset",
    "render_dataset",
    "render_episode",
    "render_missing",
    "write_videos",
]
