"""Figures of an evaluation: per task, over tasks, with intervals; as files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import DataError
from utils.evaluation.differences import (
    DIFFERENCE_COLUMNS,
    Difference,
    differences_over_tasks,
    over_tasks,
    read_difference,
)
from utils.evaluation.measured import Measured, over_seeds
from utils.evaluation.notes import Note, NoteKind, joined, read_joined
from utils.files import write_csv, write_json
from utils.metrics.intervals import FEWEST_RECORDINGS, Interval
from utils.metrics.table import METRICS, Metric

ALL_TASKS = "mean of tasks"
METRICS_FILE = "metrics.json"
DIFFERENCES_FILE = "differences.csv"
COLUMNS = ("metric", "variant", "task", "mean", "low", "high", "number_of_videos", "note")


@dataclass(frozen=True)
class Result:
    """One figure: a metric of one variant (trained network, clock, ...) on one task or on the mean of tasks.

    Attributes:
        metric: name of the metric, which is also the name of its CSV file.
        variant: what was measured.
        task: name of the task, or ALL_TASKS.
        mean: mean over videos, or over tasks; None if there is none, and then `notes` say why.
        low, high: 95 % interval (Student's t); None if there is none.
        number_of_videos: videos that have a value.
        notes: what a reader must know.
        values: the figure of each video, by handle; empty for ALL_TASKS.
        pairs: of a metric of pairs, the figure of each ordered pair, by the handles of the first and the second video.
        weights: of a mean over frames, how many frames of each video count, by handle.
        runs: of a mean over networks of several seeds, the figure of each.
        differences: of the trained network, by how much it differs from what it competes with.
        interval: what the interval over tasks is made from.
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
    pairs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    runs: tuple[float, ...] = ()
    differences: tuple[Difference, ...] = ()
    interval: Interval | None = field(default=None, repr=False, compare=False)

    @property
    def note(self) -> str:
        """All notes, as text."""
        return joined(self.notes)

    def as_row(self) -> dict[str, Any]:
        """The line of a CSV file."""
        return {column: getattr(self, column) for column in COLUMNS}

    def as_description(self) -> dict[str, Any]:
        """Plain values for `metrics.json`; what is empty is left out but for notes and values."""
        more = {
            "pairs": {handle: dict(row) for handle, row in self.pairs.items()},
            "weights": dict(self.weights),
            "runs": list(self.runs),
            "differences": [difference.as_description() for difference in self.differences],
        }
        return {
            **self.as_row(),
            "notes": [note._asdict() for note in self.notes],
            "values": dict(self.values),
            **{key: value for key, value in more.items() if value},
        }


def summarise(
    measured: Measured,
    task: str,
    handles: Sequence[str],
    differences: Sequence[Difference] = (),
    is_difference: bool = False,
) -> Result:
    """Mean, interval and figures per video.

    Args:
        measured: what was found.
        task: name of the task.
        handles: names of the n test videos.
        differences: what is known of it beside others.
        is_difference: the figures are differences of the metric's, which have another range.
    """
    values, notes = measured.values, list(measured.notes)
    missing = measured.missing or measured.metric.missing
    per_video, pairs = values, {}
    if values.ndim == 2:
        # The mean over pairs, which the mean over videos is not if some pairs have no figure.
        values = np.where(np.eye(len(values), dtype=bool), np.nan, values)
        exists = ~np.isnan(values)
        total = np.where(exists, values, 0.0).sum(axis=1)
        per_video = np.where(exists.any(axis=1), total / np.maximum(exists.sum(axis=1), 1), np.nan)
        pairs = {
            first: {second: float(x) for second, x in zip(handles, row, strict=True) if not math.isnan(x)}
            for first, row in zip(handles, values, strict=True)
        }
    named = (measured.metric.name, measured.variant, task)
    if np.isnan(values).all():
        return Result(*named, None, None, None, 0, (Note(NoteKind.NO_FIGURE, missing), *notes))
    interval = measured.metric.clipped(measured.interval(), is_difference)
    if not values.ndim:
        notes.append(Note(NoteKind.NO_INTERVAL, "no interval: one figure for all videos at once"))
        return Result(*named, interval.mean, None, None, len(handles), tuple(notes), interval=interval)
    by_handle = {h: float(x) for h, x in zip(handles, per_video, strict=True) if not math.isnan(x)}
    if len(by_handle) < len(handles):
        text = f"{len(handles) - len(by_handle)} of {len(handles)} videos left out: {missing}"
        notes.append(Note(NoteKind.LEFT_OUT, text))
    weights = {}
    if measured.weights is not None:
        weights = {h: float(w) for h, w in zip(handles, measured.weights, strict=True) if h in by_handle}
    low = high = None
    if interval.exists:
        low, high = interval.low, interval.high
    else:
        notes.append(Note(NoteKind.NO_INTERVAL, f"no interval: it needs {FEWEST_RECORDINGS} videos"))
    return Result(
        *named, interval.mean, low, high, len(by_handle), tuple(notes), by_handle, pairs, weights,
        measured.of_runs(), tuple(differences), interval,
    )  # fmt: skip


def mean_over_tasks(
    results: Sequence[Result], metrics: Mapping[str, Metric] = METRICS, are_differences: bool = False
) -> list[Result]:
    """The mean of the tasks' figures, for every metric and variant, with an interval.

    The interval is over videos within each task if every task has two at least; else over tasks, if there are enough.
    Tasks without a figure are left out and named. What is said of every task is said of the mean, and so is what
    was left out of one.

    Args:
        results: figures of tasks, as `summarise` gives them.
        metrics: the table of metrics.
        are_differences: the figures are differences of the metrics'.
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
        interval, is_over_tasks = over_tasks([_interval_of(r) for r in having])
        interval = metrics[metric].clipped(interval, are_differences)
        low = high = None
        if interval.exists:
            low, high = interval.low, interval.high
            if is_over_tasks:
                notes.append(Note(NoteKind.INTERVAL_OVER_TASKS, "interval over tasks"))
        else:
            text = f"no interval: it needs {FEWEST_RECORDINGS} videos, two in every task, or {FEWEST_RECORDINGS} tasks"
            notes.append(Note(NoteKind.NO_INTERVAL, text))
        number = sum(r.number_of_videos for r in having)
        notes += _notes_of_tasks(having)
        runs = _runs_over_tasks(having)
        if runs:
            notes.append(over_seeds(runs))
        differences = differences_over_tasks(metrics[metric], [r.differences for r in having])
        means.append(
            Result(
                metric, variant, ALL_TASKS, interval.mean, low, high, number, tuple(notes), runs=runs,
                differences=differences, interval=interval,
            )
        )
    return means


def _interval_of(result: Result) -> Interval:
    """What a result was made with; of one that was made by hand or read from a file, its mean alone."""
    return result.interval or Interval(result.mean, *[math.nan] * 4)


def _runs_over_tasks(results: Sequence[Result]) -> tuple[float, ...]:
    """The mean over tasks of each run, if every task has as many."""
    if len({len(r.runs) for r in results}) > 1:
        return ()
    return tuple(float(np.mean(each)) for each in zip(*(r.runs for r in results), strict=True))


def _notes_of_tasks(results: Sequence[Result]) -> list[Note]:
    """What a reader of the mean must know of its tasks, but for missing intervals and the spread over seeds, of which
    the mean speaks itself."""
    of_mean = (NoteKind.NO_INTERVAL, NoteKind.OVER_SEEDS)
    said = dict.fromkeys(note for r in results for note in r.notes if note.kind not in of_mean)
    of_all = [n for n in said if n.kind is NoteKind.LONE_TEST_VIDEO or all(n in r.notes for r in results)]
    left_out = [
        Note(note.kind, f"{r.task}: {note.text}")
        for r in results
        for note in r.notes
        if note.kind is NoteKind.LEFT_OUT and note not in of_all
    ]
    return [*of_all, *left_out]


def save_results(folder: Path, results: Sequence[Result], description: Mapping[str, Any]) -> dict[str, Any]:
    """Write one CSV a metric, `differences.csv`, and `metrics.json` with every figure and the figures per video.

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
    content = {**description, "results": [r.as_description() for r in results]}
    earlier = _files_of(folder)
    for metric in dict.fromkeys(r.metric for r in results):
        write_csv(folder / f"{metric}.csv", [r.as_row() for r in results if r.metric == metric], COLUMNS)
    differences = [
        {"metric": r.metric, "variant": r.variant, "task": r.task, **difference.as_description()}
        for r in results
        for difference in r.differences
    ]
    if differences:
        write_csv(folder / DIFFERENCES_FILE, differences, DIFFERENCE_COLUMNS)
    write_json(folder / METRICS_FILE, content)
    for name in earlier - _files_of(folder):
        (folder / name).unlink(missing_ok=True)
    return content


def _files_of(folder: Path) -> set[str]:
    """The files that the `metrics.json` of a folder speaks of; none if it can't be read."""
    try:
        content = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
        pictures = [f for p in content.get("pictures", []) for f in (p["file"], *p.get("other_files", ()))]
        names = {*pictures, *(f"{row['metric']}.csv" for row in content["results"])}
        if any(row.get("differences") for row in content["results"]):
            names.add(DIFFERENCES_FILE)
        return {name for name in names if Path(name).name == name}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def read_results(description: Mapping[str, Any], metrics: Mapping[str, Metric] = METRICS) -> list[Result]:
    """The figures of a `metrics.json` that has been read; without what intervals over tasks are made from.

    Raises:
        DataError: a figure is of a metric that the table doesn't have.
        KeyError, TypeError, ValueError: it isn't the content of a `metrics.json`.
    """
    results = []
    for row in description["results"]:
        figures = {key: value for key, value in row.items() if key not in ("note", "notes")}
        figures["runs"] = tuple(row.get("runs", ()))
        figures["differences"] = tuple(map(read_difference, row.get("differences", ())))
        if "notes" in row:
            notes = tuple(Note(NoteKind(note["kind"]), note["text"]) for note in row["notes"])
        else:
            notes = read_joined(row["note"])
        results.append(Result(**figures, notes=notes))
        if results[-1].metric not in metrics:
            raise DataError(f"figures of {results[-1].metric!r}; the table of metrics has {', '.join(metrics)}")
    return results
