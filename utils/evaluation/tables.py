"""Figures of an evaluation as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from utils.evaluation.results import ALL_TASKS, Result


def format_figure(result: Result | None) -> str:
    """'0.123 [0.101, 0.145]', or a dash where there is no figure."""
    if result is None or result.mean is None:
        return "-"
    interval = "" if result.low is None else f" [{result.low:.3f}, {result.high:.3f}]"
    return f"{result.mean:.3f}{interval}"


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text table: the first column to the left, the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    texts = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([texts[0], "-" * len(texts[0]), *texts[1:]])


def results_table(results: Sequence[Result], task: str = ALL_TASKS) -> str:
    """Figures of one task, or of the mean of tasks: progress errors by estimator, then the embedding's.

    Every figure without a value is listed below the table with the reason.
    """
    chosen = {(r.metric, r.variant): r for r in results if r.task == task}
    parts = []
    for progress in (True, False):
        metrics = list(dict.fromkeys(m for m, _ in chosen if m.startswith("OPE") == progress))
        variants = list(dict.fromkeys(v for m, v in chosen if m in metrics))
        if progress:
            rows = [[v, *(format_figure(chosen.get((m, v))) for m in metrics)] for v in variants]
            names = [metric.removeprefix("OPE_").replace("_", ", ") for metric in metrics]
            header = [f"progress error ({task})", *names]
        else:
            rows = [[m, *(format_figure(chosen.get((m, v))) for v in variants)] for m in metrics]
            header = [f"embedding ({task})", *variants]
        parts.append(format_table(header, rows))
    notes: dict[str, list[str]] = {}
    for r in chosen.values():
        if r.note_beside_the_end:
            notes.setdefault(r.note_beside_the_end, []).append(r.metric)
    parts.append(
        "\n".join(
            [
                "Offline progress is told where the video or action ends; only online figures show learning.",
                *(f"{', '.join(dict.fromkeys(metrics))}: {note}" for note, metrics in notes.items()),
            ]
        )
    )
    return "\n\n".join(parts)
