"""Writes a file in LIBERO's layout for the checks: two episodes of a task, rendered.

Usage: make_hdf5.py FOLDER
"""

import sys
from pathlib import Path

from rl_datagen.collect import render_episode
from rl_datagen.config import SimConfig
from rl_datagen.demos import ReplayPolicy, load_human_demonstration
from rl_datagen.export import write_hdf5
from rl_datagen.rollout import PlannedEpisode, rollout
from rl_datagen.sim import load_scene
from rl_datagen.tasks import get_task

IMAGE_SIZE = 128  # LIBERO's


def main(folder: Path) -> None:
    scene = load_scene(get_task("libero_object/0"))
    demonstration = load_human_demonstration(scene.task)
    sim = SimConfig(max_episode_steps=40)
    plans = [PlannedEpisode(str(i), scene.shipped_state(i), i) for i in range(2)]
    policy = ReplayPolicy(demonstration.actions)
    episodes = list(rollout(policy, scene, plans, source="human", sim=sim, num_simulators=1))
    images = {e.episode_id: render_episode(e, scene, IMAGE_SIZE) for e in episodes}
    write_hdf5(folder / f"{scene.task.name}_demo.hdf5", episodes, images=images.get)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
