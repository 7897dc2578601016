"""Small pictures of the tasks' scenes, which lie with a campaign and are on its board."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from rl_datagen.campaign.read import PATIENCE_S, read_campaign
from rl_datagen.core.progress import SILENT, Progress
from rl_datagen.core.storage import Storage
from rl_datagen.data.images import encode_image
from rl_datagen.tasks import Task, get_task

_SIZE = 112  # pixels: twice what a row is high, for sharp displays; about 5 kB


def draw_pictures(name: str, progress: Progress = SILENT) -> int:
    """Draws the scenes that a campaign has no picture of, those at the board's top first.

    A few seconds each.

    Args:
        name: Name, folder or URI of the campaign.
        progress: Told of each.

    Returns:
        How many were drawn.

    Raises:
        MachineError: This machine lacks a GL library.
        UserError: There is no such campaign, or its files are damaged.
    """
    campaign = read_campaign(name)
    storage = Storage(campaign.folder, PATIENCE_S)
    trials = campaign.of("failed", "running"), campaign.of("finished", "stopped", "pending")
    tasks = [trial.task for group in trials for trial in group]
    there = read_pictures(storage, tasks)
    missing = [get_task(task) for task in tasks if task not in there]
    progress.start("pictures", len(missing), "tasks")
    for task in missing:
        storage.write_bytes(_path(task), draw(task))
        progress.advance(1, task.id)
    return len(missing)


def draw(task: Task) -> bytes:
    """Returns what agentview sees of a task's first shipped init state, as a JPEG."""
    from rl_datagen.sim import load_scene  # the board itself needs no simulator

    scene = load_scene(task)
    simulator = scene.simulator()
    simulator.reset(scene.shipped_state(0))
    return encode_image(simulator.render("agentview", _SIZE, _SIZE), "jpeg")


def read_pictures(storage: Storage, tasks: Iterable[str]) -> Mapping[str, bytes]:
    """Returns the pictures that there are, by task."""

    def read(task: str) -> tuple[str, bytes | None]:
        return task, storage.read_bytes(_path(get_task(task)), _AGAIN)

    with ThreadPoolExecutor(16) as pool:  # a remote storage answers slowly, but many at a time
        return {task: content for task, content in pool.map(read, tasks) if content}


def _path(task: Task) -> str:
    return f"pictures/{task.suite}-{task.index}.jpg"


_AGAIN = "Delete it: `rl-datagen campaign board NAME --pictures` draws it again."
