"""Answers as columns of a CSV file and as a line for people."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from utils.prediction.progress.model import ProgressAnswers

DECIMALS = 6
FEWER = 3
COLUMNS = (
    "frame", "progress", "lower", "upper", "step", "step_probability", "step_progress", "steps_done",
    "remaining_seconds", "out_of_range",
)  # fmt: skip


def columns_of(answers: ProgressAnswers) -> list[str]:
    """The columns that answers have: all, but no seconds where the frame rate isn't known."""
    return [name for name in COLUMNS if name != "remaining_seconds" or answers.frame_rate is not None]


def rows_of(answers: ProgressAnswers, first: int = 0) -> Iterator[dict[str, str | int]]:
    """The answers row by row, as text.

    Args:
        answers: of consecutive frames.
        first: number of the first of them.
    """
    seconds = answers.remaining_seconds
    said = answers.out_of_range
    for number, (row, step) in enumerate(zip(answers.rows.tolist(), answers.steps, strict=True)):
        named = dict(zip(answers.rows.dtype.names, row, strict=True))
        found: dict[str, str | int] = {"frame": first + number, "progress": f"{named['progress']:.{DECIMALS}f}"}
        for name in ("lower", "upper"):
            found[name] = f"{named[name]:.{DECIMALS}f}"
        found["step"] = step
        for name in ("step_probability", "step_progress", "steps_done"):
            found[name] = f"{named[name]:.{FEWER}f}" if step else ""
        if seconds is not None:
            found["remaining_seconds"] = f"{seconds[number]:.1f}"
        found["out_of_range"] = said[number]
        yield found


def line_of(answers: ProgressAnswers) -> str:
    """The last answer in words."""
    row = answers.rows[-1]
    said = [
        f"{100 * row['progress']:.1f} % after {len(answers)} frames "
        f"({100 * answers.coverage:.0f} % interval {100 * row['lower']:.0f} to {100 * row['upper']:.0f} %)"
    ]
    if answers.steps[-1]:
        said.append(f"step {answers.steps[-1]!r} ({100 * row['step_probability']:.0f} %)")
    if answers.remaining_seconds is not None:
        said.append(f"about {answers.remaining_seconds[-1]:.0f} s to go")
    if out := out_of_range_in_words(answers):
        said.append(out)
    return ", ".join(said)


def out_of_range_in_words(answers: ProgressAnswers) -> str:
    """How much of the recording should not be believed, and why at its last such frame; '' for nothing."""
    reasons = answers.out_of_range
    out = np.array([bool(reason) for reason in reasons])
    if not out.any():
        return ""
    last = reasons[int(np.flatnonzero(out)[-1])]
    return f"OUT OF RANGE in {100 * out.mean():.0f} % of the frames ({last})"
