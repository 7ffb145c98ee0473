"""Figures of an evaluation: per task, over tasks, with intervals; as files."""

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

from utils.errors import DataError
from utils.evaluation.notes import Note, NoteKind, joined, read_joined
from utils.files import write_csv, write_json
from utils.metrics.bootstrap import FEWEST_VIDEOS, percentile_interval, resample_counts, resampled_means
from utils.metrics.table import METRICS, Metric

ALL_TASKS = "mean of tasks"
CLOCK = "clock"
METRICS_FILE = "metrics.json"
COLUMNS = ("metric", "variant", "task", "mean", "low", "high", "number_of_videos", "note")


@dataclass(frozen=True)
class Measured:
    """What a metric found of one variant on one task, before anything is averaged.

    Attributes:
        metric: the metric.
        variant: what was measured.
        values: (n,) a figure per test video, or (n, n) per ordered pair of them; NaN where there is none.
        notes: what a reader must know.
        missing: why a video has no figure, if not for the metric's own reason.
    """

    metric: Metric
    variant: str
    values: np.ndarray
    notes: tuple[Note, ...] = ()
    missing: str = ""


@dataclass(frozen=True)
class Result:
    """One figure: a metric of one variant (trained network, clock, ...) on one task or on the mean of tasks.

    Attributes:
        metric: name of the metric, which is also the name of its CSV file.
        variant: what was measured.
        task: name of the task, or ALL_TASKS.
        mean: mean over videos, or over tasks; None if there is none, and then `notes` say why.
        low, high: 95 % bootstrap interval; None if there is none.
        number_of_videos: videos that have a value.
        notes: what a reader must know.
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
    notes: tuple[Note, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    replicates: np.ndarray | None = field(default=None, repr=False, compare=False)

    @property
    def note(self) -> str:
        """All notes, as text."""
        return joined(self.notes)

    def as_row(self) -> dict[str, Any]:
        """The line of a CSV file."""
        return {column: getattr(self, column) for column in COLUMNS}


def task_counts(task: str, number_of_videos: int, seed: int = 0) -> np.ndarray:
    """Bootstrap draws of a task: the same for every metric, variant and run, so that differences pair."""
    generator = torch.Generator().manual_seed(zlib.crc32(task.encode()) ^ seed)
    return resample_counts(number_of_videos, generator=generator)


def summarise(measured: Measured, task: str, handles: Sequence[str], counts: np.ndarray | None) -> Result:
    """Mean, interval and figures per video.

    Args:
        measured: what was found.
        task: name of the task.
        handles: names of the n test videos.
        counts: (B, n) bootstrap draws; None to make no interval.
    """
    values, notes = measured.values, list(measured.notes)
    missing = measured.missing or measured.metric.missing
    per_video = values
    if values.ndim == 2:
        # The mean over pairs, which the mean over videos is not if some pairs have no figure.
        values = np.where(np.eye(len(values), dtype=bool), np.nan, values)
        exists = ~np.isnan(values)
        total = np.where(exists, values, 0.0).sum(axis=1)
        per_video = np.where(exists.any(axis=1), total / np.maximum(exists.sum(axis=1), 1), np.nan)
    named = (measured.metric.name, measured.variant, task)
    existing = values[~np.isnan(values)]
    if not len(existing):
        return Result(*named, None, None, None, 0, (Note(NoteKind.NO_FIGURE, missing), *notes))
    by_handle = {h: float(x) for h, x in zip(handles, per_video, strict=True) if not math.isnan(x)}
    if len(by_handle) < len(handles):
        text = f"{len(handles) - len(by_handle)} of {len(handles)} videos left out: {missing}"
        notes.append(Note(NoteKind.LEFT_OUT, text))
    low = high = replicates = None
    if counts is not None and len(by_handle) >= FEWEST_VIDEOS:
        replicates = resampled_means(values, counts)
        low, high = percentile_interval(replicates)
    else:
        notes.append(Note(NoteKind.NO_INTERVAL, f"no interval: it needs {FEWEST_VIDEOS} videos"))
    return Result(*named, float(existing.mean()), low, high, len(by_handle), tuple(notes), by_handle, replicates)


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
        if not having:
            reasons = tuple(dict.fromkeys(note for r in group for note in r.notes))
            means.append(Result(metric, variant, ALL_TASKS, None, None, None, 0, reasons))
            continue
        notes = [Note(NoteKind.WITHOUT_TASKS, f"without {', '.join(without)}")] if without else []
        values = np.array([r.mean for r in having])
        low = high = None
        if all(r.replicates is not None for r in having):
            low, high = percentile_interval(np.mean([r.replicates for r in having], axis=0))
        elif len(having) >= FEWEST_VIDEOS:
            counts = task_counts(ALL_TASKS, len(having), seed)
            low, high = percentile_interval(resampled_means(values, counts))
            notes.append(Note(NoteKind.INTERVAL_OVER_TASKS, "interval over tasks"))
        else:
            text = f"no interval: it needs {FEWEST_VIDEOS} videos a task or {FEWEST_VIDEOS} tasks"
            notes.append(Note(NoteKind.NO_INTERVAL, text))
        number = sum(r.number_of_videos for r in having)
        notes += _notes_of_tasks(having)
        means.append(Result(metric, variant, ALL_TASKS, float(values.mean()), low, high, number, tuple(notes)))
    return means


def _notes_of_tasks(results: Sequence[Result]) -> list[Note]:
    """What a reader of the mean must know of its tasks, but for missing intervals, of which the mean speaks itself."""
    said = dict.fromkeys(note for r in results for note in r.notes if note.kind is not NoteKind.NO_INTERVAL)
    of_all = [n for n in said if n.kind is NoteKind.LONE_TEST_VIDEO or all(n in r.notes for r in results)]
    left_out = [
        Note(note.kind, f"{r.task}: {note.text}")
        for r in results
        for note in r.notes
        if note.kind is NoteKind.LEFT_OUT and note not in of_all
    ]
    return [*of_all, *left_out]


def save_results(folder: Path, results: Sequence[Result], description: Mapping[str, Any]) -> dict[str, Any]:
    """Write one CSV a metric and `metrics.json` with every figure and the figures per video.

    What an earlier evaluation left in the folder and this one doesn't have is removed, so that its figures are not
    taken for this one's.

    Args:
        folder: where to write.
        results: figures per task and over tasks.
        description: what was evaluated: checkpoint, split, tasks and the like, plain values; the files that lie
            in the folder besides are its `pictures`.

    Returns:
        What stands in `metrics.json`.
    """
    rows = [{**r.as_row(), "notes": [note._asdict() for note in r.notes], "values": dict(r.values)} for r in results]
    content = {**description, "results": rows}
    earlier = _files_of(folder)
    for metric in dict.fromkeys(r.metric for r in results):
        write_csv(folder / f"{metric}.csv", [r.as_row() for r in results if r.metric == metric], COLUMNS)
    write_json(folder / METRICS_FILE, content)
    for name in earlier - _files_of(folder):
        (folder / name).unlink(missing_ok=True)
    return content


def _files_of(folder: Path) -> set[str]:
    """The files that the `metrics.json` of a folder speaks of; none if it can't be read."""
    try:
        content = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
        pictures = [picture["file"] for picture in content.get("pictures", [])]
        names = {*pictures, *(f"{row['metric']}.csv" for row in content["results"])}
        return {name for name in names if Path(name).name == name}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def read_results(description: Mapping[str, Any], metrics: Mapping[str, Metric] = METRICS) -> list[Result]:
    """The figures of a `metrics.json` that has been read; without replicates.

    Raises:
        DataError: a figure is of a metric that the table doesn't have.
        KeyError, TypeError, ValueError: it isn't the content of a `metrics.json`.
    """
    results = []
    for row in description["results"]:
        figures = {key: value for key, value in row.items() if key not in ("note", "notes")}
        if "notes" in row:
            notes = tuple(Note(NoteKind(note["kind"]), note["text"]) for note in row["notes"])
        else:
            notes = read_joined(row["note"])
        results.append(Result(**figures, notes=notes))
        if results[-1].metric not in metrics:
            raise DataError(f"figures of {results[-1].metric!r}; the table of metrics has {', '.join(metrics)}")
    return results
