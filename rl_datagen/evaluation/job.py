"""A policy on many tasks: episodes as Ray's workers finish them, stored a few at a time."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ray

from rl_datagen.cluster import map_units, ray_session
from rl_datagen.collect import render_episode
from rl_datagen.config import EvaluateConfig, RenderConfig
from rl_datagen.core.claim import claim
from rl_datagen.core.errors import SimulatorError, UserError
from rl_datagen.core.lock import lock_folder
from rl_datagen.core.storage import atomic_path
from rl_datagen.data.images import write_video
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.evaluation.held_back import plan
from rl_datagen.evaluation.policies import PolicySource, find_policy
from rl_datagen.evaluation.results import (
    RESULTS,
    EvaluatedEpisode,
    read_episodes,
    write_episodes,
    write_results,
)
from rl_datagen.rollout import Policy, rollout
from rl_datagen.sim import Scene, load_scene
from rl_datagen.tasks import Task, select_tasks

logger = logging.getLogger(__name__)

_SOURCE: Source = "diffusion_rl"  # trajectories have one; these are counted and not kept
_FREE = {
    *("policy", "task", "num_episodes", "output_dir", "num_workers", "num_gpus_per_worker"),
    *("num_simulators", "num_failure_videos", "confidence", "source", "trained_on"),
}
"""Settings that may change from one call to the next."""


@dataclass(frozen=True)
class EvaluationUnit:
    """Some episodes of one task, which run side by side.

    Attributes:
        config: The job.
        task: The task.
        indices: Shipped init states, one per episode.
        source: The ``PolicySource``, or its reference in Ray's object store.
        num_videos: Failures to film at most.
    """

    config: EvaluateConfig
    task: Task
    indices: tuple[int, ...]
    source: Any
    num_videos: int


@dataclass
class UnitResult:
    """What became of a unit.

    Attributes:
        episodes: Those that have ended.
        videos: MP4s of failures, by init state.
        problem: Why the others have not; None if all have.
    """

    episodes: list[EvaluatedEpisode] = field(default_factory=list)
    videos: dict[int, bytes] = field(default_factory=dict)
    problem: str | None = None


def evaluate_tasks(
    config: EvaluateConfig,
    *,
    on_start: Callable[[int], None] = lambda _: None,
    on_episodes: Callable[[int, str], None] = lambda _, __: None,
) -> Path:
    """Runs a policy once from each of the first shipped init states of each task.

    Episodes are stored a few at a time, each file whole or not at all: a job that was killed, or
    whose policy server died, continues with the episodes that are missing.

    Args:
        config: The job.
        on_start: Called with the number of episodes that are still to do.
        on_episodes: Called with a number of episodes that have ended, and a word on them.

    Returns:
        The evaluation's folder: ``results.parquet`` (a row per episode), ``eval_info.json``.

    Raises:
        UserError: There is no such policy, another process is at this evaluation, or some episodes
            could not be run; the others are stored.
    """
    source = find_policy(config.policy)
    config = source.describe(config)
    with lock_folder(config.folder):
        return _evaluate(config, source, on_start, on_episodes)


def _evaluate(
    config: EvaluateConfig,
    source: PolicySource,
    on_start: Callable[[int], None],
    on_episodes: Callable[[int, str], None],
) -> Path:
    folder, tasks = config.folder, _tasks(config, source)
    missing = _missing(config, folder, tasks)
    if missing:
        source.check(config)
    identity = {"policy": source.id} | config.model_dump(mode="json", exclude=_FREE)
    claim(
        folder,
        config.model_dump(mode="json"),
        identity,
        "Choose another name with name=..., or delete that folder.",
    )
    on_start(sum(len(indices) for _, indices in missing))
    begin, problems = time.monotonic(), list[str]()
    if missing:
        problems = _run(config, source, folder, missing, on_episodes)
    left = sum(len(indices) for _, indices in _missing(config, folder, tasks))
    if left:
        total = config.num_episodes * len(tasks)
        raise UserError(
            f"{left} of {total} episodes are missing; the others are stored in {folder}. "
            f"{' '.join(dict.fromkeys(problems))} The same command runs those that are missing."
        )
    if missing or not (folder / RESULTS).exists():
        videos = [path.relative_to(folder) for path in sorted(folder.glob("videos/*.mp4"))]
        write_results(folder, _stored(folder), seconds=time.monotonic() - begin, videos=videos)
    return folder


def _tasks(config: EvaluateConfig, source: PolicySource) -> Sequence[Task]:
    if source.task is None:
        return select_tasks(config.task or "all")
    tasks = select_tasks(config.task or source.task)
    if others := [task.id for task in tasks if task.id != source.task]:
        raise UserError(
            f"The expert in '{config.policy}' was trained for {source.task} and knows no other "
            f"task such as {others[0]}: leave task out, or give the folder of a VLA."
        )
    return tasks


def _stored(folder: Path) -> list[EvaluatedEpisode]:
    return [e for path in sorted(folder.glob("episodes/*.parquet")) for e in read_episodes(path)]


Missing = list[tuple[Task, tuple[int, ...]]]
"""Some init states of a task, and again until all that lack an episode are named."""


def _missing(config: EvaluateConfig, folder: Path, tasks: Sequence[Task]) -> Missing:
    done = {(episode.task, episode.init_state_index) for episode in _stored(folder)}
    groups: Missing = []
    for task in tasks:
        left = [i for i in range(config.num_episodes) if (task.id, i) not in done]
        starts = range(0, len(left), config.num_simulators)
        groups += [(task, tuple(left[s : s + config.num_simulators])) for s in starts]
    return groups


def _run(
    config: EvaluateConfig,
    source: PolicySource,
    folder: Path,
    missing: Missing,
    on_episodes: Callable[[int, str], None],
) -> list[str]:
    """Runs what is missing; returns a sentence for each unit that did not end well."""
    problems: list[str] = []
    for unit, result in _results(config, source, folder, missing, problems):
        if isinstance(result, SimulatorError):
            problems.append(f"{unit.task.id}: {result.message}.")
            continue
        _store(folder, unit, result)
        if result.problem:
            problems.append(result.problem)
        successes = sum(episode.success for episode in result.episodes)
        word = f"{unit.task.id}: {successes} of {len(result.episodes)} succeeded"
        on_episodes(len(result.episodes), word)
    return problems


def _results(
    config: EvaluateConfig,
    source: PolicySource,
    folder: Path,
    missing: Missing,
    problems: list[str],
) -> Iterator[tuple[EvaluationUnit, UnitResult | SimulatorError]]:
    """Yields each unit as it ends; one worker or one unit is not worth Ray's start."""
    if config.num_workers == 1 or len(missing) == 1:
        for unit in _units(config, source, folder, missing, problems):
            try:
                yield unit, run_unit(unit)
            except SimulatorError as error:
                yield unit, error
        return
    with ray_session(folder / ".ray.log", config.num_workers):
        units = _units(config, ray.put(source), folder, missing, problems)
        gpus = config.num_gpus_per_worker
        yield from map_units(run_unit, units, config.num_workers, num_gpus=gpus)


