"""The whole chain: an expert, then its dataset, images, card and page."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rl_datagen.config import Config
from rl_datagen.core.progress import Progress
from rl_datagen.data.card import write_card
from rl_datagen.data.verify import verify
from rl_datagen.data.writer import DatasetWriter
from rl_datagen.doctor.machine import check_rendering
from rl_datagen.jobs.render import render_dataset
from rl_datagen.jobs.stored import Experts
from rl_datagen.jobs.video import write_videos
from rl_datagen.pipeline import expert
from rl_datagen.pipeline.engine import Summary
from rl_datagen.pipeline.page import write_page
from rl_datagen.pipeline.run import COMPILES, AttemptCounter, Run
from rl_datagen.pipeline.tracked import run_alone
from rl_datagen.rollout import gather_shard


def collect(run: Run) -> Summary:
    """Stage 8: successful episodes of the expert to shards."""
    settings = run.config.collect
    stored = Experts(str(run.expert), run.config.output_dir).read(run.task)
    policy = stored.load()
    run.progress.start("collect", settings.num_episodes, "episodes")
    counter, attempts = AttemptCounter(run.progress), 0
    with DatasetWriter(run.dataset, config=run.settings) as writer:
        for shard in range(settings.num_shards):
            episodes, made = gather_shard(
                policy,
                run.scene,
                settings,
                shard,
                source=run.config.policy.source,
                seed=run.config.seed,
                sim=run.config.sim,
                on_episode=counter.until(settings.shard_size(shard)),
            )
            writer.append(episodes, part=shard, expert=stored.id, num_attempts=made)
            attempts += made
    return {"episodes": settings.num_episodes, "attempts": attempts}


def render(run: Run) -> Summary:
    """Stage 9: replays some episodes into images of both cameras and MP4s."""
    settings = run.config.collect.render
    rendered = render_dataset(run.dataset, settings, progress=run.progress)
    rendered.check()
    write_videos(run.dataset, num_episodes=settings.num_episodes, progress=run.progress)
    return {"episodes": rendered.total}


def report(run: Run) -> Summary:
    """Stage 10: verifies the dataset and writes its card and the page."""
    run.progress.start("report", 1)
    verified = verify(run.dataset)
    verified.check()
    write_card(run.dataset)
    write_page(run, verified, [stage for stage in STAGES if stage != "report"])
    run.progress.advance()
    return {
        "episodes": verified.num_episodes,
        "shards": verified.num_shards,
        "bytes": verified.num_bytes,
    }


STAGES: dict[str, Callable[[Run], Summary]] = {
    **expert.STAGES,
    "collect": collect,
    "render": render,
    "report": report,
}
"""In their order."""


def quickstart(
    config: Config, progress: Progress, *, fresh: bool = False, track: Sequence[str] = ()
) -> Path:
    """Runs every stage that is not finished yet.

    Args:
        config: The configuration; a run continues only under the one it began with.
        progress: Told how far the run is.
        fresh: Delete what an earlier run of this name left, and start over.
        track: Some of ``runtime.tracking.TRACKERS``.

    Returns:
        Path of the HTML page.

    Raises:
        ConfigError: The output folder belongs to another configuration.
        UserError: This machine cannot render, or another process is at this run.
    """
    run = Run(config, progress)
    if config.collect.render.num_episodes and (fresh or not run.markers.is_done("render")):
        progress.start("prepare")
        progress.say(f"renders one image; {COMPILES}")
        check_rendering()  # now, rather than after the long stages before it
    run_alone(run, STAGES, fresh=fresh, track=track)
    return run.folder / "index.html"
