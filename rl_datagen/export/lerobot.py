"""A dataset in LeRobot's formats: for lerobot (v3.0), and for openpi and GR00T (v2.1)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.export.job import prepare_export, run_export
from rl_datagen.export.lerobot_layout import V21, V30, Layout
from rl_datagen.export.lerobot_v21 import V21Files
from rl_datagen.export.lerobot_v30 import V30Files
from rl_datagen.export.lerobot_views import Besides, besides
from rl_datagen.export.plan import Choice, Exported, Plan
from rl_datagen.export.subtasks import Subtasks

Images = Literal["video", "image"]
Version = Literal["v3.0", "v2.1"]
_MAX_FPS = 1000


def export_lerobot(
    dataset: Path,
    out: Path,
    *,
    version: Version = "v3.0",
    images: Images | None = None,
    fps: int | None = None,
    modality_json: bool = False,
    subtasks: Subtasks | None = None,
    views: bool = False,
    tasks: str = "all",
    drop_noops: bool = False,
    rendered_only: bool = False,
    num_workers: int | None = None,
    prepare: Callable[[], None] | None = None,
    progress: Progress = SILENT,
) -> Exported:
    """Writes a LeRobot dataset, which appears whole or not at all; the same call resumes.

    Args:
        dataset: Folder of the dataset.
        out: Folder that does not exist yet.
        version: v3.0 for lerobot from 0.4 on; v2.1, with openpi's feature names, for openpi.
        images: MP4s (v3.0's default, and GR00T's) or images in the Parquet files (v2.1's, as
            openpi has them).
        fps: Frames per second that the dataset says it has; None: 20, LIBERO's control rate, and
            10 for v2.1, as openpi's. A label alone: each env step is a frame, with its own action.
        modality_json: Write GR00T's ``meta/modality.json``.
        subtasks: How subtasks are written, which come from labels: ``language``, lerobot 0.6's
            columns; ``index``, a ``subtask_index`` with its table; ``none``. None: ``language``
            (v2.1: ``index``) if all episodes are labelled.
        views: Also what was rendered besides LIBERO's two images: depth, segmentation, cameras and
            copies, each a feature that lerobot's policies take for an input, too; v3.0 alone.
        tasks: Selector of tasks.
        drop_noops: Leave out no-ops; frames and timestamps are counted without them.
        rendered_only: Leave out episodes without images.
        num_workers: Parts worked on at a time; None: as many as the cluster has cores.
        prepare: Called before the dataset is read, once the options are known to be right; such as
            to render.
        progress: Told of each episode.

    Raises:
        ConfigError: An option is out of range, or options contradict each other.
        UserError: ``out`` exists, or another export was interrupted there.
        DatasetError: Nothing to export, images are missing, or the dataset is damaged.
    """
    layout = _layout(version, images, fps, subtasks, modality_json=modality_json, views=views)
    wanted = None if subtasks is None else subtasks != "none"
    chosen = {"drop_noops": drop_noops, "rendered_only": rendered_only, "views": views}
    choice = Choice(tasks, **chosen, subtasks=wanted)
    plan = prepare_export(dataset, out, choice, prepare)
    if views:
        layout = replace(layout, besides=_besides(plan))
    if plan.subtasks:
        usual = "language" if version == "v3.0" else "index"
        layout = replace(layout, subtasks=subtasks or usual)
    if layout.images == "video":
        _check_even(plan)
    form = (V30Files if version == "v3.0" else V21Files)(layout, out.name, modality_json)
    return run_export(plan, out, form, num_workers=num_workers, progress=progress)


def _layout(
    version: Version,
    images: Images | None,
    fps: int | None,
    subtasks: Subtasks | None,
    *,
    modality_json: bool,
    views: bool,
) -> Layout:
    """Returns names and rates as chosen.

    Raises:
        ConfigError: An option is out of range, or options contradict each other.
    """
    layout = V30 if version == "v3.0" else V21
    if modality_json and images == "image":
        raise ConfigError(
            "GR00T, which reads meta/modality.json, takes its images from videos: leave --images "
            "image out, or --modality-json."
        )
    if fps is not None and not 1 <= fps <= _MAX_FPS:
        raise ConfigError(
            f"--fps {fps}: 1 to {_MAX_FPS} is allowed. It is the rate that the dataset says it "
            "has; leave it out for LIBERO's own."
        )
    if version == "v2.1" and subtasks == "language":
        raise ConfigError(
            "--subtasks language is lerobot 0.6's, which reads v3.0: take --subtasks index with "
            "--version v2.1, or leave --version out."
        )
    if views and version == "v2.1":
        raise ConfigError(
            "--views is lerobot 0.6's, which reads v3.0 and knows depth maps: leave --version out, "
            "or --views."
        )
    kept = images or ("video" if modality_json else layout.images)
    return replace(layout, images=kept, fps=fps or layout.fps)


def _besides(plan: Plan) -> Besides:
    assert plan.look is not None
    if plan.look.views.is_plain:
        raise UserError(
            f"Dataset {plan.dataset} has nothing besides LIBERO's two images, and --views exports "
            f"what there is. Leave it out, or render depth, segmentation, cameras or copies: "
            "`rl-datagen dataset render --help`."
        )
    return besides(plan.look.views)


def _check_even(plan: Plan) -> None:
    height, width = plan.size
    if height % 2 or width % 2:
        raise UserError(
            f"Videos need an even height and width, and the images of {plan.dataset} have "
            f"{height} x {width} pixels. Choose --images image, or render them in an even size."
        )
