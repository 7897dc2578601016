"""``rl-datagen dataset``: look at datasets, check, render, mix and share them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from rl_datagen.cli.arguments import AsJson, Private, PullOut, Repo
from rl_datagen.cli.progress import show_progress
from rl_datagen.cli.views import Cameras, Copies, CopySeed, Modalities, Vary, chosen_views
from rl_datagen.config import Appearance, RenderConfig
from rl_datagen.config.views import PLAIN, ViewsConfig
from rl_datagen.core.errors import ConfigError, DatasetError

app = typer.Typer(help="Look at datasets, check, render, mix and share them.", no_args_is_help=True)

Dataset = Annotated[Path, typer.Argument(help="Folder with a manifest.json.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Ray tasks at a time.", show_default="cores")
]
Size = Annotated[int, typer.Option(min=16, max=1024, help="Height and width in pixels.")]


@app.command()
def verify(
    dataset: Dataset,
    replay: Annotated[
        int,
        typer.Option(
            min=0,
            help="Also replay so many episodes, drawn over all tasks, and compare the states.",
        ),
    ] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Do not decode the images.")] = False,
    workers: Workers = None,
) -> None:
    """Compare every file with the manifest, and every value with the schema and its rules."""
    with show_progress("loads PyArrow") as progress:
        from rl_datagen.data.compact import is_compact
        from rl_datagen.data.verify_compact import verify_compact
        from rl_datagen.jobs.check_dataset import check_dataset

        if is_compact(dataset):
            report = verify_compact(dataset, progress)
        else:
            report = check_dataset(dataset, quick=quick, num_workers=workers, progress=progress)
    report.check()
    print(
        f"{dataset}: sound. {report.num_episodes} episodes, {report.num_rows} env steps, "
        f"{report.num_shards} shards, {report.num_bytes / 1e6:.1f} MB.\n"
        f"content {report.content_hash}"
    )
    if replay:
        _show_replay(dataset, replay, workers)


def _show_replay(dataset: Path, num_episodes: int, workers: int | None) -> None:
    with show_progress() as progress:
        from rl_datagen.jobs.check_replay import check_replay

        found = check_replay(dataset, num_episodes, num_workers=workers, progress=progress)
    if found.problems:
        problems = "\n".join(f"- {problem}" for problem in found.problems)
        raise DatasetError(f"{found.missing} of {found.total} episodes do not replay:\n{problems}")
    print(f"{found.total} of {found.total} replayed episodes are as recorded")


@app.command()
def compact(
    dataset: Dataset,
    out: Annotated[Path, typer.Argument(help="Folder of the compact form; it may hold tasks.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace other episodes of a task that is there.")
    ] = False,
) -> None:
    """Keep what episodes cannot be computed from: a thirtieth of the size; `hydrate` undoes it."""
    with show_progress("loads PyArrow") as progress:
        from rl_datagen.data.compact import compact as run

        manifest = run(dataset, out, progress, replace=replace)
    size = sum(each.file.num_bytes for each in manifest.files)
    episodes = sum(each.file.num_rows for each in manifest.files)
    print(f"{out}: {episodes} episodes of {len(manifest.files)} task(s), {size / 1e6:.2f} MB")


@app.command()
def hydrate(
    dataset: Annotated[Path, typer.Argument(help="Folder of a compact dataset.")],
    out: Annotated[Path, typer.Argument(help="Folder of the dataset to make.")],
    task: Annotated[
        str, typer.Option(help="Only these tasks, as in `rl-datagen tasks SELECTOR`.")
    ] = "all",
    render: Annotated[bool, typer.Option("--render", help="Render the episodes, too.")] = False,
    size: Size = 256,
    modalities: Modalities = "",
    cameras: Cameras = None,
    vary: Vary = "",
    copies: Copies = 0,
    seed: CopySeed = 0,
    workers: Workers = None,
) -> None:
    """Replay a compact dataset into a whole one; a second call continues the first.

    Every episode's states are compared with what was recorded; a shard that differs is not stored.
    """
    views = chosen_views(modalities, cameras, vary, copies, seed)
    if not (render or views.is_plain):
        raise ConfigError(
            "--modalities, --cameras and --vary say what is rendered: add --render, or leave them "
            "out."
        )
    with show_progress() as progress:
        from rl_datagen.jobs.hydrate import hydrate as run

        outcome = run(dataset, out, tasks=task, num_workers=workers, progress=progress)
    outcome.check()
    if render:
        settings = RenderConfig(num_episodes=None, image_size=size)
        show_rendering(out, settings, task, workers, views)
    Console(soft_wrap=True).print(f"dataset  {out}", highlight=False)


@app.command()
def info(dataset: Dataset, as_json: AsJson = False) -> None:
    """Show what a dataset holds, task by task."""
    from rl_datagen.data.card import dataset_info
    from rl_datagen.data.manifest import read_manifest

    info, content = dataset_info(dataset), read_manifest(dataset).content_hash
    if as_json:
        print(json.dumps({**asdict(info), "path": str(info.path), "content": content}, indent=2))
        return
    table = Table("task", "instruction", "source", "episodes", "env steps", "length")
    for task in info.tasks:
        failed = task.num_episodes - task.num_successes
        table.add_row(
            task.task,
            task.instruction,
            ", ".join(task.sources),
            f"{task.num_episodes}{f' ({failed} failed)' if failed else ''}",
            str(task.num_rows),
            f"{task.length_min} to {task.length_max}, mean {task.length_mean:.0f}",
        )
    Console().print(table)
    print(
        f"{info.num_episodes} episodes in {info.num_shards} shards, {info.num_rendered} rendered, "
        f"{info.num_labelled} labelled, "
        f"{info.num_bytes / 1e6:.1f} MB, schema version {info.schema_version}\ncontent {content}"
    )


@app.command()
def render(
    dataset: Dataset,
    size: Size = 256,
    encoding: Annotated[
        Literal["png", "jpeg"], typer.Option(help="PNG is lossless; JPEG a fifth of its size.")
    ] = "png",
    appearance: Annotated[
        Appearance,
        typer.Option(help="Textures as in LIBERO's own data, or as MuJoCo reads them since 3.3.3."),
    ] = "original",
    episodes: Annotated[
        int | None,
        typer.Option(min=1, help="Only the first so many of each task.", show_default=False),
    ] = None,
    task: Annotated[
        str, typer.Option(help="Only these tasks, as in `rl-datagen tasks SELECTOR`.")
    ] = "all",
    modalities: Modalities = "",
    cameras: Cameras = None,
    vary: Vary = "",
    copies: Copies = 0,
    seed: CopySeed = 0,
    workers: Workers = None,
    gpus: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a GPU that each Ray task draws on.")
    ] = 0,
) -> None:
    """Replay episodes into images of both cameras; a second call continues the first.

    An episode whose replay is not what was recorded is named and gets no images.
    """
    settings = RenderConfig(
        num_episodes=episodes,
        image_size=size,
        encoding=encoding,
        appearance=appearance,
        num_gpus_per_worker=gpus,
    )
    views = chosen_views(modalities, cameras, vary, copies, seed)
    show_rendering(dataset, settings, task, workers, views)
    Console(soft_wrap=True).print(f"look     rl-datagen dataset video {dataset}", highlight=False)


@app.command()
def label(
    dataset: Dataset,
    task: Annotated[
        str, typer.Option(help="Only these tasks, as in `rl-datagen tasks SELECTOR`.")
    ] = "all",
    workers: Workers = None,
) -> None:
    """Label each env step from its state: goal, subtask, grasp, contacts, distance, progress.

    Failed episodes get the cause of their failure. A second call continues the first.
    """
    with show_progress() as progress:
        from rl_datagen.data.dataset import read_failures
        from rl_datagen.jobs.label import label_dataset

        outcome = label_dataset(dataset, tasks=task, num_workers=workers, progress=progress)
    outcome.check()
    failures = read_failures(dataset)
    failed = {name: cause for name, cause in failures.items() if cause is not None}
    print(f"labels   {len(failures)} episodes, {len(failed)} of them failed")
    for cause in dict.fromkeys(failed.values()):
        names = [name for name, found in failed.items() if found == cause]
        print(f"{cause:12} {len(names):5}, such as {', '.join(names[:3])}")


def show_rendering(
    dataset: Path,
    settings: RenderConfig,
    tasks: str = "all",
    workers: int | None = None,
    views: ViewsConfig = PLAIN,
) -> None:
    """Renders a dataset and shows how far it is."""
    with show_progress() as progress:
        from rl_datagen.jobs.render import render_dataset

        outcome = render_dataset(
            dataset, settings, views=views, tasks=tasks, num_workers=workers, progress=progress
        )
    outcome.check()


@app.command()
def video(
    dataset: Dataset,
    episodes: Annotated[int, typer.Option(min=1, help="The first so many of each task.")] = 1,
    episode: Annotated[
        list[str] | None,
        typer.Option(help="This episode instead; may be given again.", show_default=False),
    ] = None,
    size: Size = 256,
) -> None:
    """Write MP4s of both cameras, from the images or, without any, by a replay of that size."""
    with show_progress() as progress:
        from rl_datagen.jobs.video import write_videos

        paths = write_videos(
            dataset,
            num_episodes=episodes,
            episode_ids=episode or (),
            image_size=size,
            progress=progress,
        )
    for path in paths:
        print(path)


@app.command()
def view(
    dataset: Dataset,
    episode: Annotated[
        str | None,
        typer.Option(help="Which episode.", show_default="the first one that has images"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The recording.", show_default="<episode>.rrd")
    ] = None,
) -> None:
    """Write one episode as a recording of rerun: cameras, objects, actions, goal, step by step.

    Objects and goal come from a replay, and are left out where the simulator is not installed.
    """
    with show_progress("loads rerun") as progress:
        from rl_datagen.export.recording import first_episode, write_recording

        name = episode or first_episode(dataset)
        progress.say("replays the episode")
        written = write_recording(dataset, name, out or Path(f"{name}.rrd"))
    for sentence in written.left_out:
        print(sentence)
    print(f"episode  {written.episode_id}, {written.num_steps} env steps")
    Console(soft_wrap=True).print(f"look     rerun {written.path}", highlight=False)


@app.command()
def merge(
    out: Annotated[Path, typer.Argument(help="Folder of the new dataset.")],
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="DATASET[=WEIGHT]...", help="Datasets, each with a weight or none."),
    ],
    images: Annotated[bool, typer.Option(help="Take camera images along.")] = True,
) -> None:
    """Mix datasets: all of their episodes, or as many as the weights' ratio allows.

    `merge mixed human=1 experts=3` takes three episodes of the experts for each human one. Files
    are linked where the disk can, so that a mixture needs little space.
    """
    weighted = [_weighted(text) for text in inputs]
    with show_progress("reads what the datasets hold") as progress:
        from rl_datagen.data.merge import merge as run

        taken = run(out, weighted, images=images, progress=progress)
    for source in taken:
        print(f"{source.path}: {source.num_episodes} of {len(source.rows)} episodes")
    Console(soft_wrap=True).print(f"dataset  {out}", highlight=False)


@app.command()
def push(
    dataset: Annotated[
        Path, typer.Argument(help="A dataset, a compact one, or an export to LeRobot.")
    ],
    repo: Repo,
    private: Private = False,
) -> None:
    """Upload a dataset with its card to the Hugging Face Hub; a second call continues the first."""
    with show_progress("checks every file") as progress:
        from rl_datagen.export.hub import push_dataset

        url = push_dataset(dataset, repo, private=private, progress=progress)
    print(url)


@app.command()
def pull(repo: Repo, out: PullOut) -> None:
    """Download a dataset of the Hugging Face Hub, and check all of it; a second call continues."""
    with show_progress("asks the Hub") as progress:
        from rl_datagen.export.hub import pull_dataset

        pull_dataset(repo, out, progress=progress)
    Console(soft_wrap=True).print(f"dataset  {out}", highlight=False)


def _weighted(text: str) -> tuple[Path, float | None]:
    path, mark, weight = text.rpartition("=")
    if not mark:
        return Path(text), None
    try:
        return Path(path), float(weight)
    except ValueError:
        raise ConfigError(
            f"'{text}': the weight '{weight}' is not a number. Write DATASET=WEIGHT, such as "
            "outputs/datasets/collected=3."
        ) from None
