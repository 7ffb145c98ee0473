"""Recordings in, predicted progress and embeddings out: feature files, CSV files and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from utils.data.features import FEATURE_RANK, FeatureFormat, open_features, read_features
from utils.errors import DataError
from utils.figures.prediction_curve import plot_prediction
from utils.files import atomic_write, write_csv
from utils.prediction.answers import DECIMALS, columns_of, rows_of
from utils.prediction.predictor import ProgressPredictor
from utils.prediction.recording_embedder import RecordingEmbedder
from utils.progress.model import ProgressAnswers

# Progress alone, or with all that belongs to it.
Prediction = np.ndarray | ProgressAnswers
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


def predict_file(
    predictor: ProgressPredictor, path: Path, features_first: bool = False
) -> tuple[Prediction, np.ndarray]:
    """Progress (T,) of one feature file, and its embedding (T, E); see `ProgressPredictor.predict_with_embedding`.

    A predictor that gives answers gives them instead of progress alone.

    Args:
        predictor: what predicts.
        path: an .npy file as the data sets have them.
        features_first: the file is (D, T).

    Raises:
        DataError: the file can't be read, or holds what the network doesn't read; names the file.
    """
    features = read_recording(predictor, path, features_first)
    with _named(path):
        progress, embedding = predictor.predict_with_embedding(features)
        return (predictor.predict_answers(features) if predictor.gives_answers else progress), embedding


def predict_files(
    predictor: ProgressPredictor, files: Sequence[Path], features_first: bool = False, embeddings: Path | None = None
) -> dict[str, Prediction]:
    """Progress (T,) of feature files, by the stem of their names.

    Args:
        predictor: what predicts.
        files: of different stems.
        features_first: the files are (D, T).
        embeddings: where to write the embedding of each as `<stem>.npy`, after all have been read; None for nowhere.

    Raises:
        DataError: see `predict_file`; or an embedding would replace its own recording.
    """
    predictions: dict[str, Prediction] = {}
    if embeddings is not None:
        for file in files:
            if file.resolve() == (embeddings / f"{file.stem}.npy").resolve():
                raise DataError(f"{file} would be replaced by its embedding; --output names another folder")
    with TemporaryDirectory(prefix="embeddings-") as folder:  # they may be larger than memory
        for file in files:
            predictions[file.stem], embedding = predict_file(predictor, file, features_first)
            if embeddings is not None:
                np.save(Path(folder) / f"{len(predictions)}.npy", embedding)
        if embeddings is not None:
            for number, name in enumerate(predictions, start=1):
                embedding = np.load(Path(folder) / f"{number}.npy", mmap_mode="r")
                with atomic_write(embeddings / f"{name}.npy") as temporary:
                    np.save(temporary, embedding, allow_pickle=False)
    return predictions


def embed_file(embedder: RecordingEmbedder, path: Path, features_first: bool = False) -> np.ndarray:
    """The embedding of one feature file; see `RecordingEmbedder.embed_recording` and `predict_file`."""
    features = read_recording(embedder, path, features_first)
    with _named(path):
        return embedder.embed_recording(features).numpy()


def read_recording(embedder: RecordingEmbedder, path: Path, features_first: bool = False) -> np.ndarray:
    """The features of one file, frames first, as the network reads them but for the standardisation.

    Raises:
        DataError: see `predict_file`.
    """
    file_format = FeatureFormat(embedder.rank, features_first)
    with _named(path):
        try:
            view = open_features(path, file_format)
        except DataError as error:
            if path.suffix in TEXT_SUFFIXES and path.is_file():
                raise DataError(f"{error}; text is read from standard input: predict.py ... - < {path}") from error
            raise
        if view.shape[1] != embedder.feature_width or not len(view):
            turned = view.shape[0] == embedder.feature_width and embedder.rank == FEATURE_RANK
            layout = "features_first" if features_first else "frames_first"
            raise DataError(
                f"has shape {view.shape}, frames first; expected at least 1 frame of width "
                f"{embedder.feature_width}"
                + (f" (transposed? the network was trained on files laid out {layout})" if turned else "")
            )
        with np.errstate(over="ignore"):
            return read_features(path, file_format)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Says which file a problem is in."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def write_predictions(folder: Path, predictions: Mapping[str, Prediction]) -> list[Path]:
    """`<name>.csv` (frame, progress, ...) and `<name>.png` of each recording; each file whole or not at all."""
    written = []
    for name, found in predictions.items():
        if isinstance(found, ProgressAnswers):
            write_csv(folder / f"{name}.csv", rows_of(found), columns_of(found))
            plot_prediction(
                folder / f"{name}.png", found.progress, name, found.frame_rate, (found.lower, found.upper),
                f"{100 * found.coverage:.0f} % interval", out_of_range=np.array([bool(r) for r in found.out_of_range]),
            )  # fmt: skip
        else:
            rows = ({"frame": i, "progress": f"{p:.{DECIMALS}f}"} for i, p in enumerate(found.tolist()))
            write_csv(folder / f"{name}.csv", rows, ["frame", "progress"])
            plot_prediction(folder / f"{name}.png", found, name)
        written += [folder / f"{name}.csv", folder / f"{name}.png"]
    return written
