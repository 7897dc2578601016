"""Training of a VLA: its data, its processes, and its folder."""

import json
import os
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rl_datagen.config import SmallVlaConfig, VlaConfig
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.seeding import derive_seed
from rl_datagen.core.storage import write_json
from rl_datagen.core.stored import damaged
from rl_datagen.data.merge import merge
from rl_datagen.policy.supervised import Row
from rl_datagen.policy.weights import NORM_STATS, WEIGHTS, save_weights
from rl_datagen.runtime.background import every_second
from rl_datagen.runtime.cluster import ray_session
from rl_datagen.runtime.device import torch_device
from rl_datagen.runtime.room import room_for
from rl_datagen.runtime.tracking import Several, Tracker, make_trackers
from rl_datagen.runtime.workdir import lock_folder
from rl_datagen.vla import folder as files
from rl_datagen.vla.frames import Frames, check_frames, read_frames
from rl_datagen.vla.frames_format import write_frames
from rl_datagen.vla.language import embed, load_embeddings, save_embeddings, size_of
from rl_datagen.vla.learner import METRICS, Place, fit, make_learner
from rl_datagen.vla.network import SmallVla

_WORK = "work"  # folder of what an unfinished training needs
_CHECKPOINT, _FRAMES, _ROWS = "checkpoint.pt", "frames", "rows.jsonl"

Report = Callable[[Row], None]
"""Called with each row of the learning curve."""


def train(
    config: VlaConfig,
    *,
    report: Report = lambda _: None,
    track: Sequence[str] = (),
    progress: Progress = SILENT,
    stage: str = "vla",
) -> Path:
    """Trains a VLA, from where an earlier call stopped; one that is finished is left alone.

    With one worker on a CPU, an interrupted training ends with the same weights, bit for bit.

    Args:
        config: What is trained, and on what.
        report: Called with each row of the learning curve; with several workers, from a thread.
        track: Some of ``runtime.tracking.TRACKERS``, beside MLflow.
        progress: Told how far it is.
        stage: What it is called there.

    Returns:
        The VLA's folder.

    Raises:
        ConfigError: The folder belongs to other settings or data.
        DatasetError: A dataset is damaged or not rendered.
        UserError: The sentence encoder or lerobot cannot be used, training diverged, or another
            process trains this VLA.
    """
    with lock_folder(config.folder):
        return _train(config, _Learning(config, report, progress, stage), track)


@dataclass
class _Learning:
    """Hands on each row of the learning curve."""

    config: VlaConfig
    report: Report
    progress: Progress
    stage: str
    done: int = 0

    def start(self) -> None:
        """The data is there, gradient steps begin."""
        self.progress.start(self.stage, self.config.model.num_updates, "gradient steps")

    def __call__(self, row: Row) -> None:
        self.report(row)
        rate = row.get("samples_per_second")
        speed = "" if rate is None else f", {rate:.0f} env steps/s"
        self.progress.advance(int(row["iteration"]) - self.done, f"loss {row['loss']:.4g}{speed}")
        self.done = int(row["iteration"])


def _train(config: VlaConfig, report: _Learning, track: Sequence[str]) -> Path:
    folder = files.bind(config).absolute()
    if (folder / files.METRICS).exists():
        files.read_metrics(folder)
        return config.folder
    work = folder / _WORK
    dataset = _mixture(config, work)
    tracker = _open_tracker(config, track)
    begin = time.monotonic()
    if isinstance(config.model, SmallVlaConfig):
        metrics = _train_small(config, config.model, dataset, folder, tracker, report)
    else:
        from rl_datagen.vla.lerobot import train_with_lerobot  # nothing else needs it

        report.start()
        metrics = train_with_lerobot(config, config.model, dataset, folder, tracker, report)
    files.record(folder, files.describe(dataset, config.task))
    metrics["seconds"] = round(time.monotonic() - begin, 1)
    write_json(folder / files.METRICS, metrics)  # last: a folder that has it is whole
    shutil.rmtree(work, ignore_errors=True)
    tracker.end(config.name, "finished", lambda: folder)
    tracker.flush(force=True)
    return config.folder


def _open_tracker(config: VlaConfig, track: Sequence[str]) -> Several:
    """Returns the trackers with the VLA's run opened, the old one if there is one."""
    where = (config.folder.parent, config.mlflow_uri)
    tracker = make_trackers(("mlflow", *track), "vla", METRICS, *where)
    model = config.hyperparameters["model"]
    datasets = ", ".join(part.path for part in config.datasets)
    plain = {key: value for key, value in model.items() if not isinstance(value, dict | list)}
    tracker.open([config.name], {"datasets": datasets, "seed": config.seed, **plain})
    tracker.status(config.name, "RUNNING")
    return tracker


