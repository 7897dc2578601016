"""``rl-datagen collect``: successful episodes of many tasks."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from rl_datagen.cli.arguments import settings
from rl_datagen.cli.dataset import show_rendering
from rl_datagen.cli.progress import show_progress
from rl_datagen.cli.settings_list import list_settings
from rl_datagen.config import CollectionConfig, RenderConfig, load_config
from rl_datagen.core.errors import ConfigError

Settings = Annotated[list[str] | None, settings("experts=campaign num_episodes=50")]


def collect(
    overrides: Settings = None,
    render: Annotated[
        bool, typer.Option("--render", help="Then render all episodes; see `dataset render`.")
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DATASET",
            help="Disturb this dataset's episodes on their way and let the experts put them right.",
        ),
    ] = None,
    recoveries: Annotated[
        int | None, typer.Option(min=1, help="With --from: recoveries of each episode; 1.")
    ] = None,
    patterns: Annotated[
        int,
        typer.Option(
            help="Ways through free space: for each episode one more on each other than the "
            "expert's own."
        ),
    ] = 1,
    list_all: Annotated[bool, list_settings("collect")] = False,
) -> None:
    """Store successful episodes of each task's expert, or of its demonstrations.

    Tasks and shards are worked on side by side, as Ray tasks. A second call continues the first.
    """
    if recoveries is not None and source is None:
        raise ConfigError(
            f"--recoveries {recoveries} says how often each episode of a dataset is disturbed and "
            "put right: name the dataset with --from DATASET."
        )
    if patterns != 1 and source is not None:
        raise ConfigError(
            f"--patterns {patterns} and --from {source} contradict each other: recoveries take the "
            "way of the dataset's episodes. Collect patterns first, and give their dataset with "
            "--from."
        )
    config = load_config(overrides or [], model=CollectionConfig)
    with show_progress() as progress:
        # Imports torch, Ray and LIBERO: bad settings and --help should not wait for that.
        if source is None:
            from rl_datagen.jobs.collect import collect as run

            path = run(config, progress, num_patterns=patterns)
        else:
            from rl_datagen.jobs.recover import recover_dataset

            path = recover_dataset(source, config, recoveries or 1, progress)
    if render:
        show_rendering(path, RenderConfig(num_episodes=None))
    Console(soft_wrap=True).print(
        f"dataset  {path}\ncheck    rl-datagen dataset verify {path}", highlight=False
    )
