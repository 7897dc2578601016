"""VLAs that lerobot trains: pi0, pi0.5, SmolVLA. The one module that knows its names.

lerobot's program is started, never imported: it is given a dataset and a configuration as files,
and leaves a checkpoint and a log (docs/decisions/0017). Versions 0.4 and 0.6 take the same.
"""

import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rl_datagen.config import LerobotConfig, VlaConfig
from rl_datagen.core.errors import ConfigError, UserError, first_line, how_to_install, require
from rl_datagen.core.storage import write_json
from rl_datagen.core.stored import Count, Open, list_form, object_form, read_stored
from rl_datagen.export import export_lerobot
from rl_datagen.runtime.cluster import ray_session
from rl_datagen.runtime.room import RoomWatch, check_room
from rl_datagen.runtime.tracking import Tracker
from rl_datagen.vla.folder import CHECKPOINT

_PROGRAM = "lerobot.scripts.lerobot_train"
_LOG_INTERVAL = 50  # updates
_ROW = re.compile(r"step:\S+ .*\bloss:(\S+) grdn:(\S+) lr:(\S+)")
_TAIL = 12  # lines of the log in an error


class _Step(Open):
    step: Count


class _Row(Open):
    iteration: Count


_STEP = object_form(_Step)
_CURVE = list_form(_Row)


