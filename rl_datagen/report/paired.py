"""Whether two sources differ, on the init states that VLAs of both were evaluated from.

Episodes from the same init state are pairs: what makes one hard makes the other hard too, so that
pairs tell sources apart where two intervals overlap.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from scipy.stats import binomtest

from rl_datagen.data.results import EvaluatedEpisode
from rl_datagen.tasks import get_task

ALL = "all"
"""Column of the pairs of all suites."""


@dataclass(frozen=True)
class Pair:
    """Two sources beside each other.

    Attributes:
        column: Suite, or ``ALL``.
        first: One source.
        second: The other.
        num_pairs: Init states that both were evaluated from.
        num_only_first: Of them, those where only the first's VLA reached the goal.
        num_only_second: Those where only the second's did.
        p_value: McNemar's exact test (1947): how likely so uneven a split of these two numbers or a
            more uneven one is, if each of these init states might as well have been the other's.
    """

    column: str
    first: str
    second: str
    num_pairs: int
    num_only_first: int
    num_only_second: int
    p_value: float

    @property
    def difference(self) -> float:
        """Success rate of the second less that of the first, over the pairs."""
        return (self.num_only_second - self.num_only_first) / self.num_pairs


def compare_pairs(
    rows: Mapping[str, Sequence[EvaluatedEpisode]], suites: Sequence[str]
) -> Iterator[Pair]:
    """Yields every two sources of a table, suite by suite and over all of them.

    Args:
        rows: Evaluated episodes of each source, of these suites.
        suites: The table's columns.
    """
    outcomes = {source: _outcomes(episodes) for source, episodes in rows.items()}
    for first, second in combinations(outcomes, 2):
        both = outcomes[first].keys() & outcomes[second].keys()
        of_suite: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        for key in both:
            of_suite[get_task(key[0]).suite].append(key)
        for suite in suites:
            if suite in of_suite:
                yield _pair(suite, first, second, of_suite[suite], outcomes)
        if len(of_suite) > 1:
            yield _pair(ALL, first, second, both, outcomes)


_Outcomes = dict[tuple[str, int], bool]


def _outcomes(episodes: Sequence[EvaluatedEpisode]) -> _Outcomes:
    return {(each.task, each.init_state_index): each.success for each in episodes}


def _pair(
    column: str,
    first: str,
    second: str,
    keys: Collection[tuple[str, int]],
    outcomes: Mapping[str, _Outcomes],
) -> Pair:
    ours, theirs = outcomes[first], outcomes[second]
    only_first = sum(ours[key] and not theirs[key] for key in keys)
    only_second = sum(theirs[key] and not ours[key] for key in keys)
    uneven = only_first + only_second
    p_value = float(binomtest(only_first, uneven).pvalue) if uneven else 1.0
    return Pair(column, first, second, len(keys), only_first, only_second, p_value)
