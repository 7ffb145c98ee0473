"""Figures of an evaluation: per task, over tasks, with intervals; as files and as one table."""

from __future__ import annotations

import json
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
METRICS = "metrics.json"
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

    @property
    def note_beside_the_end(self) -> str:
        """The note without that the end is known, which a table says once for all."""
        return "; ".join(part for part in self.note.split("; ") if part != KNOWS_THE_END)

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
    Tasks without a figure are left out and named. What is said of every task is said of the mean, and so is what
    was left out of one.
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
        notes += _notes_of_tasks(having)
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


def _notes_of_tasks(results: Sequence[Result]) -> list[str]:
    """What a reader of the mean must know of its tasks, but for missing intervals, of which the mean speaks itself."""
    notes = {
        r.task: [part for part in r.note.split("; ") if part and not part.startswith("no interval")] for r in results
    }
    said = dict.fromkeys(part for parts in notes.values() for part in parts)
    of_all = [p for p in said if p.startswith("lone") or all(p in parts for parts in notes.values())]
    left_out = [f"{task}: {p}" for task, parts in notes.items() for p in parts if "left out" in p and p not in of_all]
    return [*of_all, *left_out]


def save_results(folder: Path, results: Sequence[Result], description: Mapping[str, Any]) -> None:
    """Write one CSV a metric and `metrics.json` with every figure and the figures per video.

    What an earlier evaluation left in the folder and this one doesn't have is removed, lest its figures be taken
    for this one's.

    Args:
        folder: where to write.
        results: figures per task and over tasks.
        description: what was evaluated: checkpoint, split, tasks and the like, plain values; the files that lie
            in the folder besides are its `pictures`.
    """
    content = {**description, "results": [{**r.as_row(), "values": dict(r.values)} for r in results]}
    earlier = _files_of(folder)
    for metric in dict.fromkeys(r.metric for r in results):
        write_csv(folder / f"{metric}.csv", [r.as_row() for r in results if r.metric == metric], COLUMNS)
    write_json(folder / METRICS, content)
    for name in earlier - _files_of(folder):
        (folder / name).unlink(missing_ok=True)


def _files_of(folder: Path) -> set[str]:
    """The files that the `metrics.json` of a folder speaks of; none if it can't be read."""
    try:
        content = json.loads((folder / METRICS).read_text(encoding="utf-8"))
        pictures = [picture["file"] for picture in content.get("pictures", [])]
        names = {*pictures, *(f"{row['metric']}.csv" for row in content["results"])}
        return {name for name in names if Path(name).name == name}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def read_results(description: Mapping[str, Any]) -> list[Result]:
    """The figures of a `metrics.json` that has been read; without replicates."""
    return [Result(**row) for row in description["results"]]