def _mixture(config: VlaConfig, work: Path) -> Path:
    """Returns the one dataset that all parts make; its files are links."""
    parts = [(Path(part.path), part.weight) for part in config.datasets]
    if len(parts) == 1:
        return parts[0][0]
    merge(work / "mixture", parts)
    return work / "mixture"


def _train_small(
    config: VlaConfig,
    model: SmallVlaConfig,
    dataset: Path,
    folder: Path,
    tracker: Tracker,
    report: _Learning,
) -> dict[str, Any]:
    work = folder / _WORK
    write_frames(
        work / _FRAMES,
        dataset,
        tasks=config.task,
        drop_noops=config.drop_noops,
        image_size=model.image_size,
        progress=report.progress,
    )
    report.start()
    check_frames(work / _FRAMES)
    frames = read_frames(work / _FRAMES)
    path = folder / files.EMBEDDINGS
    known = load_embeddings(path) if path.exists() else {}
    embeddings = embed(frames.instructions, model.language_encoder, known)
    if embeddings.keys() - known.keys():
        save_embeddings(path, embeddings)
    frames.stats().save(folder / NORM_STATS)
    looks = {name: frames.info[name] for name in ("image_size", "appearance")}
    files.record(folder, looks)

    def log(row: Row) -> None:
        tracker.log(config.name, row)
        report(row)

    if config.num_workers > 1 or (config.gpus_per_worker and "RAY_ADDRESS" in os.environ):
        _fit_with_ray(config, folder, log)  # a cluster's driver is where no GPU is
    else:
        device = torch_device(config.gpus_per_worker, "gpus_per_worker")
        _fit(config, folder, frames, Place(device=device), log)
    network = _network(config, folder, frames)
    learner = make_learner(network, model, Place())
    learner.load(work / _CHECKPOINT)
    if not learner.finished:
        raise damaged(str(work / _CHECKPOINT), "it is not the last one", "Run the command again.")
    learner.finish()
    save_weights(network, folder / WEIGHTS)
    return {**learner.curve[-1], "num_parameters": _size(network), "curve": learner.curve}


def _network(config: VlaConfig, folder: Path, frames: Frames) -> SmallVla:
    assert isinstance(config.model, SmallVlaConfig)
    embeddings = load_embeddings(folder / files.EMBEDDINGS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("vla", "weights", config.seed))
        return SmallVla(config.model, frames.stats(), size_of(embeddings))


def _fit(config: VlaConfig, folder: Path, frames: Frames, place: Place, report: Report) -> None:
    assert isinstance(config.model, SmallVlaConfig)
    learner = make_learner(_network(config, folder, frames), config.model, place)
    embeddings = load_embeddings(folder / files.EMBEDDINGS)
    checkpoint = folder / _WORK / _CHECKPOINT
    fit(learner, config.model, place, frames, embeddings, config.seed, checkpoint, report=report)


def _fit_with_ray(config: VlaConfig, folder: Path, report: Report) -> None:
    """Every worker needs the VLA's folder on a disk that all of them share."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    work = folder / _WORK
    gpus = config.gpus_per_worker
    bundle = {"CPU": 1, "GPU": gpus} if gpus else {"CPU": 1}
    settings = f"num_workers={config.num_workers}, gpus_per_worker={gpus:g}"
    with (
        ray_session(work / "ray.log", config.num_workers + 1),
        room_for([bundle] * config.num_workers, settings),
        _followed(work / _ROWS, report),
    ):
        TorchTrainer(
            _worker,
            train_loop_config={"config": config.model_dump(mode="json"), "folder": str(folder)},
            scaling_config=ScalingConfig(
                num_workers=config.num_workers,
                use_gpu=gpus > 0,
                resources_per_worker=bundle,
            ),
            run_config=RunConfig(
                name="ray", storage_path=str(work), failure_config=FailureConfig(max_failures=2)
            ),
        ).fit()


@contextmanager
def _followed(path: Path, report: Report) -> Generator[None]:
    """Reports the rows that another process appends to a file, about every second."""
    path.write_text("")
    with path.open() as file:

        def read() -> None:
            for line in file:
                report(json.loads(line))

        try:
            with every_second(read):
                yield
        finally:
            read()  # the last rows


def _worker(settings: dict[str, Any]) -> None:
    """One of several processes that train together."""
    from ray import train as ray_train
    from ray.train.torch import get_device, prepare_model

    config, folder = VlaConfig.model_validate(settings["config"]), Path(settings["folder"])
    assert isinstance(config.model, SmallVlaConfig)
    context = ray_train.get_context()
    place = Place(
        context.get_world_rank(), context.get_world_size(), str(get_device()), prepare_model
    )

    def report(row: Row) -> None:
        if place.rank == 0:
            with (folder / _WORK / _ROWS).open("a") as file:  # a line at once, or none of it
                file.write(json.dumps(row) + "\n")

    _fit(config, folder, read_frames(folder / _WORK / _FRAMES), place, report)


def _size(network: SmallVla) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
