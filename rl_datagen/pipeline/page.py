"""Fills the HTML page from the files that the stages left."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from pydantic import NonNegativeFloat, TypeAdapter

from rl_datagen.algo.checkpoint import CURVE, LEARNING_CURVE
from rl_datagen.core.intervals import SuccessRate
from rl_datagen.core.stored import OBJECT, Open, read_stored
from rl_datagen.data.card import dataset_info
from rl_datagen.data.dataset import read_trajectories, rendered_episodes
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.data.verify import VerifyReport
from rl_datagen.pipeline.contrast import contrast
from rl_datagen.pipeline.next_steps import next_steps
from rl_datagen.pipeline.run import Run
from rl_datagen.policy.expert import METRICS
from rl_datagen.report.content import ReportContent, VideoClip
from rl_datagen.report.report import write_report
from rl_datagen.report.sources import measure_sources


def write_page(run: Run, verification: VerifyReport, stages: Sequence[str]) -> Path:
    """Writes ``index.html``, with the time of these finished stages, and returns its path."""
    content = ReportContent(
        task=run.task.id,
        instruction=run.task.instruction,
        success_rates=(
            _success_rate(run, "Warm start", "evaluate_before"),
            _success_rate(run, "Expert", "evaluate_after"),
        ),
        learning_curve=tuple(read_stored(run.expert / LEARNING_CURVE, CURVE, _AGAIN)),
        sources=measure_sources(chain(_demonstrations(run), read_trajectories(run.dataset))),
        dataset=dataset_info(run.dataset),
        verification=verification,
        videos=tuple(
            VideoClip(run.dataset / "videos" / f"{name}.mp4", f"{name}: agent view and wrist")
            for name in rendered_episodes(run.dataset)
        ),
        contrast=contrast(run),
        warm_start=_warm_start(run),
        stage_seconds={stage: run.markers.summary(stage, "seconds")["seconds"] for stage in stages},
        provenance=read_stored(run.folder / "provenance.json", OBJECT, _AGAIN),
        config_yaml=(run.folder / "config.yaml").read_text("utf-8"),
        commands=(
            f"rl-datagen quickstart {run.folder / 'config.yaml'}",
            f"rl-datagen dataset verify {run.dataset}",
        ),
        next_steps=next_steps(run),
        confidence=run.config.evaluation.confidence,
    )
    return write_report(run.folder / "index.html", content)


def _demonstrations(run: Run) -> Iterator[Trajectory]:
    """Yields what was cloned, unless an expert made it, whose row would be taken for this one's."""
    return (t for t in read_trajectories(run.demos) if t.source in ("human", "amplified"))


def _warm_start(run: Run) -> dict[str, float]:
    """Returns length and jerk of the warm start's successes, which polishing has judged first."""
    judged = read_stored(run.polished / METRICS, TypeAdapter(_Polished), _AGAIN).polish[:1]
    found = {
        measure: value
        for row in judged
        for measure, value in (
            ("length", row.evaluation_success_len_mean),
            ("mean_squared_jerk", row.evaluation_jerk),
        )
    }
    return {measure: value for measure, value in found.items() if value is not None}


def _success_rate(run: Run, name: str, stage: str) -> SuccessRate:
    summary = run.markers.summary(stage, "num_successes", "num_episodes", "episode_len_mean")
    return SuccessRate(
        name, summary["num_successes"], summary["num_episodes"], summary["episode_len_mean"]
    )


class _Judged(Open):
    """What polishing found of a policy."""

    evaluation_success_len_mean: NonNegativeFloat | None = None
    evaluation_jerk: NonNegativeFloat | None = None


class _Polished(Open):
    """The metrics of a polished expert: a row for each round, the first of the warm start."""

    polish: tuple[_Judged, ...] = ()


_AGAIN = "Restore it from a copy, or add --fresh to make all of the run again."
