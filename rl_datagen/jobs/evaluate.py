"""A policy on many tasks: episodes as Ray's workers finish them, stored a few at a time."""

import logging
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ray

from rl_datagen.config import EvaluateConfig, RenderConfig
from rl_datagen.core.errors import SimulatorError, UserError
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.storage import atomic_path
from rl_datagen.data.images import write_video
from rl_datagen.data.results import (
    EvaluatedEpisode,
    read_episodes,
    read_results,
    write_episodes,
    write_results,
)
from rl_datagen.data.trajectory import Source, Trajectory
from rl_datagen.jobs.remote import RemotePolicy
from rl_datagen.jobs.render import render_episode
from rl_datagen.jobs.stored import StoredExpert, StoredVla, find_policy
from rl_datagen.rollout import Policy, plan_evaluation, rollout
from rl_datagen.runtime.device import torch_device
from rl_datagen.runtime.executor import Job, Tell, execute
from rl_datagen.runtime.workdir import bind, lock_folder
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
        stored: The ``StoredPolicy``, or its reference in Ray's object store; None: a server.
        num_videos: Failures to film at most.
    """

    config: EvaluateConfig
    task: Task
    indices: tuple[int, ...]
    stored: Any
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


_Key = tuple[Task, int]  # and the first of some init states


class _Evaluate(Job[_Key, EvaluationUnit, UnitResult]):
    """Episodes from the first shipped init states of each task, a few at a time."""

    name = "evaluate"

    def __init__(self, config: EvaluateConfig, stored: "_Stored") -> None:
        self.folder, self.num_workers = config.folder, config.num_workers
        self.num_gpus = config.num_gpus_per_worker
        self.num_in_process = 1_000_000 if config.num_workers == 1 else 1
        self._config, self._stored, self._tasks = config, stored, _tasks(config, stored)
        self._done = {(e.task, e.init_state_index) for e in _ended(self.folder)}
        self._broken = False

    def keys(self) -> Sequence[_Key]:
        return [
            (task, first)
            for task in self._tasks
            for first in range(0, self._num_episodes(task), self._config.num_simulators)
        ]

    def is_done(self, key: _Key) -> bool:
        return not self._left(key)

    def size(self, key: _Key) -> int:
        return len(self._indices(key))

    def num_missing(self, key: _Key) -> int:
        return len(self._left(key))

    def unit(self, key: _Key) -> EvaluationUnit | None:
        if self._broken:  # the policy is of no use any more
            return None
        task = key[0]
        filmed = len(list(self.folder.glob(f"videos/{_name(task)}-*.mp4")))
        left = self._config.num_failure_videos - filmed
        return EvaluationUnit(self._config, task, self._left(key), self._shared(), left)

    @staticmethod
    def run(unit: EvaluationUnit, tell: Tell) -> UnitResult:
        return run_unit(unit, tell)

    def store(self, unit: EvaluationUnit, result: UnitResult) -> str | None:
        for index, video in list(result.videos.items()):
            with atomic_path(
                self.folder / "videos" / f"{_name(unit.task)}-{index:02d}.mp4"
            ) as path:
                path.write_bytes(video)
        if result.episodes:
            first = min(episode.init_state_index for episode in result.episodes)
            path = self.folder / "episodes" / f"{_name(unit.task)}-{first:02d}.parquet"
            write_episodes(path, result.episodes)
        self._done.update((e.task, e.init_state_index) for e in result.episodes)
        self._broken |= result.problem is not None
        return result.problem

    def label(self, key: _Key) -> str:
        return key[0].id

    def describe(self, counts: Mapping[str, float], seconds: float) -> str:
        ended = counts.get("episodes", 0)
        return f"{counts['successes']:.0f} of {ended:.0f} succeeded" if ended else ""

    def _num_episodes(self, task: Task) -> int:
        return min(self._config.num_episodes, task.num_init_states)

    def _indices(self, key: _Key) -> range:
        task, first = key
        return range(first, min(first + self._config.num_simulators, self._num_episodes(task)))

    def _left(self, key: _Key) -> tuple[int, ...]:
        return tuple(i for i in self._indices(key) if (key[0].id, i) not in self._done)

    def _shared(self) -> Any:
        """Returns the policy, or its reference once Ray has it."""
        if ray.is_initialized() and isinstance(self._stored, StoredExpert | StoredVla):
            self._stored = ray.put(self._stored)
        return self._stored


def evaluate_tasks(config: EvaluateConfig, progress: Progress = SILENT) -> Path:
    """Runs a policy once from each of the first shipped init states of each task.

    Episodes are stored a few at a time, each file whole or not at all: a job that was killed, or
    whose policy server died, continues with the episodes that are missing.

    Args:
        config: The job.
        progress: Told how far it is.

    Returns:
        The evaluation's folder: ``results.parquet`` (a row per episode), ``eval_info.json``.

    Raises:
        UserError: There is no such policy, another process is at this evaluation, or some episodes
            could not be run; the others are stored.
    """
    remote = config.policy.startswith(("ws://", "wss://"))
    stored = None if remote else find_policy(config.policy)
    if isinstance(stored, StoredVla):
        config = _with_training(config, stored.data)
    with lock_folder(config.folder):
        return _evaluate(config, stored, progress)


def _with_training(config: EvaluateConfig, data: Mapping[str, Any]) -> EvaluateConfig:
    """Returns the configuration with what a VLA's folder says of the training, unless it does."""
    said = {"source": data.get("source"), "trained_on": data.get("tasks")}
    said["trained_on"] = said["trained_on"] and ",".join(said["trained_on"])
    given = config.model_dump(include=set(said), exclude_none=True)
    return config.model_copy(update=said | given)


