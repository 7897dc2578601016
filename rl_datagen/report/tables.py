"""Tables I and II: success of VLAs by what they learnt from, beside the paper's numbers.

Table I: tasks that the VLA was trained on. Table II: trained on LIBERO-90 only, zero-shot on the
tasks of other suites.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rl_datagen.config import EvaluateConfig
from rl_datagen.core.errors import UserError
from rl_datagen.core.storage import write_text
from rl_datagen.core.yaml_text import parse_yaml
from rl_datagen.data.results import RESULTS, EvaluatedEpisode, read_results, summarise
from rl_datagen.data.schema import appearance_of_settings
from rl_datagen.report.published import MEAN, TABLE_I, TABLE_II
from rl_datagen.tasks import TASKS, get_task, select_tasks
from rl_datagen.vla.folder import DATA, check_comparable

LABELS = {
    "libero_spatial": "Spatial",
    "libero_object": "Object",
    "libero_goal": "Goal",
    "libero_10": "Long",
    "libero_90": "LIBERO-90",
    MEAN: "mean of suites",
}
"""Of the columns."""


@dataclass(frozen=True)
class Cell:
    """A success rate.

    Attributes:
        rate: Share of successes.
        low: Lower end of its interval.
        high: Upper end.
        num_successes: Episodes that reached the goal.
        num_episodes: Episodes run.
        num_tasks: Tasks they are of.
    """

    rate: float
    low: float
    high: float
    num_successes: int
    num_episodes: int
    num_tasks: int


@dataclass(frozen=True)
class Table:
    """One of the two tables.

    Attributes:
        number: ``"I"`` or ``"II"``.
        title: What it shows.
        columns: Suites, then ``MEAN``.
        rows: Our cells by what the VLA learnt from and column; None where not run.
        paper: The paper's rates in percent, likewise.
    """

    number: str
    title: str
    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Cell | None]]
    paper: Mapping[str, Mapping[str, float]]


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
        UserError: A folder is not an evaluation, its results do not verify, it does not say what
            its policy learnt from, or two have
            episodes of the same task for the same row, or images of different appearance.
    """
    evaluated = [_read(folder) for folder in folders]
    seen = [(e, [x for x in e.episodes if x.task in e.trained_on]) for e in evaluated]
    unseen = [
        (e, [x for x in e.episodes if x.task not in e.trained_on])
        for e in evaluated
        if all(get_task(task).suite == "libero_90" for task in e.trained_on)
    ]
    return (
        _table("I", "in-distribution", seen, TABLE_I),
        _table("II", "trained on LIBERO-90 only, zero-shot", unseen, TABLE_II),
    )


def _read(folder: Path) -> _Evaluated:
    try:
        path = folder / "config.yaml"
        settings = parse_yaml(path.read_bytes(), f"'{path}'")
        config = EvaluateConfig.model_validate(settings)
    except (OSError, ValueError):
        raise UserError(
            f"'{folder}' is not an evaluation: give folders that `rl-datagen evaluate` has made, "
            "such as outputs/evaluations/<name>."
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
    parts: Sequence[tuple[_Evaluated, list[EvaluatedEpisode]]],
    paper: Mapping[str, Mapping[str, float]],
) -> Table:
    columns = tuple(paper["human"])
    rows: dict[str, list[EvaluatedEpisode]] = {source: [] for source in paper}
    owners: dict[tuple[str, str], Path] = {}
    confidence = 0.95
    if vlas := [e.policy for e, kept in parts if kept and (e.policy / DATA).exists()]:
        check_comparable(vlas)
    _check_appearances([e for e, kept in parts if kept])
    for evaluated, episodes in parts:
        kept = [episode for episode in episodes if get_task(episode.task).suite in columns]
        for task in {episode.task for episode in kept}:
            first = owners.setdefault((evaluated.source, task), evaluated.folder)
            if first != evaluated.folder:
                raise UserError(
                    f"'{first}' and '{evaluated.folder}' both have episodes of {task} for "
                    f"'{evaluated.source}' in Table {number}: leave one of them out."
                )
        confidence = evaluated.confidence
        rows.setdefault(evaluated.source, []).extend(kept)
    cells = {source: _cells(episodes, columns, confidence) for source, episodes in rows.items()}
    return Table(number, title, columns, cells, paper)


def _check_appearances(evaluated: Sequence[_Evaluated]) -> None:
    for other in evaluated[1:]:
        if other.appearance != evaluated[0].appearance:
            raise UserError(
                f"The evaluations in '{evaluated[0].folder}' and '{other.folder}' cannot be "
                f"compared: their images have the appearances '{evaluated[0].appearance}' and "
                f"'{other.appearance}', in which textures are coloured otherwise. Repeat one of "
                "them with the other's sim.appearance, or make tables of one kind alone."
            )


