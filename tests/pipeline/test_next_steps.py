import shlex

import pytest
import typer

from rl_datagen.cli import app
from rl_datagen.config import load_config
from rl_datagen.pipeline.next_steps import next_steps
from rl_datagen.pipeline.run import Run
from rl_datagen.tasks import TASKS
from tests.test_docs import load_only, parse  # noqa: F401


def steps(*settings):
    return dict(next_steps(Run(load_config(list(settings)), progress=None)))


@pytest.mark.usefixtures("load_only")
@pytest.mark.parametrize("folder", ["outputs", "runs of mine/there"])
def test_every_command_parses_and_its_settings_load(folder):
    for line in steps(f"output_dir={folder}", "name=bowl", "task=libero_goal/8").values():
        command, (program, *words) = typer.main.get_command(app), shlex.split(line)
        assert program == "rl-datagen"
        context = parse(command, words)
        if "settings" in context.params or "overrides" in context.params:
            with pytest.raises(RuntimeError, match="loaded"):
                context.command.invoke(context)


def test_commands_name_the_paths_of_the_run():
    lines = " ".join(steps("output_dir=there", "name=bowl", "task=libero_goal/8").values())
    assert "dataset render there/datasets/bowl" in lines
    assert "export lerobot there/datasets/bowl there/exports/bowl" in lines
    assert "datasets=there/datasets/bowl name=bowl output_dir=there" in lines
    assert "evaluate there/vlas/bowl" in lines
    assert "experts=bowl task=libero_goal/8" in lines
    assert "quickstart task=libero_goal/9 name=libero_goal-9 output_dir=there" in lines


def test_rendering_goes_on_with_the_images_that_are_there():
    lines = " ".join(steps("collect.render.image_size=64", "collect.render.encoding=jpeg").values())
    assert "--size 64 --encoding jpeg" in lines
    assert "--size" not in " ".join(steps().values())


def test_after_the_last_task_comes_the_first():
    last, first = TASKS[-1], TASKS[0]
    assert f"Another task: {first.instruction}" in steps(f"task={last.id}")
