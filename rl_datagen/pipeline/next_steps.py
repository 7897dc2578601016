"""What to do with a run that is finished: commands with its own paths."""

import shlex

from rl_datagen.config import RenderConfig
from rl_datagen.pipeline.run import Run
from rl_datagen.tasks import TASKS


def next_steps(run: Run) -> tuple[tuple[str, str], ...]:
    """Returns what each command is for, and the command as a shell takes it."""
    output_dir, name = run.config.output_dir, run.config.name
    dataset, task = str(run.dataset), run.task.id
    vla = f"{output_dir}/vlas/{name}"
    at = _setting("output_dir", output_dir, "outputs")
    following = TASKS[(TASKS.index(run.task) + 1) % len(TASKS)]
    commands = {
        "Look at an episode step by step, in rerun (extra [view])": ("dataset", "view", dataset),
        "Render all episodes, which exports and VLAs take": (
            *("dataset", "render", dataset),
            *_render_options(run.config.collect.render),
        ),
        "Export them, for lerobot and openpi": (
            *("export", "lerobot", dataset, f"{output_dir}/exports/{name}"),
        ),
        "Train a VLA on them": (
            *("vla", "train", "vla/small", f"datasets={dataset}", f"name={name}", *at),
        ),
        "Evaluate that VLA": ("evaluate", vla, f"name={name}-vla", f"task={task}", *at),
        "Collect more of this expert, to a dataset of its own": (
            *("collect", "collect", f"experts={name}", f"task={task}"),
            *(f"name={name}-more", f"seed={run.config.seed + 1}", *at),
        ),
        f"Another task: {following.instruction}": (
            *("quickstart", f"task={following.id}"),
            *(f"name={following.suite}-{following.index}", *at),
        ),
    }
    return tuple((what, shlex.join(["rl-datagen", *words])) for what, words in commands.items())


def _render_options(settings: RenderConfig) -> list[str]:
    """Returns what makes `dataset render` go on with the images that are there."""
    default = RenderConfig()
    options = {
        "--size": (settings.image_size, default.image_size),
        "--encoding": (settings.encoding, default.encoding),
        "--appearance": (settings.appearance, default.appearance),
    }
    return [
        word
        for option, (value, usual) in options.items()
        if value != usual
        for word in (option, str(value))
    ]


def _setting(key: str, value: str, usual: str) -> list[str]:
    return [] if value == usual else [f"{key}={value}"]
