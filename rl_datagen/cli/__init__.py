"""The ``rl-datagen`` command: parse, load the configuration, call one function, print."""

import atexit
import faulthandler
import json
import logging
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text
from typer.core import TyperGroup

from rl_datagen import __version__
from rl_datagen.cli.ablate import ablate
from rl_datagen.cli.arguments import WITH_SETTINGS, AsJson, Track, settings
from rl_datagen.cli.campaign import app as campaign_app
from rl_datagen.cli.collect import collect
from rl_datagen.cli.config import app as config_app
from rl_datagen.cli.dataset import app as dataset_app
from rl_datagen.cli.demos import app as demos_app
from rl_datagen.cli.doctor import doctor
from rl_datagen.cli.evaluate import evaluate, tables
from rl_datagen.cli.expert import app as expert_app
from rl_datagen.cli.export import app as export_app
from rl_datagen.cli.extras import missing_package
from rl_datagen.cli.paper import paper
from rl_datagen.cli.progress import show_progress
from rl_datagen.cli.quality import quality
from rl_datagen.cli.settings_list import list_settings
from rl_datagen.cli.vla import app as vla_app
from rl_datagen.config import Config, load_config
from rl_datagen.config.reference import MODELS
from rl_datagen.core.disk import disk_error
from rl_datagen.core.errors import ConfigError, UserError, refused_path
from rl_datagen.core.log import setup_logging
from rl_datagen.core.paths import without_credentials
from rl_datagen.core.signals import catch_signals, received_signal
from rl_datagen.tasks import SUITES, get_task, known_tasks, select_tasks

_PANELS = {
    "First steps": ("doctor", "tasks", "quickstart", "expert", "config"),
    "Experts": ("demos", "train", "campaign"),
    "Datasets": ("collect", "dataset", "export", "quality"),
    "Vision-language-action models": ("vla", "evaluate", "tables"),
    "Studies": ("ablate", "paper"),
}
"""Commands in the order of use, under the headings of ``--help``."""
_ORDER = [name for names in _PANELS.values() for name in names]


class _InOrderOfUse(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=_ORDER.index)


app = typer.Typer(
    cls=_InOrderOfUse,
    help="Turn one robot demonstration per task into large, smooth datasets for VLA training.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Settings = Annotated[list[str] | None, settings("algo.lr=1e-4")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Delete this run's outputs and start over.")]


def main() -> None:
    """Runs the command line.

    Exit code 2 and one paragraph for what the user can put right, 128 + n and a line for signal n.
    """
    setup_logging()
    sys.excepthook = _print_traceback
    if sys.__stderr__ and not faulthandler.is_enabled():
        faulthandler.enable(sys.__stderr__)  # a crash of compiled code says where
    catch_signals()
    try:
        app(prog_name="rl-datagen")
    except UserError as error:
        _say("Error: ", str(error))
        sys.exit(2)
    except Exception as error:
        said = disk_error(error) or refused_path(error) or missing_package(error, sys.argv[1:])
        if said is None:
            raise
        _say("Error: ", str(said))
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit):
        number = received_signal()
        if number is None:
            raise
        _say("", f"Stopped by {number.name}. {_STOPPED}")
        _leave(128 + number)


_STOPPED = "What is finished is stored; the same command resumes with the rest."


def _leave(code: int) -> NoReturn:
    """Ends the process without the destructors of native libraries.

    Threads of Ray may outlive an interrupted start, and crash (SIGSEGV) while what they use is
    destroyed at exit.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _say(what: str, sentence: str) -> None:
    text = Text(what, style="bold red")
    text.append(without_credentials(sentence), style="default not bold")
    Console(stderr=True, soft_wrap=True).print(text)


def _print_traceback(
    kind: type[BaseException], error: BaseException, where: TracebackType | None
) -> None:
    """As Python does, but for the credentials that an error's text may have."""
    sys.stderr.write(without_credentials("".join(traceback.format_exception(kind, error, where))))


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit
    if verbose:
        logging.getLogger("rl_datagen").setLevel(logging.DEBUG)


