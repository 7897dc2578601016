"""Puts finished experts into release/, with 50 episodes of each, and writes its tables.

What it does: ``add`` lets experts collect, adds the compact form of the episodes and the experts
in half precision to release/, in place of older ones of the same tasks. ``tables`` writes the
tables of release/README.md and docs/results.md ("130 experts") from docs/results/experts.json, and
how many tasks there are in both and in README.md.

How to run it (a minute a task; a call that was cut off is continued by the same call)::

    python benchmarks/release.py add --experts 'FOLDER/experts/{task}/libero130' \\
        --tasks TASKS --outputs FOLDER --name NAME
    python benchmarks/release.py tables

Results to expect: ``RESULT`` and a JSON object with ``tasks`` and the sizes in MB, ``episodes_mb``
and ``experts_mb``.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from experts import ROWS, stored_rows
from rl_datagen.tasks import TASKS

ROOT = Path(__file__).parent.parent
RELEASE, TABLE = ROOT / "release", ROOT / "docs/results.md"
NUM_EPISODES = 50
NUMBER = r"(?P<number>\d+)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("add", "tables"))
    parser.add_argument("--experts")
    parser.add_argument("--tasks")
    parser.add_argument("--outputs", default="outputs")
    parser.add_argument("--name", default="release")
    arguments = parser.parse_args()
    if arguments.command == "add":
        add(arguments)
    else:
        write_tables()
    print("RESULT", json.dumps(summarise()))


def add(arguments: argparse.Namespace) -> None:
    experts, tasks = arguments.experts, arguments.tasks
    folder = f"{arguments.outputs}/datasets/{arguments.name}"
    where = (f"experts={experts}", f"task={tasks}", f"name={arguments.name}")
    size = (f"num_episodes={NUM_EPISODES}", "num_workers=1", f"output_dir={arguments.outputs}")
    call("collect", *where, *size)
    call("dataset", "compact", folder, str(RELEASE / "libero130"), "--replace")
    call("expert", "pack", experts, str(RELEASE / "experts"), "--task", tasks)


def call(*command: str) -> None:
    subprocess.run([sys.executable, "-m", "rl_datagen", *command], check=True)


def write_tables() -> None:
    rows = stored_rows(ROWS)
    tasks = [task.id for task in TASKS]
    judged = [judged_line(rows[task]) for task in tasks if task in rows]
    replace_table(TABLE, "| task | warm start | newly drawn |", judged)
    path = RELEASE / "README.md"
    there = released_lines(path)
    lines = [
        released_line(rows[task]) if task in rows else there[task]
        for task in tasks
        if (RELEASE / "experts" / task).exists()
    ]
    replace_table(path, "| task | made by commit |", lines)
    num_released, num_judged = len(lines), len(judged)
    replace_number(path, rf"Begun: {NUMBER} of 130 tasks", num_released)
    replace_number(TABLE, rf"\*\*{NUMBER} of 130 tasks so far", num_judged)
    replace_number(ROOT / "README.md", rf"{NUMBER} experts\n> so far", num_released)
    replace_number(ROOT / "README.md", rf"{NUMBER} of them judged", num_judged)
    replace_number(ROOT / "README.md", rf"replayable episodes each of {NUMBER}", num_released)


def judged_line(row: Mapping) -> str:
    """Returns a task's line of the table in docs/results.md."""
    lengths = [f"{row[f'length_{source}']:.0f}" for source in ("human", "warm", "expert")]
    jerks = [f"{row[f'jerk_{source}']:.0f}" for source in ("human", "warm", "expert")]
    cells = (
        row["task"],
        f"{row['warm_start']:.0%}",
        f"{row['success_drawn']} of {row['n']}",
        f"{row['success_benchmark']} of {row['n_benchmark']}",
        ", ".join(lengths),
        ", ".join(jerks),
        row["core_minutes"],
        f"{row['env_steps']:,}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def released_line(row: Mapping) -> str:
    cells = (row["task"], row["recipe"], row["success_drawn"], row["success_benchmark"])
    return f"| {' | '.join(map(str, cells))} |"


def released_lines(path: Path) -> dict[str, str]:
    """Returns the lines of the table that is there, by task."""
    lines = re.findall(r"^\| (\w+/\d+) (\|.*)$", path.read_text(), re.MULTILINE)
    return {task: f"| {task} {rest}" for task, rest in lines}


def replace_table(path: Path, head: str, lines: Iterable[str]) -> None:
    """Writes lines in the place of those of the table whose head begins so."""
    text = path.read_text()
    begin = text.index("\n", text.index("\n", text.index(head)) + 1) + 1
    end = text.index("\n\n", begin) + 1
    body = "".join(f"{each}\n" for each in lines)
    path.write_text(text[:begin] + body + text[end:])


def replace_number(path: Path, pattern: str, number: int) -> None:
    """Writes a number in the place of the one that a pattern finds, which must be there once."""
    text = path.read_text()
    (found,) = re.finditer(pattern, text)
    begin, end = found.span("number")
    path.write_text(text[:begin] + str(number) + text[end:])


def summarise() -> dict[str, float]:
    tables = list((RELEASE / "libero130").glob("*/*.parquet"))
    experts = [path for path in (RELEASE / "experts").rglob("*") if path.is_file()]
    return {
        "tasks": len(tables),
        "episodes_mb": round(sum(path.stat().st_size for path in tables) / 1e6, 1),
        "experts_mb": round(sum(path.stat().st_size for path in experts) / 1e6, 1),
    }


if __name__ == "__main__":
    main()
