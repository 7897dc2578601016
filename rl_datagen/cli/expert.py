"""``rl-datagen expert``: watch trained experts, pack them for others, and share them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from rl_datagen.cli.arguments import Private, PullOut, Repo
from rl_datagen.cli.progress import show_progress
from rl_datagen.tasks import NUM_INIT_STATES, get_task

app = typer.Typer(help="Watch trained experts, pack and share them.", no_args_is_help=True)

Experts_ = Annotated[
    str,
    typer.Option(
        "--experts",
        help="Whose: `release` (those of the repository), or as `experts` of `rl-datagen collect`.",
    ),
]
OutputDir = Annotated[
    str, typer.Option("--output-dir", help="Where experts lie that are given by name.")
]


@app.command()
def play(
    task: Annotated[str, typer.Argument(help="Such as libero_goal/8.")],
    experts: Experts_ = "release",
    seed: Annotated[int, typer.Option(min=0, help="Of the policy and of the init state.")] = 0,
    init_state: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=NUM_INIT_STATES - 1,
            help="One of LIBERO's init states, not a new one.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=16, max=1024, help="Of each image, pixels.")] = 256,
    out: Annotated[
        Path | None, typer.Option(help="The MP4.", show_default="<task>-<seed>.mp4")
    ] = None,
    output_dir: OutputDir = "outputs",
) -> None:
    """Run one episode of a task's expert and write a video of both cameras."""
    chosen = get_task(task)
    from rl_datagen.jobs.play import play as run
    from rl_datagen.jobs.stored import Experts

    video = out or Path(f"{chosen.id.replace('/', '-')}-{seed}.mp4")
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{chosen}: {chosen.instruction}")
    episode = run(
        Experts(experts, output_dir),
        chosen,
        video,
        seed=seed,
        init_state=init_state,
        image_size=size,
    )
    result = "reached the goal" if episode.success else "did not reach the goal"
    console.print(f"{result} after {len(episode)} env steps ({len(episode) / 20:.1f} s)")
    console.print(f"watch    {video}")


@app.command()
def pack(
    experts: Annotated[str, typer.Argument(help="As `experts` of `rl-datagen collect`.")],
    out: Annotated[Path, typer.Argument(help="Folder; gets one folder for each task.")],
    task: Annotated[
        str | None,
        typer.Option(
            help="Only these tasks, as in `rl-datagen tasks SELECTOR`.",
            show_default="all there are",
        ),
    ] = None,
    output_dir: OutputDir = "outputs",
) -> None:
    """Copy experts with their weights in half precision: half the size."""
    from rl_datagen.jobs.stored import Experts
    from rl_datagen.policy.release import pack as run

    found = Experts(experts, output_dir)
    for each in found.tasks(task):
        size = run(found.read(each).files, out / each.id)
        print(f"{out / each.id}: {size / 1e6:.2f} MB", flush=True)


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="An expert's, or what `expert pack` has made.")],
    repo: Repo,
    private: Private = False,
) -> None:
    """Upload experts with a card to the Hugging Face Hub."""
    with show_progress("loads PyTorch and checks the experts") as progress:
        from rl_datagen.policy.hub import push_experts

        url = push_experts(folder, repo, private=private, progress=progress)
    print(url)


@app.command()
def pull(repo: Repo, out: PullOut) -> None:
    """Download experts from the Hugging Face Hub, and check each of them."""
    with show_progress("asks the Hub") as progress:
        from rl_datagen.policy.hub import pull_experts

        pull_experts(repo, out, progress=progress)
    Console(soft_wrap=True, highlight=False).print(f"expert   {out}")
