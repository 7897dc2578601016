"""Runs the stages in order and continues after the last finished one."""

from collections.abc import Callable, Mapping
from pathlib import Path

from rl_datagen.config import Config
from rl_datagen.doctor import check_rendering
from rl_datagen.quickstart.run import Run, Summary, run_stages
from rl_datagen.quickstart.stages import STAGES, TRAINING
from rl_datagen.runtime.progress import Progress
from rl_datagen.runtime.workdir import lock_folder


def quickstart(config: Config, progress: Progress, *, fresh: bool = False) -> Path:
    """Runs every stage that is not finished yet.

    Args:
        config: The configuration; a run continues only under the one it began with.
        progress: Told how far the run is.
        fresh: Delete what an earlier run of this name left, and start over.

    Returns:
        Path of the HTML page.

    Raises:
        ConfigError: The output folder belongs to another configuration.
        UserError: This machine cannot render, or another process is at this run.
    """
    run = Run(config, progress)
    if config.collect.render.num_episodes and (fresh or not run.finished("render")):
        check_rendering()  # now, rather than after the long stages before it
    _run_alone(run, STAGES, fresh)
    return run.folder / "index.html"


def train(config: Config, progress: Progress, *, fresh: bool = False) -> Run:
    """Makes an expert: the stages of ``quickstart`` up to the evaluation of the fine-tuned policy.

    Args:
        config: As for ``quickstart``, which can go on from here.
        progress: Told how far the run is.
        fresh: Delete what an earlier run of this name left, its dataset too, and start over.

    Returns:
        The finished run.

    Raises:
        ConfigError: The output folder belongs to another configuration.
        UserError: Another process is at this run.
    """
    run = Run(config, progress)
    _run_alone(run, {stage: STAGES[stage] for stage in TRAINING}, fresh)
    return run


def _run_alone(run: Run, stages: Mapping[str, Callable[[Run], Summary]], fresh: bool) -> None:
    with lock_folder(run.folder):
        run_stages(run, stages, fresh=fresh)
