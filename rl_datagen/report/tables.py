"""Tables I and II: success of VLAs by what they learnt from, beside the paper's numbers.

Table I: tasks that the VLA was trained on. Table II: trained on LIBERO-90 only, zero-shot on the
tasks of other suites. A third table has the perturbed tasks, which the paper does not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_datagen.config import EvaluateConfig
from rl_datagen.core.errors import UserError
from rl_datagen.core.yaml_text import parse_yaml
from rl_datagen.data.results import RESULTS, EvaluatedEpisode, read_results, summarise
from rl_datagen.data.schema import appearance_of_settings
from rl_datagen.report.paired import Pair, compare_pairs
from rl_datagen.report.published import MEAN, TABLE_I, TABLE_II
from rl_datagen.tasks import get_task, select_present, select_tasks
from rl_datagen.vla.folder import DATA, check_comparable


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
        num_learnt: Of these tasks, those that the VLA was trained on.
    """

    rate: float
    low: float
    high: float
    num_successes: int
    num_episodes: int
    num_tasks: int
    num_learnt: int


@dataclass(frozen=True)
class Table:
    """One of the tables.

    Attributes:
        number: ``"I"``, ``"II"``, or ``"P"``, perturbed tasks.
        title: What it shows.
        columns: Suites, then ``MEAN`` where the paper has it.
        rows: Our cells by what the VLA learnt from and column; None where not run.
        paper: The paper's rates in percent, likewise.
        pairs: Our rows beside each other.
    """

    number: str
    title: str
    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Cell | None]]
    paper: Mapping[str, Mapping[str, float]]
    pairs: tuple[Pair, ...]


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


def make_tables(folders: Sequence[Path]) -> tuple[Table, ...]:
    """Returns Tables I and II of some evaluations, and Table P if they have perturbed tasks.

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
    tables = [
        _table("I", "in-distribution", seen, TABLE_I),
        _table("II", "trained on LIBERO-90 only, zero-shot", unseen, TABLE_II),
    ]
    everything = [(e, list(e.episodes)) for e in evaluated]
    run = {x.task for e in evaluated for x in e.episodes}
    perturbed = (task for task in select_present("all", run) if task.base)
    if suites := tuple(dict.fromkeys(task.suite for task in perturbed)):
        tables.append(_table("P", "perturbed tasks", everything, {}, suites))
    return tuple(tables)


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
    columns: Sequence[str] = (),
) -> Table:
    columns = tuple(columns or paper["human"])
    rows: dict[str, list[EvaluatedEpisode]] = {source: [] for source in paper}
    learnt: dict[str, frozenset[str]] = {}
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
        learnt[evaluated.source] = learnt.get(evaluated.source, frozenset()) | evaluated.trained_on
    cells = {
        source: _cells(episodes, columns, confidence, learnt.get(source, frozenset()))
        for source, episodes in rows.items()
    }
    return Table(number, title, columns, cells, paper, tuple(compare_pairs(rows, columns)))


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
    episodes: Sequence[EvaluatedEpisode],
    columns: Sequence[str],
    confidence: float,
    learnt: frozenset[str],
) -> dict[str, Cell | None]:
    cells: dict[str, Cell | None] = {}
    for suite in (column for column in columns if column != MEAN):
        chosen = [episode for episode in episodes if get_task(episode.task).suite == suite]
        cells[suite] = _cell(chosen, confidence, learnt) if chosen else None
    return cells | ({MEAN: _mean(list(cells.values()))} if MEAN in columns else {})


def _cell(episodes: Sequence[EvaluatedEpisode], confidence: float, learnt: frozenset[str]) -> Cell:
    found, tasks = summarise(episodes, confidence), {episode.task for episode in episodes}
    return Cell(
        found.success_rate,
        found.success_ci_low,
        found.success_ci_high,
        found.num_successes,
        found.num_episodes,
        len(tasks),
        len(tasks & learnt),
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
        sum(cell.num_learnt for cell in run),
    )
