"""``rl-datagen doctor``: is this machine fit, and is its LIBERO the published one?"""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rl_datagen.cli.arguments import AsJson
from rl_datagen.cli.progress import print_above, show_progress
from rl_datagen.core.errors import ConfigError, UserError
from rl_datagen.core.provenance import PINNED
from rl_datagen.tasks import select_tasks

if TYPE_CHECKING:
    from rl_datagen.doctor import Fidelity, TaskReport
    from rl_datagen.doctor.machine import Finding

_FEW = (
    "libero_spatial/0,5,libero_object/0,9,libero_goal/0,3,libero_10/0,3,libero_90/0,48"  # 2 a suite
)

Tasks = Annotated[
    str | None,
    typer.Argument(
        metavar="[TASKS]",
        help="With --fidelity: which tasks, such as libero_goal,libero_90/0-9, or all. By default "
        "two of each suite.",
        show_default=False,
    ),
]
Fidelity_ = Annotated[
    bool,
    typer.Option(
        "--fidelity",
        help="Compare LIBERO's images and physics with the published ones. Exit code 2 if they "
        "differ.",
    ),
]
Python = Annotated[
    str | None,
    typer.Option(
        "--python",
        metavar="PYTHON",
        help="With --fidelity: look at the LIBERO of another installation, given its Python.",
        show_default=False,
    ),
]


def doctor(
    tasks: Tasks = None,
    fidelity: Fidelity_ = False,
    python: Python = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine, or with --fidelity the LIBERO on it or in another installation."""
    if fidelity:
        _certify(tasks or _FEW, python, as_json)
    elif tasks or python:
        given = "--python" if python else tasks
        raise ConfigError(f"`{given}` is for --fidelity alone: add it, or leave `{given}` out.")
    else:
        _examine(as_json)


def _examine(as_json: bool) -> None:
    from rl_datagen.doctor.machine import examine

    findings: list[Finding] = []
    with show_progress("looks at this machine", quiet=as_json) as progress:
        for finding in examine(progress):
            findings.append(finding)
            if not as_json:
                _print_finding(finding)
    if as_json:
        typer.echo(json.dumps([vars(finding) for finding in findings]))
    if not all(finding.ok for finding in findings):
        raise UserError("This machine lacks something; the lines marked 'no' say what to do.")


def _print_finding(finding: "Finding") -> None:
    row = Table.grid(padding=(0, 2, 0, 0))
    for width in (2, 14):
        row.add_column(width=width)
    mark = "[green]ok[/]" if finding.ok else "[bold red]no[/]"
    row.add_row(mark, finding.what, Text(finding.found))
    print_above(Console(), row)


def _certify(selector: str, python: str | None, as_json: bool) -> None:
    chosen = select_tasks(selector)
    console = Console(soft_wrap=True, highlight=False, quiet=as_json)
    with show_progress(quiet=as_json) as progress:
        from rl_datagen.doctor import certify

        progress.start("fidelity", len(chosen), "tasks")
        progress.say(f"compiles the scene of {chosen[0]}")

        def show(report: "TaskReport") -> None:
            print_above(console, _line(report))
            progress.advance()

        found = certify(chosen, python, on_task=show)
    if as_json:
        typer.echo(json.dumps(found.to_json()))
    else:
        _show(found, console)
    if not found.faithful:
        pinned = " ".join(f"{name}=={version}" for name, version in PINNED.items())
        raise UserError(
            "This LIBERO is not the published one, so success rates on it need not be either. "
            f"`pip install {pinned}` makes one that steps like it; `sim.appearance=original` "
            "draws like it."
        )


def _line(report: "TaskReport") -> str:
    mark = "[green]ok[/]" if report.images and report.physics else "[bold red]no[/]"
    return f"{mark} {report.task}{': ' if report.differences else ''}" + escape(
        "; ".join(report.differences)
    )


def _show(fidelity: "Fidelity", console: Console) -> None:
    from rl_datagen.doctor import describe_protocol

    found = fidelity.installation
    table = Table("suite", "tasks", "images as published", "physics as pinned")
    for suite, reports in fidelity.suites():
        images = sum(report.images for report in reports)
        physics = sum(report.physics for report in reports)
        table.add_row(suite, str(len(reports)), _count(images, reports), _count(physics, reports))
    console.print(table)
    console.print(escape(f"LIBERO in {found['libero']}, MuJoCo {found['mujoco']}"))
    for cause in fidelity.causes:
        console.print(escape(f"- {cause}"))
    console.print(describe_protocol())


def _count(good: int, reports: list) -> str:
    colour = "green" if good == len(reports) else "bold red"
    return f"[{colour}]{good} of {len(reports)}[/]"
