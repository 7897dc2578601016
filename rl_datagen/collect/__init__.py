"""Successful episodes, and their replay into images."""

from rl_datagen.collect.gather import gather
from rl_datagen.collect.render import render_episode

__all__ = ["gather", "render_episode"]
