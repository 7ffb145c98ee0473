"""Recordings in, predicted progress out: feature files, lines of numbers, CSV files and pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from utils.data.features import FEATURE_RANK, FeatureFormat, open_features, read_features
from utils.data.problems import DataError, shown
from utils.figures.palette import PREDICTION
from utils.figures.saving import save_figure
from utils.files import write_csv
from utils.prediction.predictor import ProgressPredictor

DECIMALS = 6
TEXT_SUFFIXES = (".txt", ".csv", ".tsv", ".dat")
LONGEST_TITLE = 60


def feature_files(paths: Sequence[str]) -> list[Path]:
    """The files that are meant, those of a folder in the order of their names.

    Raises:
        DataError: a folder without .npy files, or two files of the same name, whose results would overwrite
            each other.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        found = sorted(path.glob("*.npy")) if path.is_dir() else [path]
        if not found:
            raise DataError(f"{path} holds no .npy file")
        files += found
    by_stem: dict[str, Path] = {}
    for file in files:
        other = by_stem.setdefault(file.stem, file)
        if other is not file:
            raise DataError(f"{other} and {file} would be written to the same {file.stem}.csv; rename one")
    return files


def predict_file(predictor: ProgressPredictor, path: Path, features_first: bool = False) -> np.ndarray:
    """Progress of one feature file, (T,).

    Args:
        predictor: what predicts.
        path: an .npy file as the data sets have them.
        features_first: the file is (D, T).

    Raises:
        DataError: the file can't be read, or holds what the network doesn't read; names the file.
    """
    file_format = FeatureFormat(predictor.rank, features_first)
    try:
        try:
            view = open_features(path, file_format)
        except DataError as error:
            if path.suffix in TEXT_SUFFIXES and path.is_file():
                raise DataError(f"{error}; text is read from standard input: predict.py ... - < {path}") from error
            raise
        if view.shape[1] != predictor.feature_width or not len(view):
            turned = view.shape[0] == predictor.feature_width and predictor.rank == FEATURE_RANK
            layout = "features_first" if features_first else "frames_first"
            raise DataError(
                f"has shape {view.shape}, frames first; expected at least 1 frame of width "
                f"{predictor.feature_width}"
                + (f" (transposed? the network was trained on files laid out {layout})" if turned else "")
            )
        with np.errstate(over="ignore"):
            features = read_features(path, file_format)
        return predictor.predict(features)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def parse_frames(lines: Iterable[str], width: int) -> Iterator[np.ndarray]:
    """One frame a line, numbers separated by white space or commas: (width,) float64 each. Empty lines don't count.

    Raises:
        DataError: a line that isn't `width` numbers; gives its number.
    """
    for number, line in enumerate(lines, start=1):
        words = [word for word in re.split(r"[\s,]+", line) if word]
        if not words:
            continue
        try:
            frame = np.array([float(word) for word in words])
        except ValueError as error:
            raise DataError(
                f"standard input, line {number}: {shown(line.strip())} is not a frame; expected numbers "
                f"separated by spaces or commas"
            ) from error
        if len(frame) != width:
            raise DataError(f"standard input, line {number}: {len(frame)} numbers; expected {width}")
        yield frame


def stream_lines(predictor: ProgressPredictor, lines: Iterable[str]) -> Iterator[tuple[int, float]]:
    """Frame number and progress of the frames on the lines, as soon as each is determined.

    Raises:
        DataError: a line that isn't a frame of the network's width, or no frame at all; names standard input.
    """
    if predictor.rank != FEATURE_RANK:
        raise DataError("standard input: this network reads convolution maps, which lines can't hold")
    stream = predictor.stream()
    try:
        for frame in parse_frames(lines, predictor.feature_width):
            given = stream.frames_given
            yield from enumerate(stream.update(frame).tolist(), start=given)
        given = stream.frames_given
        yield from enumerate(stream.finish().tolist(), start=given)
    except DataError as error:
        message = str(error)
        raise DataError(message if message.startswith("standard input") else f"standard input: {error}") from error


def write_predictions(folder: Path, predictions: Mapping[str, np.ndarray]) -> list[Path]:
    """`<name>.csv` (frame, progress) and `<name>.png` of each recording; each file whole or not at all."""
    written = []
    for name, progress in predictions.items():
        rows = ({"frame": i, "progress": f"{p:.{DECIMALS}f}"} for i, p in enumerate(progress.tolist()))
        write_csv(folder / f"{name}.csv", rows, ["frame", "progress"])
        plot_prediction(folder / f"{name}.png", progress, name)
        written += [folder / f"{name}.csv", folder / f"{name}.png"]
    return written


def plot_prediction(path: Path, progress: np.ndarray, title: str) -> None:
    """The progress of one recording over its frames, as PNG."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    marker = "o" if len(progress) == 1 else None
    axes.plot(np.arange(len(progress)), progress, color=PREDICTION, linewidth=1.8, marker=marker)
    axes.set(xlim=(-0.5, len(progress) - 0.5), ylim=(-0.02, 1.02), xlabel="frame", ylabel="predicted progress")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(shortened(title), loc="left", parse_math=False)
    axes.set_title(f"{100 * progress[-1]:.0f} % at the last frame", loc="right", color=PREDICTION)
    axes.grid(alpha=0.25)
    save_figure(figure, path)


def shortened(name: str, longest: int = LONGEST_TITLE) -> str:
    """The name, with its middle left out if it is too long for a title."""
    name = name.encode("utf-8", "replace").decode()  # a file's may hold bytes that are no character
    half = (longest - 1) // 2
    return name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"