def _cells(
    episodes: Sequence[EvaluatedEpisode], columns: Sequence[str], confidence: float
) -> dict[str, Cell | None]:
    cells: dict[str, Cell | None] = {}
    for suite in (column for column in columns if column != MEAN):
        chosen = [episode for episode in episodes if get_task(episode.task).suite == suite]
        cells[suite] = _cell(chosen, confidence) if chosen else None
    return cells | {MEAN: _mean(list(cells.values()))}


def _cell(episodes: Sequence[EvaluatedEpisode], confidence: float) -> Cell:
    found = summarise(episodes, confidence)
    return Cell(
        found.success_rate,
        found.success_ci_low,
        found.success_ci_high,
        found.num_successes,
        found.num_episodes,
        len({episode.task for episode in episodes}),
    )


def _mean(cells: Sequence[Cell | None]) -> Cell | None:
    """Returns the mean over suites, None unless each was run.

    Its interval comes from theirs (Zou and Donner 2008, "Construction of confidence limits about
    effect measures", MOVER), and so is right near 0 and 1 too.
    """
    run = [cell for cell in cells if cell is not None]
    if len(run) < len(cells):
        return None
    rate = sum(cell.rate for cell in run) / len(run)
    below = math.hypot(*(cell.rate - cell.low for cell in run)) / len(run)
    above = math.hypot(*(cell.high - cell.rate for cell in run)) / len(run)
    return Cell(
        rate,
        rate - below,
        rate + above,
        sum(cell.num_successes for cell in run),
        sum(cell.num_episodes for cell in run),
        sum(cell.num_tasks for cell in run),
    )


def write_tables(folder: Path, tables: Sequence[Table]) -> list[Path]:
    """Writes ``tables.md``, ``tables.tex`` and ``tables.csv``; returns their paths."""
    texts = {
        "tables.md": "\n".join(_markdown(table) for table in tables) + f"\n{NOTES}\n",
        "tables.tex": "\n".join(_latex(table) for table in tables),
        "tables.csv": pd.DataFrame(_records(tables)).convert_dtypes().to_csv(index=False),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


NOTES = (
    "Success rate in %, 95 % interval in brackets unless the evaluation says otherwise (Wilson's; "
    "of the mean: MOVER), with episodes and, where not all of a suite's tasks were run, tasks. The "
    "mean counts suites the same, as the paper's does. The paper's numbers are of pi0 "
    "(arXiv:2509.19752, Tables I and II)."
)


def _texts(table: Table) -> pd.DataFrame:
    """Returns the table as it is read: our row of each source, and the paper's below it."""
    rows: list[dict[str, str]] = []
    for source, cells in table.rows.items():
        ours = {LABELS[c]: _text(table, c, cells[c]) for c in table.columns}
        rows.append({"data": source, "": "ours", **ours})
        if source in table.paper:
            theirs = {LABELS[c]: f"{table.paper[source][c]:.2f}" for c in table.columns}
            rows.append({"data": source, "": "paper", **theirs})
    return pd.DataFrame(rows)


def _text(table: Table, column: str, cell: Cell | None) -> str:
    if cell is None:
        return "not run"
    suites = table.columns if column == MEAN else (column,)
    there_are = sum(task.suite in suites for task in TASKS)
    plural = "" if cell.num_tasks == 1 else "s"
    some = "" if cell.num_tasks == there_are else f", {cell.num_tasks} task{plural}"
    interval = f"{100 * cell.rate:.1f} [{100 * cell.low:.1f}, {100 * cell.high:.1f}]"
    return f"{interval} (n={cell.num_episodes}{some})"


def _markdown(table: Table) -> str:
    texts = _texts(table)
    lines = [list(texts), ["---"] * len(texts.columns), *texts.to_numpy().tolist()]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"**Table {table.number}**, {table.title}\n\n{body}\n"


def _latex(table: Table) -> str:
    """Returns the table in LaTeX, for the package booktabs."""
    caption = rf"Success rate in \%, {table.title}."
    return _texts(table).to_latex(index=False, escape=True, caption=caption)


def _records(tables: Sequence[Table]) -> Iterator[dict[str, Any]]:
    for table in tables:
        key = {"table": table.number}
        for source, cells in table.rows.items():
            for column, cell in cells.items():
                yield {**key, "data": source, "who": "ours", "column": column} | (
                    asdict(cell) if cell else {}
                )
        for source, rates in table.paper.items():
            for column, rate in rates.items():
                row = {"data": source, "who": "paper", "column": column, "rate": rate / 100}
                yield key | row
