"""Jobs on datasets: demonstrations, collection, rendering, and replay of compact episodes."""

from rl_datagen.jobs.check_replay import check_replay
from rl_datagen.jobs.hydrate import hydrate
from rl_datagen.jobs.render import render_dataset, render_episode, render_missing
from rl_datagen.jobs.video import write_videos

__all__ = [
    "check_replay",
    "hydrate",
    "render_dataset",
    "render_episode",
    "render_missing",
    "write_videos",
]
