"""The tables of an evaluation: what stands in which cell, once for every way to show it, and as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from utils.command import format_table
from utils.evaluation.differences import BEATS, NOT_SHOWN, WORSE, Difference, chief_differences
from utils.evaluation.notes import NoteKind, joined
from utils.evaluation.results import ALL_TASKS, Result
from utils.evaluation.variants import Kind
from utils.metrics.table import METRICS, Metric, Needs, metrics_that_need
from utils.prediction.embedding import TRAINED

END_IS_TOLD = "Offline progress is told where the video or action ends; only online figures show learning."
HOW_IT_DIFFERS = (
    "Differences are paired by video; one that is shown has a 95 % interval without 0. The best naive guess is the one "
    "that is best on these very videos, which makes it stronger than one chosen beforehand."
)
PROGRESS, EMBEDDING, BESIDE = "progress error", "embedding", "other definitions"
_VERBS = {BEATS: "beats", NOT_SHOWN: "is not shown to beat", WORSE: "is worse than"}


@dataclass(frozen=True)
class Table:
    """Figures by metric and variant.

    Attributes:
        name: what the figures are of.
        rows, columns: metrics one way, variants, which are names, the other.
        cells: a row of figures a row; None where there is none.
        differences: a sentence for each figure of the trained network: what it beats, and by how much.
        spreads: by variant that is a mean over seeds, from where to where each metric goes.
    """

    name: str
    rows: Sequence[Metric | str]
    columns: Sequence[Metric | str]
    cells: Sequence[Sequence[Result | None]]
    differences: Sequence[str] = ()
    spreads: Sequence[str] = ()


@dataclass(frozen=True)
class TaskTables:
    """All figures of one task, or of the mean of tasks.

    Attributes:
        task: its name, or ALL_TASKS.
        headline: whether the trained network beats what it competes with in online progress; '' if it isn't known.
        tables: progress errors by estimator, the metrics of the embedding, and what other definitions of the same
            give; none that is empty.
        end_is_told: whether a figure is of progress that knows the end.
        notes: the names of the metrics that a note is about, by what it says.
    """

    task: str
    headline: str
    tables: Sequence[Table]
    end_is_told: bool
    notes: Mapping[str, Sequence[str]]


def task_tables(
    results: Sequence[Result], task: str = ALL_TASKS, metrics: Mapping[str, Metric] = METRICS
) -> TaskTables:
    """What the tables of a task hold; a figure without a value is explained by a note."""
    figures = {(metrics[r.metric], r.variant): r for r in results if r.task == task}
    tables = []
    for name in (PROGRESS, EMBEDDING, BESIDE):
        chosen = {key: figure for key, figure in figures.items() if _table_of(key[0]) == name}
        of, variants = (list(dict.fromkeys(key[k] for key in chosen)) for k in (0, 1))
        variants_first = name == PROGRESS
        rows, columns = (variants, of) if variants_first else (of, variants)
        cells = [[chosen.get((column, row) if variants_first else (row, column)) for column in columns] for row in rows]
        if chosen:
            tables.append(Table(name, rows, columns, cells, _differences(chosen, figures), _spreads(chosen)))
    notes: dict[str, list[str]] = {}
    for (metric, _), result in figures.items():
        apart = (NoteKind.KNOWS_THE_END, NoteKind.OVER_SEEDS)
        said = joined(tuple(note for note in result.notes if note.kind not in apart))
        if said and metric.name not in notes.setdefault(said, []):
            notes[said].append(metric.name)
    return TaskTables(
        task, headline(results, task, metrics), tables, any(metric.needs.knows_the_end for metric, _ in figures), notes
    )


def _table_of(metric: Metric) -> str:
    if metric.beside:
        return BESIDE
    return PROGRESS if metric.needs.is_progress else EMBEDDING


def headline(results: Sequence[Result], task: str = ALL_TASKS, metrics: Mapping[str, Metric] = METRICS) -> str:
    """'Online progress over the video: the trained network beats ..., is not shown to beat ..., is worse than ...'; ''
    without such a figure or anything to hold it against."""
    for metric in metrics_that_need(Needs.VIDEO_ONLINE, metrics):
        for result in results:
            if (result.metric, result.variant, result.task) == (metric.name, TRAINED, task):
                chief = chief_differences(metric, result.differences)
                whom = {
                    verdict: [_named(d) for d in chief if d.verdict == verdict] for verdict in (BEATS, NOT_SHOWN, WORSE)
                }
                parts = [f"{_VERBS[verdict]} {' and '.join(names)}" for verdict, names in whom.items() if names]
                if parts:
                    return f"{metric.needs.value.capitalize()} ({task}): the {TRAINED} {'; '.join(parts)}."
    return ""


def _named(difference: Difference) -> str:
    if difference.kind is Kind.NAIVE:
        return f"the best naive guess ({difference.against})"
    return difference.against if difference.kind is Kind.RAW else f"the {difference.against}"


def _differences(
    chosen: Mapping[tuple[Metric, str], Result], figures: Mapping[tuple[Metric, str], Result]
) -> list[str]:
    """'KT: trained network .711 beats the clock (.650): difference .061 [.020, .102]; is not shown to beat ...'"""
    sentences = []
    for (metric, variant), result in chosen.items():
        parts = []
        for difference in chief_differences(metric, result.differences):
            other = figures.get((metric, difference.against))
            mean = "" if other is None or other.mean is None else f" ({other.mean:.3f})"
            interval = (
                "no interval" if difference.low is None else f"[{difference.low:+.3f}, {difference.high:+.3f}]"
            )
            parts.append(
                f"{_VERBS[difference.verdict]} {difference.against}{mean}: difference {difference.mean:+.3f} {interval}"
            )
        if parts:
            sentences.append(f"{metric.title}: {variant} {result.mean:.3f} {'; '.join(parts)}")
    return sentences


def _spreads(chosen: Mapping[tuple[Metric, str], Result]) -> list[str]:
    """'untrained network: mean of 5 networks of different seeds, from least to largest: KT .561 to .602, ...'"""
    parts: dict[tuple[str, int], list[str]] = {}
    for (metric, variant), result in chosen.items():
        if result.runs:
            spread = f"{metric.title} {min(result.runs):.3f} to {max(result.runs):.3f}"
            parts.setdefault((variant, len(result.runs)), []).append(spread)
    return [
        f"{variant}: mean of {number} networks of different seeds, from least to largest: {'; '.join(of_metrics)}"
        for (variant, number), of_metrics in parts.items()
    ]


def format_figure(result: Result | None) -> str:
    """'0.123 [0.101, 0.145]', or a dash where there is no figure."""
    if result is None or result.mean is None:
        return "-"
    interval = "" if result.low is None else f" [{result.low:.3f}, {result.high:.3f}]"
    return f"{result.mean:.3f}{interval}"


def results_table(
    results: Sequence[Result], task: str = ALL_TASKS, metrics: Mapping[str, Metric] = METRICS
) -> str:
    """`task_tables` as plain text."""
    found = task_tables(results, task, metrics)
    parts = [found.headline] if found.headline else []
    for table in found.tables:
        heads, first = ([h.title if isinstance(h, Metric) else h for h in line] for line in (table.columns, table.rows))
        rows = [[head, *map(format_figure, cells)] for head, cells in zip(first, table.cells, strict=True)]
        parts.append(format_table([f"{table.name} ({task})", *heads], rows))
        if table.differences or table.spreads:
            parts.append("\n".join(f"  {said}" for said in (*table.differences, *table.spreads)))
    said = [END_IS_TOLD] if found.end_is_told else []
    said += [HOW_IT_DIFFERS] if any(table.differences for table in found.tables) else []
    said += [f"{', '.join(names)}: {note}" for note, names in found.notes.items()]
    return "\n\n".join([*parts, "\n".join(said)] if said else parts)
