"""Finds faults in labels: rows that are not those of the steps, values that cannot be."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from rl_datagen.core.errors import quoted
from rl_datagen.data.labels import CAUSES, EpisodeLabels, decode_labels, statements_of
from rl_datagen.data.rules import wrong_numbers

_RANGES = {
    "subtask_index": (0, 1_000_000),
    "next_predicate": (-1, 1_000),
    "goal_distance": (0, 1e6),
    "progress": (0, 1),
    "contact_forces": (0, 1e9),
}
_TEXTS = ("subtask", "held")


def wrong_labels(table: pa.Table, row: Mapping[str, Any]) -> Iterator[str]:
    """Yields what is wrong with an episode's labels.

    Args:
        table: Its rows of a file of labels, one for each of its env steps.
        row: Its row of the episodes table.

    Raises:
        DatasetError: The file does not say which predicates it has.
    """
    for name in (*_TEXTS, "predicates", "contact_objects", "contact_forces"):
        if table[name].null_count:
            yield f"has no {name} at an env step"
            return
    numbers = [f"{text} at env step {step}" for step, text in wrong_numbers(table, _RANGES)]
    yield from numbers
    widths = table["predicates"].combine_chunks().value_lengths().unique().to_pylist()
    if widths != [len(statements_of(table.schema))]:
        yield f"has {quoted(widths)} predicates, and {len(statements_of(table.schema))} are named"
        return
    failures = table["failure"].unique().to_pylist()
    if len(failures) > 1 or failures[0] not in (None, *CAUSES):
        allowed = f"one of {', '.join(CAUSES)}, or null, is allowed"
        yield f"has the failures {quoted(failures)}: {allowed}"
    elif (failures[0] is None) != bool(row["success"]):
        yield f"has the failure {quoted(failures[0])} and success={bool(row['success'])}"
    elif not numbers:
        yield from _wrong_values(decode_labels(table))


def _wrong_values(labels: EpisodeLabels) -> Iterator[str]:
    following, predicates = labels.next_predicate, labels.predicates
    holds, count = predicates.all(1), predicates.shape[1]
    beyond = following >= count
    named = predicates[np.arange(len(labels)), np.where(beyond, 0, np.maximum(following, 0))]
    touched = zip(labels.held, labels.contact_objects, strict=True)
    rules = {
        "a next_predicate that is not one that does not hold": beyond
        | ((following < 0) != holds)
        | (~holds & named),
        "a subtask_index that does not count from 0": ~np.isin(
            np.diff(labels.subtask_index, prepend=0), (0, 1)
        ),
        "a progress that falls": np.diff(labels.progress, prepend=0) < 0,
        "contact_objects and contact_forces of two lengths": np.array(
            [*map(len, labels.contact_objects)]
        )
        != [*map(len, labels.contact_forces)],
        "held what the hand does not touch": np.array(
            [bool(held) and held not in names for held, names in touched]
        ),
    }
    for what, wrong in rules.items():
        if wrong.any():
            yield f"has {what} at env step {int(wrong.argmax())}"
