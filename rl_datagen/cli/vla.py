"""``rl-datagen vla``: policies for many tasks, trained on datasets."""

from typing import Annotated

import typer
from rich.console import Console

from rl_datagen.cli.arguments import WITH_SETTINGS, Track, settings
from rl_datagen.cli.progress import show_progress
from rl_datagen.cli.settings_list import list_settings
from rl_datagen.config import VlaConfig, load_config

app = typer.Typer(help="Vision-language-action models.", no_args_is_help=True)

Settings = Annotated[list[str] | None, settings("datasets=outputs/datasets/collected")]


@app.command(context_settings=WITH_SETTINGS)
def train(
    settings: Settings = None,
    track: Track = None,
    list_all: Annotated[bool, list_settings("vla train")] = False,
) -> None:
    """Train a VLA on datasets with images: the built-in one, or lerobot's pi0, pi0.5 and SmolVLA.

    A second call with the same name resumes where the first one stopped.
    """
    config = load_config(settings or [], model=VlaConfig)
    with show_progress("loads PyTorch") as progress:
        # Imports torch: bad settings and --help should not wait for that.
        from rl_datagen.vla.folder import read_data, read_metrics
        from rl_datagen.vla.train import train as run

        folder = run(config, track=track or (), progress=progress)
        metrics = read_metrics(folder)
        progress.finish("vla", f"loss {metrics.get('loss', float('nan')):.4g}", metrics["seconds"])
    data = read_data(folder, "num_episodes", "tasks")
    episodes = ", ".join(f"{count} {source}" for source, count in data["num_episodes"].items())
    Console(soft_wrap=True).print(
        f"vla      {folder}\ndata     {episodes} episodes of {len(data['tasks'])} tasks",
        highlight=False,
    )
