"""``rl-datagen export``: datasets in other people's formats."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

import typer

from rl_datagen.cli.progress import show_progress
from rl_datagen.config import Appearance
from rl_datagen.core.errors import ConfigError
from rl_datagen.core.progress import Progress

if TYPE_CHECKING:
    from rl_datagen.export import Exported

app = typer.Typer(help="Write a dataset in other people's formats.", no_args_is_help=True)

Dataset = Annotated[Path, typer.Argument(help="Folder with a manifest.json.")]
Out = Annotated[Path, typer.Argument(help="Folder to write; it must not exist yet.")]
Tasks = Annotated[str, typer.Option("--task", help="Only these: a selector, as `tasks` takes it.")]
DropNoops = Annotated[bool, typer.Option("--drop-noops", help="Leave out what moves nothing.")]
Version = Annotated[
    Literal["v3.0", "v2.1"],
    typer.Option(help="v3.0: lerobot from 0.4 on. v2.1: openpi, with its names, and GR00T."),
]
Images = Annotated[
    Literal["video", "image"] | None,
    typer.Option(help="MP4s (v3.0's default) or images in the Parquet files.", show_default=False),
]
Fps = Annotated[
    int | None,
    typer.Option(
        help="Frames per second that the dataset says it has: a label, no frame is left out.",
        show_default="20, LIBERO's control rate; v2.1: 10, as openpi's",
    ),
]
ModalityJson = Annotated[
    bool, typer.Option("--modality-json", help="Write GR00T's meta/modality.json; with videos.")
]
Subtasks = Annotated[
    Literal["language", "index", "none"] | None,
    typer.Option(
        help="Subtasks of labels as lerobot 0.6 has them, or as a subtask_index, or not.",
        show_default="language, v2.1: index; none without labels",
    ),
]
Views = Annotated[
    bool,
    typer.Option("--views", help="Also depth, segmentation, cameras, copies; v3.0, lerobot 0.6."),
]
RenderedOnly = Annotated[
    bool, typer.Option("--rendered-only", help="Leave out episodes without images.")
]
NoImages = Annotated[bool, typer.Option("--no-images", help="Leave out what the cameras saw.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Ray tasks at a time.", show_default="cores")
]
Render = Annotated[bool, typer.Option("--render", help="First render what has no images yet.")]
_AS_THERE = "as the images that are there, or "
Size = Annotated[
    int | None,
    typer.Option(min=16, max=1024, help="Of --render: pixels.", show_default=f"{_AS_THERE}256"),
]
Encoding = Annotated[
    Literal["png", "jpeg"] | None,
    typer.Option(help="Of --render.", show_default=f"{_AS_THERE}png"),
]
Look = Annotated[
    Appearance | None,
    typer.Option("--appearance", help="Of --render.", show_default=f"{_AS_THERE}original"),
]
Gpus = Annotated[
    float, typer.Option(min=0, max=1, help="Of --render: share of a GPU for each Ray task.")
]


class _Chosen(TypedDict):
    """Options of every format, as the functions take them."""

    tasks: str
    drop_noops: bool
    rendered_only: bool
    num_workers: int | None


@dataclass(frozen=True)
class _Rendering:
    """What is rendered before an export."""

    wanted: bool
    size: int | None
    encoding: Literal["png", "jpeg"] | None
    appearance: Appearance | None
    gpus: float

    def prepare(self, dataset: Path, progress: Progress, chosen: _Chosen) -> Callable[[], None]:
        """Returns what renders, if that is wanted.

        Raises:
            ConfigError: An option of --render is given without it.
        """
        given = {name: value for name, value in vars(self).items() if value and name != "wanted"}
        for name, value in {} if self.wanted else given.items():
            raise ConfigError(
                f"--{name} {value} has no effect without --render: add --render, which renders "
                f"what has no images yet, or leave --{name} out."
            )
        return lambda: self._render(dataset, progress, chosen) if self.wanted else None

    def _render(self, dataset: Path, progress: Progress, chosen: _Chosen) -> None:
        from rl_datagen.jobs.render import render_missing

        outcome = render_missing(
            dataset,
            tasks=chosen["tasks"],
            image_size=self.size,
            encoding=self.encoding,
            appearance=self.appearance,
            num_gpus_per_worker=self.gpus,
            num_workers=chosen["num_workers"],
            progress=progress,
        )
        if not chosen["rendered_only"]:
            outcome.check()


@app.command("lerobot")
def lerobot_(
    dataset: Dataset,
    out: Out,
    version: Version = "v3.0",
    images: Images = None,
    fps: Fps = None,
    modality_json: ModalityJson = False,
    subtasks: Subtasks = None,
    views: Views = False,
    task: Tasks = "all",
    drop_noops: DropNoops = False,
    rendered_only: RenderedOnly = False,
    render: Render = False,
    size: Size = None,
    encoding: Encoding = None,
    appearance: Look = None,
    gpus: Gpus = 0,
    workers: Workers = None,
) -> None:
    """Write a LeRobot dataset. Cameras are turned by 180 degrees, as in openpi and OpenVLA.

    What was interrupted resumes when the same command is given again.
    """
    rendering = _Rendering(render, size, encoding, appearance, gpus)
    chosen = _Chosen(
        tasks=task, drop_noops=drop_noops, rendered_only=rendered_only, num_workers=workers
    )
    with show_progress("reads what the dataset holds") as progress:
        from rl_datagen.export import export_lerobot

        prepare = rendering.prepare(dataset, progress, chosen)
        report = export_lerobot(
            dataset,
            out,
            version=version,
            images=images,
            fps=fps,
            modality_json=modality_json,
            subtasks=subtasks,
            views=views,
            prepare=prepare,
            progress=progress,
            **chosen,
        )
    _print(report)


@app.command("hdf5")
def hdf5_(
    dataset: Dataset,
    out: Out,
    task: Tasks = "all",
    drop_noops: DropNoops = False,
    rendered_only: RenderedOnly = False,
    no_images: NoImages = False,
    render: Render = False,
    size: Size = None,
    encoding: Encoding = None,
    appearance: Look = None,
    gpus: Gpus = 0,
    workers: Workers = None,
) -> None:
    """Write LIBERO's HDF5 files, one for each task, which robomimic reads as well.

    What was interrupted resumes when the same command is given again.
    """
    if render and no_images:
        raise ConfigError("--render and --no-images contradict each other: leave one out.")
    rendering = _Rendering(render, size, encoding, appearance, gpus)
    chosen = _Chosen(
        tasks=task, drop_noops=drop_noops, rendered_only=rendered_only, num_workers=workers
    )
    with show_progress("reads what the dataset holds") as progress:
        from rl_datagen.export import export_hdf5

        prepare = rendering.prepare(dataset, progress, chosen)
        report = export_hdf5(
            dataset,
            out,
            images=not no_images,
            prepare=prepare,
            progress=progress,
            **chosen,
        )
    _print(report)


@app.command("rlds")
def rlds_(
    dataset: Dataset,
    out: Out,
    task: Tasks = "all",
    drop_noops: DropNoops = False,
    rendered_only: RenderedOnly = False,
    render: Render = False,
    size: Size = None,
    encoding: Encoding = None,
    appearance: Look = None,
    gpus: Gpus = 0,
    workers: Workers = None,
) -> None:
    """Write RLDS for tensorflow-datasets and OpenVLA. OUT's name becomes the dataset's.

    What was interrupted resumes when the same command is given again.
    """
    rendering = _Rendering(render, size, encoding, appearance, gpus)
    chosen = _Chosen(
        tasks=task, drop_noops=drop_noops, rendered_only=rendered_only, num_workers=workers
    )
    with show_progress("reads what the dataset holds") as progress:
        from rl_datagen.export import export_rlds

        prepare = rendering.prepare(dataset, progress, chosen)
        report = export_rlds(dataset, out, prepare=prepare, progress=progress, **chosen)
    _print(report)


def _print(report: "Exported") -> None:
    counts = (
        (report.num_failed, "failed episodes"),
        (report.num_not_rendered, "episodes without images"),
        (report.num_noops, "no-ops"),
    )
    left_out = [f"{count} {what}" for count, what in counts if count]
    print(
        f"{report.path}: {report.num_episodes} episodes, {report.num_frames} frames"
        f"{'; left out: ' + ', '.join(left_out) if left_out else ''}."
    )
