"""Runs the stages in order and continues after the last finished one."""

import time
from pathlib import Path

from rl_datagen.config import Config
from rl_datagen.doctor import check_rendering
from rl_datagen.quickstart.run import Progress, Run, Summary
from rl_datagen.quickstart.stages import STAGES


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
    if fresh:
        run.clear()
    run.claim()
    ahead = True  # a stage that runs again makes every later one run again
    for stage, function in STAGES.items():
        ahead = ahead and run.finished(stage)
        if ahead:
            summary = run.summary(stage)
            progress.finish(stage, f"already done: {_line(summary)}", summary["seconds"])
            continue
        begin = time.monotonic()
        summary = function(run)
        summary["seconds"] = round(time.monotonic() - begin, 1)
        run.mark(stage, summary)
        progress.finish(stage, _line(summary), summary["seconds"])
    return run.folder / "index.html"


def _line(summary: Summary) -> str:
    pairs = [(key, value) for key, value in summary.items() if key != "seconds"]
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in pairs
    )
