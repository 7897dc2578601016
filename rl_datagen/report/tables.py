"""Tables I and II: success of VLAs by what they learnt from, beside the paper's numbers.

Table I: tasks that the VLA was trained on. Table II: trained on LIBERO-90 only, zero-shot on the
tasks of other suites.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_datagen.config import EvaluateConfig
from rl_datagen.core.errors import UserError
from rl_datagen.core.storage import write_text
from rl_datagen.core.yaml_text import parse_yaml
from rl_datagen.data.results import RESULTS, EvaluatedEpisode, read_results, summarise
from rl_datagen.data.schema import appearance_of_settings
from rl_datagen.report.published import AVERAGES
from rl_datagen.tasks import TASKS, get_task, select_tasks
from rl_datagen.vla.folder import DATA, check_comparable

NOT_RUN, NOT_AVAILABLE = "not run", "not available"
AVERAGE = "all tasks"
SUITE_LABELS = {
    "libero_spatial": "Spatial",
    "libero_object": "Object",
    "libero_goal": "Goal",
    "libero_10": "Long",
    "libero_90": "LIBERO-90",
}
_PAPER = ("human", "gaussian_rl", "diffusion_rl", "human+diffusion_rl")


@dataclass(frozen=True)
class Cell:
    """A success rate.

    Attributes:
        rate: Share of successes.
        low: Lower end of the Wilson interval; None for the paper's, which has none.
        high: Upper end.
        num_successes: Episodes that reached the goal.
        num_episodes: Episodes run.
        num_tasks: Tasks they are of.
    """

    rate: float
    low: float | None = None
    high: float | None = None
    num_successes: int | None = None
    num_episodes: int | None = None
    num_tasks: int | None = None


@dataclass(frozen=True)
class Table:
    """One of the two tables.

    Attributes:
        number: ``"I"`` or ``"II"``.
        title: What it shows.
        columns: Suites, then ``AVERAGE``.
        rows: Our cells by what the VLA learnt from and column; None where not run.
        paper: The paper's, likewise; None where not available.
        num_tasks: Tasks there are in each column.
    """

    number: str
    title: str
    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Cell | None]]
    paper: Mapping[str, Mapping[str, Cell | None]]
    num_tasks: Mapping[str, int]


@dataclass(frozen=True)
class _Evaluated:
    """An evaluation on disk."""

    folder: Path
    policy: Path
    source: str
    trained_on: frozenset[str]
    confidence: float
    appearance: str
    episodes: Sequence[EvaluatedEpisode]


def make_tables(folders: Sequence[Path]) -> tuple[Table, Table]:
    """Returns Tables I and II of some evaluations.

    Args:
        folders: Those of the evaluations; each belongs to a row of its ``source``.

    Raises:
        ConfigError: VLAs of one table differ in more than their data (paper, Sec. III-E).
        UserError: A folder is no evaluation, its results do not verify, it does not say what its
            policy learnt from, or two have
            episodes of the same task for the same row, or images of different appearance.
    """
    evaluated = [_read(folder) for folder in folders]
    suites = tuple(SUITE_LABELS)
    seen = [(e, [x for x in e.episodes if x.task in e.trained_on]) for e in evaluated]
    unseen = [
        (e, [x for x in e.episodes if x.task not in e.trained_on])
        for e in evaluated
        if all(get_task(task).suite == "libero_90" for task in e.trained_on)
    ]
    titles = ("in-distribution", "trained on LIBERO-90 only, zero-shot")
    return (
        _table("I", titles[0], suites, seen, AVERAGES),
        _table("II", titles[1], ("libero_10", "libero_goal", "libero_object"), unseen, {}),
    )


def _read(folder: Path) -> _Evaluated:
    try:
        path = folder / "config.yaml"
        settings = parse_yaml(path.read_bytes(), f"'{path}'")
        config = EvaluateConfig.model_validate(settings)
    except (OSError, ValueError):
        raise UserError(
            f"'{folder}' is no evaluation: give folders that `rl-datagen evaluate` has made, such "
            "as outputs/evaluations/<name>."
        ) from None
    if config.source is None or config.trained_on is None:
        raise UserError(
            f"The evaluation in '{folder}' does not say what its policy learnt from, which decides "
            "about its row and table: repeat `rl-datagen evaluate` with source=... (such as "
            "diffusion_rl) and trained_on=... (such as libero_90); nothing runs again."
        )
    if not (folder / RESULTS).exists():
        raise UserError(
            f"The evaluation in '{folder}' is not complete: repeat its `rl-datagen evaluate`, "
            "which runs what is missing."
        )
    tasks = frozenset(task.id for task in select_tasks(config.trained_on))
    episodes = read_results(folder, num_episodes=config.num_episodes)
    policy = Path(config.policy)
    appearance = appearance_of_settings(settings)
    return _Evaluated(folder, policy, config.source, tasks, config.confidence, appearance, episodes)


def _table(
    number: str,
    title: str,
    suites: tuple[str, ...],
    parts: Sequence[tuple[_Evaluated, list[EvaluatedEpisode]]],
    averages: Mapping[str, float],
) -> Table:
    rows: dict[str, list[EvaluatedEpisode]] = {source: [] for source in _PAPER}
    owners: dict[tuple[str, str], Path] = {}
    confidence = 0.95
    if vlas := [e.policy for e, kept in parts if kept and (e.policy / DATA).exists()]:
        check_comparable(vlas)
    _check_appearances([e for e, kept in parts if kept])
    for evaluated, episodes in parts:
        kept = [episode for episode in episodes if get_task(episode.task).suite in suites]
        for task in {episode.task for episode in kept}:
            first = owners.setdefault((evaluated.source, task), evaluated.folder)
            if first != evaluated.folder:
                raise UserError(
                    f"'{first}' and '{evaluated.folder}' both have episodes of {task} for "
                    f"'{evaluated.source}' in Table {number}: leave one of them out."
                )
        confidence = evaluated.confidence
        rows.setdefault(evaluated.source, []).extend(kept)
    columns = (*suites, AVERAGE)
    return Table(
        number,
        title,
        columns,
        {s: {c: _cell(e, c, confidence) for c in columns} for s, e in rows.items()},
        {
            s: {c: Cell(averages[s]) if c == AVERAGE and s in averages else None for c in columns}
            for s in _PAPER
        },
        {
            c: sum(t.suite == c or (c == AVERAGE and t.suite in suites) for t in TASKS)
            for c in columns
        },
    )


def _check_appearances(evaluated: Sequence[_Evaluated]) -> None:
    for other in evaluated[1:]:
        if other.appearance != evaluated[0].appearance:
            raise UserError(
                f"The evaluations in '{evaluated[0].folder}' and '{other.folder}' cannot be "
                f"compared: their images have the appearances '{evaluated[0].appearance}' and "
                f"'{other.appearance}', in which textures are coloured otherwise. Repeat one of "
                "them with the other's sim.appearance, or make tables of one kind alone."
            )


def _cell(episodes: Sequence[EvaluatedEpisode], column: str, confidence: float) -> Cell | None:
    chosen = [e for e in episodes if column in (AVERAGE, get_task(e.task).suite)]
    if not chosen:
        return None
    found = summarise(chosen, confidence)
    return Cell(
        found.success_rate,
        found.success_ci_low,
        found.success_ci_high,
        found.num_successes,
        found.num_episodes,
        len({episode.task for episode in chosen}),
    )


def write_tables(folder: Path, tables: Sequence[Table]) -> list[Path]:
    """Writes ``tables.md``, ``tables.tex`` and ``tables.csv``; returns their paths."""
    texts = {
        "tables.md": "\n".join(markdown(table) for table in tables) + f"\n{NOTES}\n",
        "tables.tex": "\n".join(latex(table) for table in tables),
        "tables.csv": _csv(tables),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


NOTES = (
    "Success rate in %, 95 % Wilson interval in brackets unless the evaluation says otherwise, "
    "with episodes and, where not all of a suite's tasks were run, tasks. 'all tasks' pools the "
    "episodes. The paper's averages are its abstract's (arXiv:2509.19752): 81.9 for diffusion RL "
    "data, 5.3 points more than human and 12.6 more than Gaussian RL data; how it averages over "
    "suites, and its other cells, were not at hand."
)


def _lines(table: Table) -> Iterator[tuple[str, str, list[str]]]:
    """Yields row, who measured, and a text per column."""
    for source in table.rows:
        cells = [_text(table, c, table.rows[source][c]) for c in table.columns]
        yield source, "ours", cells
        if source in table.paper:
            theirs = [table.paper[source][c] for c in table.columns]
            yield source, "paper", [f"{100 * c.rate:.1f}" if c else NOT_AVAILABLE for c in theirs]


def _text(table: Table, column: str, cell: Cell | None) -> str:
    if cell is None or cell.low is None or cell.high is None:
        return NOT_RUN
    interval = f"{100 * cell.rate:.1f} [{100 * cell.low:.1f}, {100 * cell.high:.1f}]"
    plural = "" if cell.num_tasks == 1 else "s"
    whole = cell.num_tasks == table.num_tasks[column]
    some = "" if whole else f", {cell.num_tasks} task{plural}"
    return f"{interval} (n={cell.num_episodes}{some})"


def markdown(table: Table) -> str:
    """Returns the table in Markdown."""
    header = ["data", "", *(SUITE_LABELS.get(c, c) for c in table.columns)]
    rows = [[source, who, *cells] for source, who, cells in _lines(table)]
    lines = [header, ["---"] * len(header), *rows]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"**Table {table.number}**, {table.title}\n\n{body}\n"


def latex(table: Table) -> str:
    """Returns the table in LaTeX, for the package booktabs."""
    header = ["Data", "", *(SUITE_LABELS.get(c, c) for c in table.columns)]
    rows = [[source, who, *cells] for source, who, cells in _lines(table)]
    body = [r" & ".join(_escape(text) for text in row) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{Success rate in \%, {table.title}.}}",
            rf"\begin{{tabular}}{{ll{'c' * len(table.columns)}}}",
            r"\toprule",
            " & ".join(header) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _escape(text: str) -> str:
    return text.replace("_", r"\_").replace("%", r"\%")


def _csv(tables: Sequence[Table]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    counts = ("num_successes", "num_episodes", "num_tasks")
    writer.writerow(["table", "data", "who", "column", "rate", "low", "high", *counts])
    for table in tables:
        for who, rows in (("ours", table.rows), ("paper", table.paper)):
            for source, cells in rows.items():
                for column, cell in cells.items():
                    values = [cell.rate, cell.low, cell.high] if cell else [None] * 3
                    values += [getattr(cell, name, None) for name in counts]
                    writer.writerow([table.number, source, who, column, *values])
    return text.getvalue()