def tasks(
    selector: Annotated[
        str | None,
        typer.Argument(
            help="'all', a suite, 'libero_goal/3', 'libero_90/0-9', or a list.",
            show_default="all",
        ),
    ] = None,
    perturbed: Annotated[
        bool,
        typer.Option(
            "--perturbed", help="Those that are perturbations of the 130: all, or of the selected."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List LIBERO's tasks, or with --perturbed their perturbations."""
    selected = select_tasks(selector or "all")
    if perturbed:
        chosen = {*selected}
        selected = tuple(task for task in known_tasks() if task.base and chosen & {task, task.base})
        if not selected:
            raise ConfigError(
                f"No perturbations of {selector} are known: the tasks of libero_spatial, "
                "libero_object, libero_goal and libero_10 have some."
            )
    if as_json:
        rows = [
            {
                "task": task.id,
                "suite": task.suite,
                "index": task.index,
                "name": task.name,
                "instruction": task.instruction,
                "max_episode_steps": task.max_episode_steps,
                **({"base": task.base.id, "perturbs": task.perturbs} if task.base else {}),
            }
            for task in selected
        ]
        suites = list(dict.fromkeys(task.suite for task in selected)) if perturbed else SUITES
        print(json.dumps({"suites": suites, "tasks": rows}, indent=2))
        return
    table = Table(
        Column("task", min_width=max(len(task.id) for task in selected), no_wrap=True),
        *("instruction", "max steps", *(["perturbs"] if perturbed else [])),
    )
    for task in selected:
        change = [task.perturbs] if perturbed else []
        table.add_row(task.id, task.instruction, str(task.max_episode_steps), *change)
    Console().print(table)


def _announce(config: Config) -> None:
    """Says at once what is to be done: PyTorch, Ray and the simulator take a while to load."""
    task = get_task(config.task)
    print(f"task     {task.id}: {task.instruction}", flush=True)


def quickstart(
    settings: Settings = None,
    fresh: Fresh = False,
    track: Track = None,
    list_all: Annotated[bool, list_settings("quickstart")] = False,
) -> None:
    """Run the whole chain: one human demonstration in, a verified dataset and a page out.

    Starts from the overlay `quickstart`; a second call continues after the last finished stage.
    """
    config = load_config(settings or [], base="quickstart")
    _announce(config)
    with show_progress() as progress:
        # Imports torch, Ray and LIBERO: bad settings and --help should not wait for that.
        from rl_datagen.pipeline.quickstart import quickstart as run

        page = run(config, progress, fresh=fresh, track=track or ())
    dataset = Path(config.output_dir, "datasets", config.name)
    Console(soft_wrap=True).print(
        f"dataset  {dataset}\npage     {page}\ncheck    rl-datagen dataset verify {dataset}",
        highlight=False,
    )


def train(
    settings: Settings = None,
    fresh: Fresh = False,
    track: Track = None,
    list_all: Annotated[bool, list_settings("train")] = False,
) -> None:
    """Make one task's expert: demonstrations, warm start, polishing, PPO if it is needed.

    A second call continues where the first one stopped; `quickstart` with the same settings resumes
    to the dataset.
    """
    config = load_config(settings or [])
    _announce(config)
    with show_progress() as progress:
        from rl_datagen.pipeline.expert import train as run

        done = run(config, progress, fresh=fresh, track=track or ())
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"expert   {done.expert}")
    for moment in ("before", "after"):
        console.print(
            "{:8} success {num_successes} of {num_episodes} ({success_ci_low:.0%} to "
            "{success_ci_high:.0%}), {episode_len_mean:.0f} env steps an episode".format(
                moment, **done.markers.summary(f"evaluate_{moment}")
            )
        )


def _panel(name: str) -> str:
    return next(panel for panel, names in _PANELS.items() if name in names)


_COMMANDS = (doctor, tasks, quickstart, train, collect, quality, evaluate, tables, ablate, paper)
for _command in _COMMANDS:
    app.command(
        rich_help_panel=_panel(_command.__name__),
        context_settings=WITH_SETTINGS if _command.__name__ in MODELS else {},
    )(_command)
for _name, _group in {
    "expert": expert_app,
    "config": config_app,
    "demos": demos_app,
    "campaign": campaign_app,
    "dataset": dataset_app,
    "export": export_app,
    "vla": vla_app,
}.items():
    app.add_typer(_group, name=_name, rich_help_panel=_panel(_name))
