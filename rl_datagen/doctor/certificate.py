"""The certificate: what an installation is worth, for a person and for a program."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rl_datagen.core.provenance import PINNED
from rl_datagen.doctor import measure
from rl_datagen.doctor.compare import TaskReport, compare, read_reference
from rl_datagen.doctor.probe import NUM_SETTLE_STEPS
from rl_datagen.tasks import SUITES, TASKS, Task


@dataclass(frozen=True)
class Fidelity:
    """How an installation of LIBERO compares with the reference.

    Attributes:
        installation: Versions and paths of what was tried.
        tasks: A report for each task.
        causes: What in the installation differs, a sentence each.
    """

    installation: dict[str, Any]
    tasks: tuple[TaskReport, ...]
    causes: tuple[str, ...]

    @property
    def faithful(self) -> bool:
        """Whether images are as published and physics as pinned in every task."""
        return all(report.images and report.physics for report in self.tasks)

    def suites(self) -> Iterator[tuple[str, list[TaskReport]]]:
        """Yields each suite that was tried, with its reports."""
        for suite in SUITES:
            reports = [report for report in self.tasks if report.task.startswith(f"{suite}/")]
            if reports:
                yield suite, reports

    def to_json(self) -> dict[str, Any]:
        """Returns all of it for a program."""
        return asdict(self) | {"faithful": self.faithful}


def certify(
    tasks: Sequence[Task],
    python: str | None = None,
    *,
    on_task: Callable[[TaskReport], None] = lambda _: None,
) -> Fidelity:
    """Returns how an installation compares with the reference.

    Args:
        tasks: What to try.
        python: Another installation's Python; None: this package's own simulators.
        on_task: Called as each task ends.

    Raises:
        MachineError: This machine lacks a GL library.
        UserError: The other Python cannot try it.
    """
    if python is None:
        records = map(measure.measure_here, tasks)
        installation = measure.describe_this_installation(tasks)
    else:
        records = measure.measure_elsewhere(python, tasks)
        installation = next(records)
    reports = list[TaskReport]()
    gl = set[str]()
    for task, record in zip(tasks, records, strict=True):
        gl |= {record["gl"]} if "gl" in record else set()
        reports.append(compare(record, task.id))
        on_task(reports[-1])
    installation["gl"] = ", ".join(sorted(gl))
    return Fidelity(installation, tuple(reports), tuple(_causes(installation, tasks)))


def _causes(installation: dict[str, Any], tasks: Sequence[Task]) -> Iterator[str]:
    for package in ("mujoco", "robosuite"):
        if installation[package] != PINNED[package]:
            yield f"{package} is {installation[package]}, not {PINNED[package]}"
    if installation["gl"] != read_reference()["gl"]:
        yield (
            f"images are drawn by {installation['gl']}, the reference's by "
            f"{read_reference()['gl']}: edges may differ a little"
        )
    for kind, path in installation["paths"].items():
        if not Path(path).is_relative_to(installation["libero"]):
            yield f"{kind} come from {path}, not from LIBERO's folder: see LIBERO_CONFIG_PATH"
    if installation["image_convention"] != "opengl":
        yield "robosuite's IMAGE_CONVENTION is not opengl: observations are not upside down"
    yield from _compare_order(installation["task_order"], tasks)


def _compare_order(order: dict[str, int | None] | str, tasks: Sequence[Task]) -> Iterator[str]:
    if isinstance(order, str):
        yield f"its list of tasks cannot be read ({order})"
        return
    for task in tasks:
        index = order[f"{task.suite}/{task.name}"]
        if index != task.index:
            yield f"{task} is its task {index}" if index is not None else f"it has no {task}"


def describe_protocol() -> str:
    """Returns what evaluation scripts, not installations, decide, as published numbers have it."""
    limits = {task.suite: task.max_episode_steps for task in TASKS}
    return (
        f"Published success rates let a scene settle for {NUM_SETTLE_STEPS} env steps of zeros "
        "with the gripper open, and end an episode after "
        + ", ".join(f"{limit} ({suite})" for suite, limit in limits.items())
        + " env steps; models differ in how they flip images."
    )
