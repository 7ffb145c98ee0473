"""What cross-validation said of the read-outs, for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.command import format_table
from utils.metrics.intervals import mean_interval
from utils.prediction.progress.cross_validation import NAIVE
from utils.prediction.progress.model import EMBEDDING, ProgressModel
from utils.prediction.readouts.recording import LabelledRecording

BEATS, NOT_SHOWN, WORSE = "beats", "is not shown to beat", "is worse than"

FEW = 6  # recordings: fewer say little about the next one


def report_text(task: str, model: ProgressModel) -> str:
    """A table of all read-outs, and what was chosen, in words."""
    report = model.report
    errors = {name: np.array(values) for name, values in report["errors"].items()}
    naive = report["best_naive"]
    order = sorted(errors, key=lambda name: errors[name].mean())
    rows = []
    for name in order:
        is_naive, is_chosen = name in NAIVE, name == report["chosen"]
        said = ", ".join(word for word, holds in (("chosen", is_chosen), ("naive", is_naive)) if holds)
        against = "" if name == naive else _difference(errors[name] - errors[naive])
        mean = errors[name].mean()
        rows.append([name, f"{mean:.4f}", _ratio(mean, errors[naive].mean()), against, said])
    header = [f"task {task!r}", "mean error", "/ best naive", f"difference from {naive} [95 %]", ""]
    return "\n".join([format_table(header, rows), *sentences(model)])


def sentences(model: ProgressModel) -> list[str]:
    """What was chosen, how well its answer holds, and what that was measured on."""
    report = model.report
    said = [
        f"{report['recordings']} training and validation recordings, each read by what was fitted to others "
        f"({report['folds']} folds). Mean absolute error of progress, online."
    ]
    if report["recordings"] < FEW:
        said.append(f"With fewer than {FEW} recordings, neither the choice nor the interval can be relied on.")
    embedding = report.get("embedding")
    if model.input == EMBEDDING:
        said.append(
            f"Chosen: {model.name}, read from the network's embedding, which beats the features on the validation "
            f"recordings ({_mean_of(embedding, model.name)} against {_features(embedding)})."
        )
    elif report["chosen"] == report["best_naive"]:
        said.append(
            f"Nothing beats the best naive guess, {report['best_naive']}: progress is predicted by it. "
            f"More recordings, or features that say more, would help."
        )
    else:
        errors = report["errors"]
        difference = np.array(errors[report["chosen"]]) - np.array(errors[report["best_naive"]])
        said.append(
            f"Chosen: {report['chosen']}, which {_verdict(difference)} the best naive guess, {report['best_naive']}. "
            f"Being the best of {len(errors)}, its error on new recordings will be somewhat larger."
        )
    if embedding and model.input != EMBEDDING and embedding["name"]:
        said.append(
            f"The network's embedding is not used: its best read-out, {embedding['name']}, errs "
            f"{_mean_of(embedding, embedding['name'])} on {len(embedding['of_features'] or ())} validation recordings, "
            f"the features {_features(embedding)}."
        )
    said.append(
        f"{100 * model.interval.coverage:.0f} % interval: holds {100 * report['coverage']:.0f} % of the frames out of "
        f"fold, mean width {report['width']:.3f}."
    )
    unit, rate = ("s", model.frame_rate) if model.frame_rate else ("frames", 1.0)
    said.append(
        f"Remaining time: mean error {report['remaining_error'] / rate:.1f} {unit}; mean length minus time "
        f"{report['naive_remaining_error'] / rate:.1f} {unit}."
    )
    steps = report["steps"]
    if steps["accuracy"] is not None:
        said.append(
            f"Current step: right in {100 * steps['accuracy']:.0f} % of the time; always the most frequent step "
            f"{100 * steps['majority']:.0f} %."
        )
    if steps["inside_error"] is not None:
        said.append(
            f"Progress inside the step, its start and label not told: mean error {steps['inside_error']:.3f}; "
            f"always one half {steps['inside_half']:.3f}."
        )
    if steps["told_error"] is not None:
        said.append(
            f"Progress inside the action, its start and label told: mean error {steps['told_error']:.3f}; "
            f"its own clock {steps['told_clock']:.3f}."
        )
    return said


def _ratio(error: float, naive: float) -> str:
    """An error over that of the naive guess; '' where that makes no error at all."""
    return f"{error / naive:.2f}" if naive > 0 else ""


def _difference(values: np.ndarray) -> str:
    interval = mean_interval(values)
    if not math.isfinite(interval.low):
        return f"{values.mean():+.4f}"
    return f"{values.mean():+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def _verdict(difference: np.ndarray) -> str:
    interval = mean_interval(difference)
    if not math.isfinite(interval.low):
        return NOT_SHOWN
    return BEATS if interval.high < 0 else WORSE if interval.low > 0 else NOT_SHOWN


def _mean_of(embedding: Mapping[str, Any], name: str) -> str:
    return f"{np.mean(embedding['errors'][name]):.4f}" if name in embedding["errors"] else "unknown"


def _features(embedding: Mapping[str, Any]) -> str:
    return "unknown" if not embedding["of_features"] else f"{np.mean(embedding['of_features']):.4f}"


def judge_on(
    model: ProgressModel, naive: Mapping[str, Sequence[float]], recordings: Sequence[LabelledRecording]
) -> str:
    """A sentence on recordings that chose nothing: the error of a model, of naive guesses, and the difference.

    Args:
        model: fitted to other recordings.
        naive: mean absolute error of each naive guess on each recording, by its name.
        recordings: at least one.
    """
    found = [model.predict(one.frames) for one in recordings]
    own = np.array([np.abs(f.progress - one.progress).mean() for f, one in zip(found, recordings, strict=True)])
    covered = [
        ((one.progress >= f.lower) & (one.progress <= f.upper)).mean() for f, one in zip(found, recordings, strict=True)
    ]
    means = {name: float(np.mean(errors)) for name, errors in naive.items()}
    best = min(means, key=means.__getitem__)
    difference = own - np.array(naive[best])
    return (
        f"{len(recordings)} test recordings: {model.name} errs {own.mean():.4f}, {_ratio(own.mean(), means[best])} of "
        f"the best naive guess ({', '.join(f'{name} {mean:.4f}' for name, mean in means.items())}); it "
        f"{_verdict(difference)} {best}: {_difference(difference)}. "
        f"The interval holds {100 * np.mean(covered):.0f} % of the frames."
    )
