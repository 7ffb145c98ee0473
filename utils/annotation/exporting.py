"""The data to export, as `Outline`s: steps of an annotation or of predictions, with progress if it is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from utils.annotation.exporters import Outline
from utils.annotation.recording import BACKGROUND
from utils.annotation.source_files import read_table
from utils.annotation.timeline import Piece
from utils.data import segments as project_segments
from utils.data.annotation import read_annotation
from utils.errors import DataError, nearest_name, place, shown


def outlines_of_annotation(path: Path, tasks: Sequence[str] = (), segment_ends: str = "auto") -> list[Outline]:
    """The recordings of this project's annotation file; background is called 'background'.

    Args:
        path: the file.
        tasks: only these tasks; none means all.
        segment_ends: how the file's ends are read, as the setting SEGMENT_ENDS.

    Raises:
        DataError: the file has problems.
    """
    outlines = []
    for video in read_annotation(path, tasks, (), segment_ends, integer_labels="take").videos:
        if not video.is_labelled:
            raise DataError(f"{place(path, video.task, video.handle)}has no labels; expected actions and times")
        times = video.time_dict
        pieces = [
            Piece(BACKGROUND if step == project_segments.BACKGROUND else step, start, end + 1)
            for step, start, end in zip(times["step"], times["start_frame"], times["end_frame"], strict=True)
        ]
        outlines.append(Outline(video.handle, pieces, video.number_of_frames))
    return outlines


def outlines_of_predictions(folder: Path) -> list[Outline]:
    """The recordings of a folder of `<recording>.csv` as predict.py writes them: frame, progress, and maybe step.

    Raises:
        DataError: with every problem found.
    """
    problems: list[str] = []
    paths = sorted(path for path in folder.glob("*.csv") if not path.name.startswith("."))
    if not paths:
        raise DataError(f"{place(folder)}holds no .csv file of predictions")
    outlines = [_prediction(path, problems) for path in paths]
    if problems:
        raise DataError(problems)
    return outlines


def with_progress(outlines: Sequence[Outline], predictions: Sequence[Outline]) -> list[Outline]:
    """The steps of some recordings with the progress predicted for them.

    Raises:
        DataError: a recording has no prediction, or one of another length.
    """
    known = {prediction.name: prediction for prediction in predictions}
    problems, result = [], []
    for outline in outlines:
        prediction = known.get(outline.name)
        if prediction is None:
            near = nearest_name(outline.name, known)
            problems.append(f"no prediction of {outline.name!r}" + (f"; did you mean {near!r}?" if near else ""))
        elif prediction.length != outline.length:
            problems.append(f"{outline.name!r} has {outline.length} frames, its prediction {prediction.length}")
        else:
            result.append(Outline(outline.name, outline.pieces, outline.length, prediction.progress))
    if problems:
        raise DataError(problems)
    return result


def _prediction(path: Path, problems: list[str]) -> Outline:
    progress: list[float] = []
    steps: list[str] = []
    for line, cells in read_table(path, problems):
        try:
            value = float(cells["progress"])
            if cells["frame"] != str(len(progress)) or not math.isfinite(value):
                raise ValueError
        except (KeyError, ValueError):
            problems.append(
                f"{place(path)}line {line}: is {shown(cells)}; expected frame {len(progress)} and its progress"
            )
            break
        progress.append(value)
        if cells.get("step"):
            steps.append(cells["step"])
    if steps and len(steps) != len(progress):
        problems.append(
            f"{place(path)}{len(progress) - len(steps)} frames have no step; expected one for each, or none"
        )
    pieces, start = [], 0
    for step, run in groupby(steps):
        end = start + sum(1 for _ in run)
        pieces.append(Piece(BACKGROUND if step == project_segments.BACKGROUND else step, start, end))
        start = end
    return Outline(path.stem, pieces, len(progress), progress)
