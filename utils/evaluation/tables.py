"""The tables of an evaluation: what stands in which cell, once for every way to show it, and as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from utils.evaluation.notes import NoteKind, joined
from utils.evaluation.results import ALL_TASKS, Result
from utils.metrics.table import METRICS, Metric
from utils.text_table import format_table

END_IS_TOLD = "Offline progress is told where the video or action ends; only online figures show learning."


@dataclass(frozen=True)
class Table:
    """Figures by metric and variant.

    Attributes:
        name: what the figures are of.
        rows, columns: metrics one way, variants, which are names, the other.
        cells: a row of figures a row; None where there is none.
    """

    name: str
    rows: Sequence[Metric | str]
    columns: Sequence[Metric | str]
    cells: Sequence[Sequence[Result | None]]


@dataclass(frozen=True)
class TaskTables:
    """All figures of one task, or of the mean of tasks.

    Attributes:
        task: its name, or ALL_TASKS.
        tables: progress errors by estimator, then the metrics of the embedding; none that is empty.
        end_is_told: whether a figure is of progress that knows the end.
        notes: the names of the metrics that a note is about, by what it says.
    """

    task: str
    tables: Sequence[Table]
    end_is_told: bool
    notes: Mapping[str, Sequence[str]]


def task_tables(
    results: Sequence[Result], task: str = ALL_TASKS, metrics: Mapping[str, Metric] = METRICS
) -> TaskTables:
    """What the tables of a task hold; a figure without a value is explained by a note."""
    figures = {(metrics[r.metric], r.variant): r for r in results if r.task == task}
    tables = []
    for is_progress in (True, False):
        chosen = [key for key in figures if key[0].needs.is_progress == is_progress]
        of, variants = (list(dict.fromkeys(key[k] for key in chosen)) for k in (0, 1))
        rows, columns = (variants, of) if is_progress else (of, variants)
        cells = [
            [figures.get((column, row) if is_progress else (row, column)) for column in columns] for row in rows
        ]
        if chosen:
            tables.append(Table("progress error" if is_progress else "embedding", rows, columns, cells))
    notes: dict[str, list[str]] = {}
    for (metric, _), result in figures.items():
        said = joined(tuple(note for note in result.notes if note.kind is not NoteKind.KNOWS_THE_END))
        if said and metric.name not in notes.setdefault(said, []):
            notes[said].append(metric.name)
    return TaskTables(task, tables, any(metric.needs.knows_the_end for metric, _ in figures), notes)


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
    parts = []
    for table in found.tables:
        heads, first = ([h.title if isinstance(h, Metric) else h for h in line] for line in (table.columns, table.rows))
        rows = [[head, *map(format_figure, cells)] for head, cells in zip(first, table.cells, strict=True)]
        parts.append(format_table([f"{table.name} ({task})", *heads], rows))
    said = [END_IS_TOLD] if found.end_is_told else []
    said += [f"{', '.join(names)}: {note}" for note, names in found.notes.items()]
    return "\n\n".join([*parts, "\n".join(said)] if said else parts)
