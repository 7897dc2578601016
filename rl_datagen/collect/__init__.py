"""Successful episodes, and their replay into images."""

from rl_datagen.collect.gather import gather, plan_episode
from rl_datagen.collect.render import render_episode

__all__ = ["gather", "plan_episode", "render_episode"]
