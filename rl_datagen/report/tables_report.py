"""The tables as files: Markdown, LaTeX, CSV."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd

from rl_datagen.core.storage import write_text
from rl_datagen.report.paired import ALL, Pair
from rl_datagen.report.published import MEAN
from rl_datagen.report.tables import Cell, Table
from rl_datagen.tasks import select_tasks

LABELS = {
    "libero_spatial": "Spatial",
    "libero_object": "Object",
    "libero_goal": "Goal",
    "libero_10": "Long",
    "libero_90": "LIBERO-90",
    MEAN: "mean of suites",
    ALL: "all suites",
}
"""Of the columns; perturbed suites have their names."""


def write_tables(folder: Path, tables: Sequence[Table]) -> list[Path]:
    """Writes ``tables.md``, ``tables.tex``, ``tables.csv``, ``pairs.csv``; returns their paths."""
    pairs = [{"table": table.number} | asdict(pair) for table in tables for pair in table.pairs]
    texts = {
        "tables.md": "\n".join(_markdown(table) for table in tables) + f"\n{NOTES}\n",
        "tables.tex": "\n".join(_latex(table) for table in tables),
        "tables.csv": pd.DataFrame(_records(tables)).convert_dtypes().to_csv(index=False),
        "pairs.csv": pd.DataFrame(pairs, columns=["table", *_PAIR]).to_csv(index=False),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


_PAIR = tuple(field.name for field in fields(Pair))

NOTES = (
    "Success rate in %, 95 % interval in brackets unless the evaluation says otherwise (Wilson's; "
    "of the mean: MOVER), with episodes and, where not all of a suite's tasks were run, tasks. The "
    "mean counts suites the same, as the paper's does. The paper's numbers are of pi0 "
    "(arXiv:2509.19752, Tables I and II). In Table P, of perturbed tasks, a cell says how many of "
    "its tasks were among those learnt from. Pairs are episodes from the same init state: p is "
    "McNemar's exact test, two-sided, not corrected for the number of comparisons."
)


def _texts(table: Table) -> pd.DataFrame:
    """Returns the table as it is read: our row of each source, and the paper's below it."""
    rows: list[dict[str, str]] = []
    for source, cells in table.rows.items():
        ours = {LABELS.get(c, c): _text(table, c, cells[c]) for c in table.columns}
        rows.append({"data": source, "": "ours", **ours})
        if source in table.paper:
            theirs = {LABELS[c]: f"{table.paper[source][c]:.2f}" for c in table.columns}
            rows.append({"data": source, "": "paper", **theirs})
    return pd.DataFrame(rows)


def _text(table: Table, column: str, cell: Cell | None) -> str:
    if cell is None:
        return "not run"
    suites = table.columns if column == MEAN else (column,)
    there_are = len(select_tasks(",".join(suites)))
    plural = "" if cell.num_tasks == 1 else "s"
    some = "" if cell.num_tasks == there_are else f", {cell.num_tasks} task{plural}"
    if table.number == "P":
        some += f", {cell.num_learnt or 'none'} learnt"
    interval = f"{100 * cell.rate:.1f} [{100 * cell.low:.1f}, {100 * cell.high:.1f}]"
    return f"{interval} (n={cell.num_episodes}{some})"


def _markdown(table: Table) -> str:
    text = f"**Table {table.number}**, {table.title}\n\n{_rows(_texts(table))}\n"
    if table.pairs:
        text += f"\nPairs of Table {table.number}:\n\n{_rows(_pair_texts(table))}\n"
    return text


def _rows(texts: pd.DataFrame) -> str:
    lines = [list(texts), ["---"] * len(texts.columns), *texts.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _pair_texts(table: Table) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "first": pair.first,
            "second": pair.second,
            "suite": LABELS.get(pair.column, pair.column),
            "pairs": str(pair.num_pairs),
            "only first": str(pair.num_only_first),
            "only second": str(pair.num_only_second),
            "second - first": f"{100 * pair.difference:+.1f}",
            "p": f"{pair.p_value:.2g}",
        }
        for pair in table.pairs
    )


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
