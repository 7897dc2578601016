"""Successful episodes, and their replay into images."""

from rl_datagen.collect.gather import gather, gather_shard, plan_episode
from rl_datagen.collect.render import RenderReport, render_dataset, render_episode
from rl_datagen.collect.video import write_videos

__all__ = [
    "RenderReport",
    "gather",
    "gather_shard",
    "plan_episode",
    "render_dataset",
    "render_episode",
    "write_videos",
]
