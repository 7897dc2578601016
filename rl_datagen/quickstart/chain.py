"""Runs the stages in order and continues after the last finished one."""

import time
from collections.abc import Iterable
from pathlib import Path

from rl_datagen.config import Config
from rl_datagen.doctor import check_rendering
from rl_datagen.quickstart.run import Progress, Run, Summary
from rl_datagen.quickstart.stages import STAGES, TRAINING


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
        UserError: This machine cannot render.
    """
    run = Run(config, progress)
    if config.collect.render.num_episodes and (fresh or not run.finished("render")):
        check_rendering()  # now, rather than after the long stages before it
    _run_stages(run, STAGES, fresh)
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
    """
    run = Run(config, progress)
    _run_stages(run, TRAINING, fresh)
    return run


def _run_stages(run: Run, stages: Iterable[str], fresh: bool) -> None:
    if fresh:
        run.clear()
    run.claim()
    for stage in stages:
        if run.finished(stage):
            summary = run.summary(stage)
            run.progress.finish(stage, f"already done: {_line(summary)}", summary["seconds"])
            continue
        names = list(STAGES)
        for later in names[names.index(stage) :]:  # what was made from the old result
            run.forget(later)
        begin = time.monotonic()
        summary = STAGES[stage](run)
        summary["seconds"] = round(time.monotonic() - begin, 1)
        run.mark(stage, summary)
        run.progress.finish(stage, _line(summary), summary["seconds"])


def _line(summary: Summary) -> str:
    pairs = [(key, value) for key, value in summary.items() if key != "seconds"]
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in pairs
    )