def _units(
    config: EvaluateConfig, source: Any, folder: Path, missing: Missing, problems: list[str]
) -> Iterator[EvaluationUnit]:
    """Yields the units, until one has met a problem: the policy is of no use any more."""
    for task, indices in missing:
        if problems:
            return
        filmed = len(list(folder.glob(f"videos/{_name(task)}-*.mp4")))
        yield EvaluationUnit(config, task, indices, source, config.num_failure_videos - filmed)


def _store(folder: Path, unit: EvaluationUnit, result: UnitResult) -> None:
    for index, video in list(result.videos.items()):
        with atomic_path(folder / "videos" / f"{_name(unit.task)}-{index:02d}.mp4") as path:
            path.write_bytes(video)
    if result.episodes:
        first = min(episode.init_state_index for episode in result.episodes)
        path = folder / "episodes" / f"{_name(unit.task)}-{first:02d}.parquet"
        write_episodes(path, result.episodes)


def _name(task: Task) -> str:
    return f"{task.suite}-{task.index}"


_OPEN: dict[str, Policy] = {}
"""The policy that this worker has loaded; another unit of the same job goes on with it."""


def run_unit(unit: EvaluationUnit) -> UnitResult:
    """Runs a unit's episodes; what a worker does."""
    source = ray.get(unit.source) if isinstance(unit.source, ray.ObjectRef) else unit.source
    scene, result = load_scene(unit.task, **unit.config.sim.scene()), UnitResult()
    left = list(unit.indices)
    try:
        with _opened(source, unit.config) as policy:
            while left:
                _roll_out(unit, policy, scene, left, result)
    except UserError as error:  # of the policy; a server may come back
        result.problem = str(error)
    return result


@contextmanager
def _opened(source: PolicySource, config: EvaluateConfig) -> Iterator[Policy]:
    if source.kind == "server":
        with closing(source.connect(config)) as policy:
            yield policy
        return
    if source.id not in _OPEN:
        _OPEN.clear()
        _OPEN[source.id] = source.load(config)
    yield _OPEN[source.id]


def _roll_out(
    unit: EvaluationUnit, policy: Policy, scene: Scene, left: list[int], result: UnitResult
) -> None:
    """Runs what is left, until all have ended or one's physics has diverged: that one has failed.

    Raises:
        SimulatorError: It is of no episode in particular.
    """
    config = unit.config
    plans = [plan(scene, config.seed, index) for index in left]
    try:
        for trajectory in rollout(
            policy,
            scene,
            plans,
            source=_SOURCE,
            sim=config.sim,
            num_simulators=len(plans),
            num_threads=1,
        ):
            episode = EvaluatedEpisode.of(trajectory)
            left.remove(episode.init_state_index)
            result.episodes.append(episode)
            if not episode.success and len(result.videos) < unit.num_videos:
                result.videos[episode.init_state_index] = _film(trajectory, scene)
    except SimulatorError as error:
        index = error.init_state_index
        if index not in left:
            raise
        logger.warning("counted as a failure error=%s", error)
        seed, length = (
            plans[left.index(index)].seed,
            (error.step or 0) - config.sim.num_settle_steps,
        )
        result.episodes.append(
            EvaluatedEpisode(unit.task.id, index, seed, False, max(length, 0), error.message)
        )
        left.remove(index)


def _film(trajectory: Trajectory, scene: Scene) -> bytes:
    images = render_episode(trajectory, scene, RenderConfig())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "failure.mp4")
        write_video(path, np.concatenate([images.agentview, images.wrist], axis=2))
        return path.read_bytes()
