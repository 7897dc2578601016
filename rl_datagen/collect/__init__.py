"""Successful episodes, and their replay into images."""

from rl_datagen.collect.check_replay import check_replay
from rl_datagen.collect.gather import gather, gather_shard, plan_episode
from rl_datagen.collect.hydrate import HydrateReport, hydrate
from rl_datagen.collect.render import RenderReport, render_dataset, render_episode
from rl_datagen.collect.video import write_videos

__all__ = [
    "HydrateReport",
    "RenderReport",
    "check_replay",
    "gather",
    "gather_shard",
    "hydrate",
    "plan_episode",
    "render_dataset",
    "render_episode",
    "write_videos",
]
