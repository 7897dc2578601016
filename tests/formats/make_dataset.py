"""Makes a small real dataset for the checks: two tasks, some successful episodes each, rendered
with depth and segmentation.

Usage: make_dataset.py DATASET [NUM_EPISODES [IMAGE_SIZE]]
"""

import sys
from pathlib import Path

from rl_datagen.config import AmplifyConfig, RenderConfig
from rl_datagen.config.views import MODALITIES, ViewsConfig
from rl_datagen.data import DatasetWriter, read_trajectories, write_card
from rl_datagen.demos.sources import find_sources
from rl_datagen.jobs.amplify import amplify_task
from rl_datagen.jobs.render import render_episode
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

TASKS = "libero_object/0,libero_goal/8"


def main(path: Path, num_episodes: int = 4, image_size: int = 256) -> None:
    each = -(-num_episodes // len(TASKS.split(",")))
    config = AmplifyConfig(task=TASKS, num_episodes=each)
    settings, views = RenderConfig(image_size=image_size), ViewsConfig(modalities=MODALITIES)
    sources, _ = find_sources(config.task, config.demonstrations)
    with DatasetWriter(path, config={"image_size": image_size}) as writer:
        for source in sources:
            writer.take(amplify_task(config, source, lambda *_, **__: None))
        for shard in writer.manifest.shards:
            scene = load_scene(get_task(shard.task))
            episodes = read_trajectories(path, task=shard.task)
            rendered = (render_episode(e, scene, settings, views) for e in episodes)
            writer.append_images(rendered, shard=shard)
    write_card(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
