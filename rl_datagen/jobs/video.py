"""MP4s of episodes, both cameras side by side."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from rl_datagen.config import RenderConfig
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.data.dataset import check_episodes, read_rendered
from rl_datagen.data.images import write_video
from rl_datagen.data.manifest import read_manifest
from rl_datagen.data.names import check_name
from rl_datagen.jobs.render import first_episodes, render_replay


def write_videos(
    dataset: Path,
    *,
    num_episodes: int | None = None,
    episode_ids: Collection[str] = (),
    image_size: int = 256,
    progress: Progress = SILENT,
) -> list[Path]:
    """Writes ``videos/<episode id>.mp4`` of some episodes.

    Args:
        dataset: The dataset's folder.
        num_episodes: The first so many of each task; None: all.
        episode_ids: These instead, if there are any.
        image_size: Height and width, in pixels, where an episode has no images and is replayed.
        progress: Told of each video.

    Returns:
        The videos.

    Raises:
        DatasetError: The dataset is damaged, has no such episode, or a replay is not the recorded
            one.
    """
    check_episodes(dataset, episode_ids)
    names = set(episode_ids) or {row["episode_id"] for row in first_episodes(dataset, num_episodes)}
    settings, backends = RenderConfig(image_size=image_size), read_manifest(dataset).backends
    progress.start("video", len(names), "videos")
    paths: list[Path] = []
    for trajectory, images in read_rendered(dataset, episode_ids=names):
        episode = images or render_replay(trajectory, settings, backends)
        path = dataset / "videos" / f"{check_name(trajectory.episode_id)}.mp4"
        write_video(path, np.concatenate([episode.agentview, episode.wrist], axis=2))
        paths.append(path)
        progress.advance(1, path.name)
    return paths
