"""The warm start's failure beside the expert's success, from one init state, as two videos."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from rl_datagen.data.images import write_video
from rl_datagen.data.results import RESULTS, EvaluatedEpisode, read_results
from rl_datagen.data.trajectory import Trajectory
from rl_datagen.pipeline.run import Run
from rl_datagen.policy import load_expert
from rl_datagen.report.content import VideoClip
from rl_datagen.rollout import plan_evaluation, rollout
from rl_datagen.sim import replay

_MAX_TRIES = 3


def contrast(run: Run) -> tuple[VideoClip, ...]:
    """Writes both videos, of the first init state that tells the two policies apart.

    Evaluations store no states, so the episodes are run again. Their outcome is looked at anew: a
    batch of another size may change the last bits of an action.

    Args:
        run: Evaluated before and after.

    Returns:
        The failure and the success; nothing if no init state has both, or nothing is rendered.
    """
    evaluated = all((run.evaluation(m) / RESULTS).exists() for m in ("before", "after"))
    if run.config.collect.render.num_episodes == 0 or not evaluated:
        return ()
    for index in islice(told_apart(run), _MAX_TRIES):
        run.progress.say(f"films the warm start and the expert from init state {index}")
        failure, success = _act(run, run.warm_expert, index), _act(run, run.expert, index)
        if not failure.success and success.success:
            return (
                _film(run, failure, "warm_start", f"not at the goal after {len(failure)}"),
                _film(run, success, "expert", f"at the goal after {len(success)}"),
            )
    return ()


def told_apart(run: Run) -> Iterable[int]:
    """Returns the init states from which the warm start failed and the expert succeeded."""
    before, after = (_outcomes(read_results(run.evaluation(m))) for m in ("before", "after"))
    return [index for index, success in before.items() if not success and after.get(index)]


def _outcomes(episodes: Iterable[EvaluatedEpisode]) -> dict[int, bool]:
    return {episode.init_state_index: episode.success for episode in episodes}


def _act(run: Run, expert: Path, index: int) -> Trajectory:
    """Runs the evaluated episode from an init state again."""
    (episode,) = rollout(
        load_expert(str(expert), task=run.config.task),
        run.scene,
        [plan_evaluation(run.scene, run.config.seed, index)],
        source=run.config.policy.source,
        sim=run.config.sim,
        num_simulators=1,
    )
    return episode


def _film(run: Run, episode: Trajectory, name: str, outcome: str) -> VideoClip:
    size = run.config.collect.render.image_size
    path = run.folder / "videos" / f"{name}.mp4"
    frames = (each.render("agentview", size, size) for each in replay(episode, run.scene))
    write_video(path, frames)
    who = name.replace("_", " ").capitalize()
    return VideoClip(path, f"{who}, init state {episode.init_state_index}: {outcome} env steps")
