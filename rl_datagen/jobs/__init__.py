"""Jobs on datasets: demonstrations, collection, rendering, and replay of compact episodes."""

from rl_datagen.jobs.check_replay import check_replay
from rl_datagen.jobs.gather import gather, gather_shard, plan_episode
from rl_datagen.jobs.hydrate import hydrate
from rl_datagen.jobs.render import render_dataset, render_episode
from rl_datagen.jobs.video import write_videos

__all__ = [
    "check_replay",
    "gather",
    "gather_shard",
    "hydrate",
    "plan_episode",
    "render_dataset",
    "render_episode",
    "write_videos",
]
