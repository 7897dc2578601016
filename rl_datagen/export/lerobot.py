"""A dataset in LeRobot's formats, to train on with lerobot (v3.0) or openpi (v2.1)."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

from rl_datagen.core.errors import UserError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.storage import atomic_folder, write_text
from rl_datagen.core.templates import template_environment
from rl_datagen.data.manifest import read_manifest
from rl_datagen.export.episodes import Episodes, Exported
from rl_datagen.export.lerobot_layout import (
    V21,
    V30,
    Layout,
    feature_infos,
    to_episode,
)
from rl_datagen.export.lerobot_v21 import V21Files
from rl_datagen.export.lerobot_v30 import V30Files
from rl_datagen.export.statistics import DatasetStatistics
from rl_datagen.tasks import get_task

Images = Literal["video", "image"]


def export_lerobot(
    dataset: Path,
    out: Path,
    *,
    version: Literal["v3.0", "v2.1"] = "v3.0",
    images: Images | None = None,
    tasks: str = "all",
    drop_noops: bool = False,
    rendered_only: bool = False,
    progress: Progress = SILENT,
) -> Exported:
    """Writes a LeRobot dataset, one episode in memory at a time; it appears whole or not at all.

    Args:
        dataset: Folder of the dataset.
        out: Folder that does not exist yet.
        version: v3.0 for lerobot from 0.4 on; v2.1, with openpi's feature names, for openpi.
        images: MP4s (v3.0's default) or images in the Parquet files (all that v2.1 of openpi has).
        tasks: Selector of tasks.
        drop_noops: Leave out no-ops; frames and timestamps are counted without them.
        rendered_only: Leave out episodes without images.
        progress: Told of each episode.

    Raises:
        UserError: ``out`` exists, or the options contradict each other.
        DatasetError: Nothing to export, images are missing, or the dataset is damaged.
    """
    layout = V30 if version == "v3.0" else V21
    if version == "v2.1" and images == "video":
        raise UserError(
            "openpi's LIBERO layout of LeRobot v2.1 has images in its Parquet files, not videos: "
            "leave --images out, or choose --version v3.0."
        )
    layout = replace(layout, images=images or layout.images)
    episodes = Episodes(
        dataset, tasks, drop_noops=drop_noops, rendered_only=rendered_only, progress=progress
    )
    report = Exported(out)
    with atomic_folder(out) as folder:
        _write(folder, episodes, layout, report)
        _write_card(folder, out.name, dataset, layout, report, episodes)
    return report


def _write(folder: Path, episodes: Episodes, layout: Layout, report: Exported) -> None:
    statistics = DatasetStatistics()
    instructions: dict[str, int] = {}
    with closing((V30Files if layout.version == "v3.0" else V21Files)(folder, layout)) as files:
        for trajectory, rendered in episodes.read(report):
            assert rendered is not None
            if layout.images == "video":
                _check_even(episodes)
            instruction = get_task(trajectory.task).instruction
            episode = to_episode(
                layout,
                trajectory,
                rendered,
                instruction=instruction,
                task_index=instructions.setdefault(instruction, len(instructions)),
                index=report.num_episodes - 1,
                first=report.num_frames - len(trajectory),
            )
            files.add(episode, statistics.add(episode.features))
        info = {
            "codebase_version": layout.version,
            "robot_type": "panda",
            "total_episodes": report.num_episodes,
            "total_frames": report.num_frames,
            "total_tasks": len(instructions),
            "fps": layout.fps,
            "splits": {"train": f"0:{report.num_episodes}"},
            "features": feature_infos(layout, episodes.image_size),
        }
        files.finish(info, statistics.result(), instructions)


def _check_even(episodes: Episodes) -> None:
    height, width = episodes.image_size
    if height % 2 or width % 2:
        raise UserError(
            f"Videos need an even height and width, and the images of {episodes.dataset} have "
            f"{height} x {width} pixels. Choose --images image, or render them in an even size."
        )


def _write_card(
    folder: Path, name: str, dataset: Path, layout: Layout, report: Exported, episodes: Episodes
) -> None:
    environment = template_environment("rl_datagen.export", html=False)
    text = environment.get_template("lerobot_card.md.j2").render(
        name=name,
        layout=layout,
        report=report,
        tasks=episodes.tasks,
        size=episodes.image_size,
        drop_noops=episodes.drop_noops,
        provenance=read_manifest(dataset).provenance,
    )
    write_text(folder / "README.md", text)
