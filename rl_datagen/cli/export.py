"""``rl-datagen export``: datasets in other people's formats."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rl_datagen.cli.progress import show_progress

if TYPE_CHECKING:
    from rl_datagen.export import Exported

app = typer.Typer(help="Write a dataset in other people's formats.", no_args_is_help=True)

Dataset = Annotated[Path, typer.Argument(help="Folder with a manifest.json.")]
Out = Annotated[Path, typer.Argument(help="Folder to write; it must not exist yet.")]
Tasks = Annotated[str, typer.Option("--task", help="Only these: a selector, as `tasks` takes it.")]
DropNoops = Annotated[bool, typer.Option("--drop-noops", help="Leave out what moves nothing.")]
Version = Annotated[
    Literal["v3.0", "v2.1"],
    typer.Option(help="v3.0: lerobot from 0.4 on. v2.1: openpi, with its names."),
]
Images = Annotated[
    Literal["video", "image"] | None,
    typer.Option(help="MP4s (v3.0's default) or images in the Parquet files.", show_default=False),
]
RenderedOnly = Annotated[
    bool, typer.Option("--rendered-only", help="Leave out episodes without images.")
]
NoImages = Annotated[bool, typer.Option("--no-images", help="Leave out what the cameras saw.")]


@app.command("lerobot")
def lerobot_(
    dataset: Dataset,
    out: Out,
    version: Version = "v3.0",
    images: Images = None,
    task: Tasks = "all",
    drop_noops: DropNoops = False,
    rendered_only: RenderedOnly = False,
) -> None:
    """Write a LeRobot dataset. Cameras are turned by 180 degrees, as in openpi and OpenVLA."""
    with show_progress("reads what the dataset holds") as progress:
        from rl_datagen.export import export_lerobot

        report = export_lerobot(
            dataset,
            out,
            version=version,
            images=images,
            tasks=task,
            drop_noops=drop_noops,
            rendered_only=rendered_only,
            progress=progress,
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
) -> None:
    """Write LIBERO's HDF5 files, one for each task, which robomimic reads as well."""
    with show_progress("reads what the dataset holds") as progress:
        from rl_datagen.export import export_hdf5

        report = export_hdf5(
            dataset,
            out,
            tasks=task,
            drop_noops=drop_noops,
            rendered_only=rendered_only,
            images=not no_images,
            progress=progress,
        )
    _print(report)


@app.command("rlds")
def rlds_(
    dataset: Dataset,
    out: Out,
    task: Tasks = "all",
    drop_noops: DropNoops = False,
    rendered_only: RenderedOnly = False,
) -> None:
    """Write RLDS for tensorflow-datasets and OpenVLA. OUT's name becomes the dataset's."""
    with show_progress("reads what the dataset holds") as progress:
        from rl_datagen.export import export_rlds

        report = export_rlds(
            dataset,
            out,
            tasks=task,
            drop_noops=drop_noops,
            rendered_only=rendered_only,
            progress=progress,
        )
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
