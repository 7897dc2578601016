"""Gives every reader random inputs for some minutes, and prints what became of them.

``python -m tests.fuzz [--seconds 600] [--seed N] [--kind WORD] [--input NUMBER] [--at-most 1000]``
"""

import argparse
import faulthandler
import logging
import os
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

from tests.fuzz.folders import FOLDERS
from tests.fuzz.judge import SECONDS, VERDICTS, Tally, judge
from tests.fuzz.texts import TEXTS

KINDS = (*TEXTS, *FOLDERS)


def main():
    options = parse()
    logging.disable()
    warnings.simplefilter("ignore")
    print(f"seed {options.seed}; --seed {options.seed} repeats it", flush=True)
    kinds = [kind for kind in KINDS if options.kind in kind.name]
    end, tallies = time.monotonic() + options.seconds, {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for number, kind in enumerate(kinds):
            share = (end - time.monotonic()) / (len(kinds) - number)
            tallies[kind.name] = run(kind, Path(folder, str(number), "fuzz"), share, options)
        os.chdir("/")
    print(table(tallies))
    sys.exit(any(t.counts[v] for t in tallies.values() for v in VERDICTS[1:]))


def parse():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    variable = lambda name, default: os.environ.get(f"FUZZ_{name}", default)  # noqa: E731
    parser.add_argument("--seconds", type=float, default=variable("SECONDS", 600))
    parser.add_argument("--seed", type=int, default=variable("SEED", random.randrange(10**6)))
    parser.add_argument("--kind", default="", help="only kinds with this in their name")
    parser.add_argument("--input", type=int, help="only this one")
    parser.add_argument("--at-most", type=int, default=1000, help="inputs of a kind")
    return parser.parse_args()


def run(kind, root, seconds, options):
    """Judges inputs of one kind until the time is over."""
    maker, tally, end = kind(root), Tally(), time.monotonic() + seconds
    numbers = range(options.at_most) if options.input is None else [options.input]
    for number in numbers:
        if time.monotonic() > end:
            break
        act = maker.make(random.Random(f"{options.seed}-{kind.name}-{number}"))
        faulthandler.dump_traceback_later(6 * SECONDS, exit=True)  # what no signal can end
        verdict, accepted, said = judge(act)
        faulthandler.cancel_dump_traceback_later()
        tally.counts[verdict] += 1
        tally.accepted += accepted
        if said:
            where = f"--seed {options.seed} --kind '{kind.name}' --input {number}"
            print(f"{verdict}: {where}\n{said}\n", flush=True)
    return tally


def table(tallies):
    rows = [
        (name, t.total, t.accepted, *(t.counts[v] for v in VERDICTS)) for name, t in tallies.items()
    ]
    rows.append(("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    heads = ("kind", "inputs", "accepted", *VERDICTS)
    lines = [heads, ("---", *["---:"] * (len(heads) - 1)), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


if __name__ == "__main__":
    main()
