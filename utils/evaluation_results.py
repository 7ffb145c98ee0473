"""Figures of an evaluation: per task, over tasks, with intervals; as files and as one table."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from utils.files import write_csv, write_json
from utils.metrics.bootstrap import FEWEST_VIDEOS, percentile_interval, resample_counts, resampled_means

ALL_TASKS = "mean of tasks"
KNOWS_THE_END = "knows the end"
COLUMNS = ("metric", "variant", "task", "mean", "low", "high", "number_of_videos", "note")


@dataclass(frozen=True)
class Result:
    """One figure: a metric of one variant (trained network, clock, ...) on one task or on the mean of tasks.

    Attributes:
        metric: name of the metric, which is also the name of its CSV file.
        variant: what was measured.
        task: name of the task, or ALL_TASKS.
        mean: mean over videos, or over tasks; None if there is none, and then `note` says why.
        low, high: 95 % bootstrap interval; None if there is none.
        number_of_videos: videos that have a value.
        note: what a reader must know.
        values: the figure of each video, by handle; empty for ALL_TASKS.
        replicates: (resamples,) the bootstrapped means, from which the interval over tasks is made.
    """

    metric: str
    variant: str
    task: str
    mean: float | None
    low: float | None
    high: float | None
    number_of_videos: int
    note: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    replicates: np.ndarray | None = field(default=None, repr=False, compare=False)

    def as_row(self) -> dict[str, Any]:
        """The line of a CSV file."""
        return {column: getattr(self, column) for column in COLUMNS}


def task_counts(task: str, number_of_videos: int, seed: int = 0) -> np.ndarray:
    """Bootstrap draws of a task: the same for every metric, variant and run, so that differences pair."""
    generator = torch.Generator().manual_seed(zlib.crc32(task.encode()) ^ seed)
    return resample_counts(number_of_videos, generator=generator)


def summarise(
    metric: str,
    variant: str,
    task: str,
    handles: Sequence[str],
    values: np.ndarray,
    counts: np.ndarray | None,
    missing: str,
    note: str = "",
) -> Result:
    """Mean, interval and figures per video.

    Args:
        metric, variant, task: see `Result`.
        handles: names of the n test videos.
        values: (n,) a figure per video, or (n, n) per ordered pair; NaN where there is none.
        counts: (B, n) bootstrap draws; None to make no interval.
        missing: what to say if there is no figure, or about the videos that have none.
        note: anything else to say.
    """
    per_video = values
    if values.ndim == 2:
        off_diagonal = np.where(np.eye(len(values), dtype=bool), np.nan, values)
        exists = ~np.isnan(off_diagonal)
        with_value = exists.any(axis=1)
        total = np.where(exists, off_diagonal, 0.0).sum(axis=1)
        per_video = np.where(with_value, total / np.maximum(exists.sum(axis=1), 1), np.nan)
        # The mean over pairs, which the mean over videos is not if some pairs have no figure.
        mean = float(off_diagonal[exists].mean()) if exists.any() else None
    else:
        mean = float(np.nanmean(values)) if (~np.isnan(values)).any() else None
    by_handle = {h: float(x) for h, x in zip(handles, per_video, strict=True) if not math.isnan(x)}
    notes = [note] if note else []
    if mean is None:
        return Result(metric, variant, task, None, None, None, 0, "; ".join([missing, *notes]))
    if len(by_handle) < len(handles):
        notes.append(f"{len(handles) - len(by_handle)} of {len(handles)} videos left out: {missing}")
    low = high = replicates = None
    if counts is not None and len(by_handle) >= FEWEST_VIDEOS:
        replicates = resampled_means(values, counts)
        low, high = percentile_interval(replicates)
    else:
        notes.append(f"no interval: it needs {FEWEST_VIDEOS} videos")
    return Result(
        metric, variant, task, mean, low, high, len(by_handle), "; ".join(notes), by_handle, replicates
    )


def mean_over_tasks(results: Sequence[Result], seed: int = 0) -> list[Result]:
    """The mean of the tasks' figures, for every metric and variant, with an interval.

    The interval is over videos within each task if every task has one; else over tasks, if there are enough.
    Tasks without a figure are left out and named.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.metric, result.variant), []).append(result)
    means = []
    for (metric, variant), group in groups.items():
        having = [r for r in group if r.mean is not None]
        without = [r.task for r in group if r.mean is None]
        notes = [f"without {', '.join(without)}"] if without else []
        if not having:
            reasons = "; ".join(dict.fromkeys(r.note for r in group))
            means.append(Result(metric, variant, ALL_TASKS, None, None, None, 0, reasons))
            continue
        values = np.array([r.mean for r in having])
        low = high = None
        if all(r.replicates is not None for r in having):
            low, high = percentile_interval(np.mean([r.replicates for r in having], axis=0))
        elif len(having) >= FEWEST_VIDEOS:
            counts = task_counts(ALL_TASKS, len(having), seed)
            low, high = percentile_interval(resampled_means(values, counts))
            notes.append("interval over tasks")
        else:
            notes.append(f"no interval: it needs {FEWEST_VIDEOS} videos a task or {FEWEST_VIDEOS} tasks")
        notes += dict.fromkeys(r.note.split(";")[0] for r in having if r.note.startswith("lone"))
        means.append(
            Result(
                metric,
                variant,
                ALL_TASKS,
                float(values.mean()),
                low,
                high,
                sum(r.number_of_videos for r in having),
                "; ".join(notes),
            )
        )
    return means


def save_results(folder: Path, results: Sequence[Result], description: Mapping[str, Any]) -> None:
    """Write one CSV a metric and `metrics.json` with every figure and the figures per video.

    Args:
        folder: where to write.
        results: figures per task and over tasks.
        description: what was evaluated: checkpoint, split, tasks and the like, plain values.
    """
    for metric in dict.fromkeys(r.metric for r in results):
        write_csv(folder / f"{metric}.csv", [r.as_row() for r in results if r.metric == metric], COLUMNS)
    write_json(
        folder / "metrics.json",
        {**description, "results": [{**r.as_row(), "values": dict(r.values)} for r in results]},
    )


def read_results(description: Mapping[str, Any]) -> list[Result]:
    """The figures of a `metrics.json` that has been read; without replicates."""
    return [Result(**row) for row in description["results"]]


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
        if r.note and r.note != KNOWS_THE_END:  # the sentence below says that for all
            notes.setdefault(r.note, []).append(r.metric)
    parts.append(
        "\n".join(
            [
                "Offline progress is told where the video or action ends; only online figures show learning.",
                *(f"{', '.join(dict.fromkeys(metrics))}: {note}" for note, metrics in notes.items()),
            ]
        )
    )
    return "\n\n".join(parts)