def _evaluate(config: EvaluateConfig, stored: "_Stored", progress: Progress) -> Path:
    folder, job = config.folder, _Evaluate(config, stored)
    missing = any(map(job.num_missing, job.keys()))
    if missing:  # no worker has to start for a policy that is damaged, or a server that is away
        with _opened(stored, config):
            pass
    identity = {"policy": _id(stored)} | config.model_dump(mode="json", exclude=_FREE)
    bind(
        folder,
        config.model_dump(mode="json"),
        identity,
        "Choose another name with name=..., or delete that folder.",
    )
    begin = time.monotonic()
    execute(job, progress).check()
    rows = [e for e in _ended(folder) if e.init_state_index < config.num_episodes]
    if missing or not _is_written(folder, rows):
        videos = [path.relative_to(folder) for path in sorted(folder.glob("videos/*.mp4"))]
        write_results(folder, rows, seconds=time.monotonic() - begin, videos=videos)
    return folder


def _id(stored: "_Stored") -> str:
    """Tells policies apart; of a server only that it is one."""
    if stored is None:
        return "server"
    return f"{'vla' if isinstance(stored, StoredVla) else 'expert'} {stored.label}"


def _tasks(config: EvaluateConfig, stored: "_Stored") -> Sequence[Task]:
    if not isinstance(stored, StoredExpert):
        return select_tasks(config.task or "all")
    tasks = select_tasks(config.task or stored.task)
    if others := [task.id for task in tasks if task.id != stored.task]:
        raise UserError(
            f"The expert in '{config.policy}' was trained for {stored.task} and knows no other "
            f"task such as {others[0]}: leave task out, or give the folder of a VLA."
        )
    return tasks


def _ended(folder: Path) -> list[EvaluatedEpisode]:
    """Returns the episodes that are stored.

    Raises:
        UserError: A file of them is damaged, or two have the same.
    """
    owners: dict[tuple[str, int], Path] = {}
    episodes: list[EvaluatedEpisode] = []
    for path in sorted(folder.glob("episodes/*.parquet")):
        for episode in read_episodes(path):
            start = episode.task, episode.init_state_index
            if owners.setdefault(start, path) != path:
                raise UserError(
                    f"{owners[start]} and {path} both have the episode of {start[0]} from init "
                    f"state {start[1]}. Delete one of them and repeat the same command."
                )
            episodes.append(episode)
    return episodes


def _is_written(folder: Path, rows: Sequence[EvaluatedEpisode]) -> bool:
    """Whether the results are there, whole, and of these episodes."""
    try:
        return Counter(read_results(folder)) == Counter(rows)
    except UserError:
        return False


def _name(task: Task) -> str:
    return f"{task.suite}-{task.index}"


_Stored = StoredExpert | StoredVla | None  # None: a policy server

_OPEN: dict[str, Policy] = {}
"""The policy that this worker has loaded; another unit of the same job goes on with it."""


def run_unit(unit: EvaluationUnit, tell: Tell) -> UnitResult:
    """Runs a unit's episodes; what a worker does."""
    stored = ray.get(unit.stored) if isinstance(unit.stored, ray.ObjectRef) else unit.stored
    scene, result = load_scene(unit.task, **unit.config.sim.scene()), UnitResult()
    left = list(unit.indices)
    try:
        with _opened(stored, unit.config) as policy:
            while left:
                _roll_out(unit, policy, scene, left, result, tell)
    except UserError as error:  # of the policy; a server may come back
        result.problem = str(error)
    return result


@contextmanager
def _opened(stored: _Stored, config: EvaluateConfig) -> Iterator[Policy]:
    if stored is None:
        with closing(RemotePolicy(config.policy, config.server)) as policy:
            yield policy
        return
    name = _id(stored)
    if name not in _OPEN:
        _OPEN.clear()
        _OPEN[name] = _load(stored, config)
    yield _OPEN[name]


def _load(stored: StoredExpert | StoredVla, config: EvaluateConfig) -> Policy:
    if isinstance(stored, StoredExpert):
        return stored.load()
    return stored.load(torch_device(config.num_gpus_per_worker, "num_gpus_per_worker"))


def _roll_out(
    unit: EvaluationUnit,
    policy: Policy,
    scene: Scene,
    left: list[int],
    result: UnitResult,
    tell: Tell,
) -> None:
    """Runs what is left, until all have ended or one's physics has diverged: that one has failed.

    Raises:
        SimulatorError: It is of no episode in particular.
    """
    config = unit.config
    plans = [plan_evaluation(scene, config.seed, index) for index in left]
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
            tell(len(result.episodes), episodes=1, successes=int(episode.success))
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