def train_with_lerobot(
    config: VlaConfig,
    model: LerobotConfig,
    dataset: Path,
    folder: Path,
    tracker: Tracker,
    report: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Exports the data, runs lerobot's training, and brings back its checkpoint and metrics.

    Args:
        config: What is trained, and on what.
        model: Its section.
        dataset: The rendered dataset.
        folder: The VLA's folder; receives ``checkpoint`` and ``lerobot.log``.
        tracker: Told the learning curve.
        report: Called with each row of it.

    Returns:
        The metrics.

    Raises:
        UserError: lerobot cannot be started, or has failed; with the end of its log.
        ModuleNotFoundError: lerobot is to run in this environment, which lacks it.
    """
    if model.python is None and model.runtime_env is None:
        require("lerobot")
    work = folder / "work"
    output, export = work / "lerobot", work / "export"
    if not export.exists():
        export_lerobot(
            dataset, export, images=model.images, tasks=config.task, drop_noops=config.drop_noops
        )
    settings = training_settings(config, model, export, output)
    write_json(work / "train_config.json", settings)
    last = output / "checkpoints" / "last"
    again = f"Restore it from a copy, or delete {work}: the same command then begins again."
    begin = 0
    if last.exists():
        begin = read_stored(last / "training_state" / "training_step.json", _STEP, again)["step"]
    else:
        shutil.rmtree(output, ignore_errors=True)  # lerobot refuses a folder that exists
        (folder / "lerobot.log").unlink(missing_ok=True)
    stored, every = work / "curve.json", settings["log_freq"]
    curve = read_stored(stored, _CURVE, again) if stored.exists() else []
    curve = [row for row in curve if row["iteration"] <= begin]
    iteration = begin - begin % every
    for line in _run(config, model, command(config, work), folder / "lerobot.log"):
        if found := _ROW.search(line):
            iteration += every
            values = zip(("loss", "grad_norm", "lr"), map(float, found.groups()), strict=True)
            curve.append({"iteration": iteration, **dict(values)})
            write_json(stored, curve)
            tracker.log(config.name, curve[-1])
            report(curve[-1])
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
    shutil.copytree(last / "pretrained_model", folder / CHECKPOINT)
    return {**(curve[-1] if curve else {}), "curve": curve}


def training_settings(
    config: VlaConfig, model: LerobotConfig, export: Path, output: Path
) -> dict[str, Any]:
    """Returns the configuration of lerobot's training program, JSON-ready.

    Args:
        config: What is trained.
        model: Its section.
        export: A LeRobot dataset.
        output: Folder that lerobot makes.

    Raises:
        ConfigError: The policy has no type, or the batch cannot be shared by the workers.
    """
    if "type" not in model.policy:
        raise ConfigError(
            f"model.policy={model.policy!r} has no type: give lerobot's name of a policy, such as "
            "model.policy.type=smolvla, or an overlay such as vla/smolvla."
        )
    if model.train_batch_size % config.num_workers:
        raise ConfigError(
            f"model.train_batch_size={model.train_batch_size} cannot be shared by "
            f"num_workers={config.num_workers} processes: choose a multiple."
        )
    device = "cuda" if config.gpus_per_worker else "cpu"
    return {
        "dataset": {"repo_id": f"local/{config.name}", "root": str(export)},
        "policy": {"device": device, "push_to_hub": False, **model.policy},
        "output_dir": str(output),
        "job_name": config.name,
        "seed": config.seed,
        "steps": model.num_updates,
        "batch_size": model.train_batch_size // config.num_workers,
        "num_workers": model.num_loader_workers,
        "save_freq": model.checkpoint_interval,
        "log_freq": min(_LOG_INTERVAL, model.num_updates),
        "wandb": {"enable": False},
    }


def command(config: VlaConfig, work: Path) -> list[str]:
    """Returns what Python is told: lerobot's training, which resumes if it left a checkpoint."""
    launch = ["-m", _PROGRAM]
    if config.num_workers > 1:
        processes = f"--num_processes={config.num_workers}"
        launch = ["-m", "accelerate.commands.launch", processes, *launch]
    stored = work / "lerobot" / "checkpoints" / "last" / "pretrained_model" / "train_config.json"
    if stored.exists():
        return [*launch, f"--config_path={stored}", "--resume=true"]
    return [*launch, f"--config_path={work / 'train_config.json'}"]


def _absolute(python: str | None) -> str | None:
    """A path is from here; a bare name is looked up where it runs."""
    return str(Path(python).absolute()) if python and "/" in python else python


def _run(
    config: VlaConfig, model: LerobotConfig, arguments: Sequence[str], log: Path
) -> Iterator[str]:
    """Runs lerobot and yields the lines of its log as they come."""
    position = log.stat().st_size if log.exists() else 0
    start = _on_this_machine if model.runtime_env is None else _on_ray
    with start(config, model, arguments, log) as ended:
        code = None
        while code is None:
            code = ended()
            text = log.read_bytes()[position:] if log.exists() else b""
            whole = text[: text.rfind(b"\n") + 1]
            position += len(whole)
            yield from whole.decode("utf-8", "replace").splitlines()
    if code:
        lines = log.read_text("utf-8", "replace").splitlines()
        raise UserError(
            f"lerobot has failed with exit code {code}; the same command resumes from its last "
            f"checkpoint. The end of {log}:\n" + "\n".join(lines[-_TAIL:])
        )


@contextmanager
def _on_this_machine(
    config: VlaConfig, model: LerobotConfig, arguments: Sequence[str], log: Path
) -> Iterator[Callable[[], int | None]]:
    """Yields what waits a second and returns the exit code, or None if it still runs."""
    del config
    words = [_absolute(model.python) or sys.executable, *arguments]
    try:
        with log.open("ab") as file:
            process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT)
    except OSError as error:
        raise UserError(
            f"model.python={model.python} cannot be started: {first_line(error)}. Give the Python "
            f"of an environment that has lerobot, or leave it out. {how_to_install('lerobot')}"
        ) from None

    def ended() -> int | None:
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return None

    try:
        yield ended
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _on_ray(
    config: VlaConfig, model: LerobotConfig, arguments: Sequence[str], log: Path
) -> Iterator[Callable[[], int | None]]:
    """The same on the cluster, which shares the VLA's folder; it need not have this package."""
    import ray

    def run(python: str | None, arguments: list[str], log: str) -> int:
        import subprocess
        import sys

        with open(log, "ab") as file:
            words = [python or sys.executable, *arguments]
            return subprocess.call(words, stdout=file, stderr=subprocess.STDOUT)

    gpus = config.gpus_per_worker * config.num_workers
    gpus = gpus if gpus <= 1 else math.ceil(gpus)  # Ray gives no task one and a half
    bundle = {"CPU": config.num_workers, "GPU": gpus}
    settings = f"num_workers={config.num_workers}, gpus_per_worker={config.gpus_per_worker:g}"
    with ray_session(log.with_name("ray.log"), config.num_workers):
        check_room([bundle], settings)
        watch = RoomWatch([bundle], settings)
        options: Any = {"num_gpus": gpus, "runtime_env": model.runtime_env}
        remote: Any = ray.remote(num_cpus=config.num_workers, **options)(run)
        reference = remote.remote(_absolute(model.python), list(arguments), str(log))

        def ended() -> int | None:
            done, _ = ray.wait([reference], timeout=1)
            if not done:
                watch.look()
            return ray.get(reference) if done else None

        try:
            yield ended
        finally:
            ray.cancel(reference)
