"""Recordings in, predicted progress out: feature files, CSV files and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.data.features import FEATURE_RANK, FeatureFormat, open_features, read_features
from utils.errors import DataError
from utils.figures.prediction_curve import plot_prediction
from utils.files import write_csv
from utils.prediction.predictor import ProgressPredictor

DECIMALS = 6
TEXT_SUFFIXES = (".txt", ".csv", ".tsv", ".dat")


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


def write_predictions(folder: Path, predictions: Mapping[str, np.ndarray]) -> list[Path]:
    """`<name>.csv` (frame, progress) and `<name>.png` of each recording; each file whole or not at all."""
    written = []
    for name, progress in predictions.items():
        rows = ({"frame": i, "progress": f"{p:.{DECIMALS}f}"} for i, p in enumerate(progress.tolist()))
        write_csv(folder / f"{name}.csv", rows, ["frame", "progress"])
        plot_prediction(folder / f"{name}.png", progress, name)
        written += [folder / f"{name}.csv", folder / f"{name}.png"]
    return written
