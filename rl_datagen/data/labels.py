"""Labels of an episode: what is exactly known of each env step, beside what was recorded."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int32

from rl_datagen.core.errors import DatasetError
from rl_datagen.data.schema import LABELS_SCHEMA, PREDICATES_KEY

Cause = Literal["missed_grasp", "dropped", "wrong_object", "timeout"]
"""Why an episode did not reach the goal; see ``rl_datagen.labels.failure``."""
CAUSES: tuple[Cause, ...] = get_args(Cause)


@dataclass(frozen=True, eq=False)
class EpisodeLabels:
    """Labels of an episode; row ``t`` is of the state before action ``t``.

    Attributes:
        episode_id: As in the steps file.
        statements: The goal's, such as ``"on akita_black_bowl_1 plate_1"``.
        predicates: Whether each of them holds.
        subtask: A sentence for each env step, such as "pick up the cream cheese".
        subtask_index: Number of the subtask in its episode, from 0.
        held: Name of the object or moving part in the hand; empty: none.
        contact_objects: Names of what the hand touches.
        contact_forces: For each of those the sum of the sizes of its contacts' forces, N.
        next_predicate: Number of the statement that is worked on; -1: all hold.
        goal_distance: How far it is to that one: m, or rad of a hinge; 0: all hold.
        progress: How much of the episode's subtasks is done, in [0, 1]; never falls.
        failure: Why the goal was not reached; None: it was.
    """

    episode_id: str
    statements: tuple[str, ...]
    predicates: Bool[np.ndarray, "T P"]
    subtask: Sequence[str]
    subtask_index: Int32[np.ndarray, " T"]
    held: Sequence[str]
    contact_objects: Sequence[Sequence[str]]
    contact_forces: Sequence[Sequence[float]]
    next_predicate: Int32[np.ndarray, " T"]
    goal_distance: Float32[np.ndarray, " T"]
    progress: Float32[np.ndarray, " T"]
    failure: Cause | None = None

    def __len__(self) -> int:
        return len(self.progress)


def labels_schema(statements: Sequence[str]) -> pa.Schema:
    """Returns the schema of a file of labels; its metadata say which predicates are in it."""
    metadata = {**LABELS_SCHEMA.metadata, PREDICATES_KEY: json.dumps(list(statements))}
    return LABELS_SCHEMA.with_metadata(metadata)


def labels_table(labels: EpisodeLabels) -> pa.Table:
    """Returns an episode's rows of a file of labels, one per env step."""
    length = len(labels)
    columns: dict[str, Any] = {
        "episode_id": [labels.episode_id] * length,
        "step": np.arange(length, dtype=np.int32),
        "predicates": labels.predicates.tolist(),
        "failure": [labels.failure] * length,
    }
    arrays = [
        pa.array(columns.get(field.name, getattr(labels, field.name, None)), field.type)
        for field in LABELS_SCHEMA
    ]
    return pa.table(arrays, schema=labels_schema(labels.statements))


def decode_labels(table: pa.Table) -> EpisodeLabels:
    """Returns the episode whose rows of a file of labels these are.

    Raises:
        DatasetError: The file does not say which predicates it has.
    """
    lists = ("subtask", "held", "contact_objects", "contact_forces")
    arrays = ("subtask_index", "next_predicate", "goal_distance", "progress")
    statements = statements_of(table.schema)
    predicates = np.array(table["predicates"].to_pylist(), bool).reshape(-1, len(statements))
    return EpisodeLabels(
        episode_id=table["episode_id"][0].as_py(),
        statements=statements,
        predicates=predicates,
        failure=table["failure"][0].as_py(),
        **{name: table[name].to_pylist() for name in lists},
        **{name: table[name].to_numpy().copy() for name in arrays},
    )


def statements_of(schema: pa.Schema) -> tuple[str, ...]:
    """Returns the goal's statements in the order of a labels file's ``predicates``.

    Raises:
        DatasetError: The file does not say.
    """
    text = (schema.metadata or {}).get(PREDICATES_KEY.encode(), b"")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise DatasetError(
            f"A file of labels does not say under {PREDICATES_KEY} which predicates it has. Delete "
            "the dataset's labels and make them again with `rl-datagen dataset label`."
        )
    return tuple(found)
