"""``rl-datagen ablate``: learning with one choice changed at a time."""

from typing import Annotated

from rich.console import Console

from rl_datagen.cli.arguments import settings
from rl_datagen.cli.progress import show_progress
from rl_datagen.cli.settings_list import list_settings
from rl_datagen.config import AblationConfig, load_config


def ablate(
    overrides: Annotated[list[str] | None, settings("num_seeds=3")] = None,
    list_all: Annotated[bool, list_settings("ablate")] = False,
) -> None:
    """Learn with one choice changed at a time, over tasks and seeds; one table, one figure.

    Starts from the overlay `ablation`. A second call resumes where the first one stopped, also with
    more arms, tasks and seeds.
    """
    config = load_config(overrides or [], base="ablation", model=AblationConfig)
    with show_progress("loads PyTorch and Ray") as progress:
        from rl_datagen.study.ablation import run_ablation

        folder = run_ablation(config, progress)
    Console(soft_wrap=True).print(
        f"table    {folder / 'ablation.md'}\nfigure   {folder / 'ablation.png'}", highlight=False
    )
