"""Recordings in, predicted progress and embeddings out: feature files, CSV files and pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from utils.data.features import FEATURE_RANK, FeatureFormat, open_features, read_features
from utils.errors import CheckpointError, DataError, ProjectError
from utils.figures.prediction_curve import plot_prediction
from utils.files import atomic_write, write_csv
from utils.prediction.answers import DECIMALS, columns_of, rows_of
from utils.prediction.finding import Found
from utils.prediction.predictor import ProgressPredictor
from utils.prediction.progress.model import ProgressAnswers
from utils.prediction.recording_embedder import RecordingEmbedder
from utils.prediction.unlike_training import TrainingScale
from utils.prediction.video_features import VideoFeatures
from utils.video.recordings import is_video

logger = logging.getLogger(__name__)

# Progress alone, or with all that belongs to it.
Prediction = np.ndarray | ProgressAnswers


def predict_file(
    predictor: ProgressPredictor,
    path: Path,
    features_first: bool = False,
    key: str = "",
    scale: TrainingScale | None = None,
    with_embedding: bool = True,
    videos: VideoFeatures | None = None,
) -> tuple[Prediction, np.ndarray | None]:
    """Progress (T,) of one feature file, and its embedding (T, E); see `ProgressPredictor.predict_with_embedding`.

    A predictor that gives answers gives them instead of progress alone, and the embedding only if it is asked for: its
    answers need not be read from it.

    Args:
        predictor: what predicts.
        path: a file of features as the data sets have them.
        features_first: the file is (D, T).
        key: FEATURES_KEY.
        scale: of the training's features, to warn of others.
        with_embedding: whether the embedding is asked for.
        videos: how features of videos are made; None: `path` is none.

    Raises:
        DataError: the file can't be read, or holds what the network doesn't read; names the file.
    """
    features = read_recording(predictor, path, features_first, key, videos)
    if scale is not None and (warning := scale.warning(np.asarray(features))):
        logger.warning("%s: %s", path, warning)
    with _named(path):
        if not predictor.gives_answers:
            return predictor.predict_with_embedding(features)
        embedding = predictor.embedding_of_frames(features) if with_embedding else None
        return predictor.predict_answers(features), embedding


def predict_files(
    predictor: ProgressPredictor,
    recordings: Sequence[Found],
    features_first: bool = False,
    embeddings: Path | None = None,
    key: str = "",
    scale: TrainingScale | None = None,
    videos: VideoFeatures | None = None,
) -> tuple[dict[str, Prediction], list[str]]:
    """Progress (T,) of feature files, by their names, and what is wrong with those that can't be predicted.

    A bad file among those of a folder leaves the others alone. A bad file that the user named is an error.

    Args:
        predictor: what predicts.
        recordings: of different names.
        features_first: the files are (D, T).
        embeddings: where to write the embedding of each as `<name>.npy`, after all have been read; None for nowhere.
        key: FEATURES_KEY.
        scale: of the training's features, to warn of others.
        videos: how features of videos are made; None: there are none.

    Raises:
        DataError, CheckpointError: see `predict_file`, for a file that was named, or for all; or an embedding would
            replace its own recording.
    """
    predictions: dict[str, Prediction] = {}
    failures: list[ProjectError] = []
    if embeddings is not None:
        for each in recordings:
            if each.path.resolve() == (embeddings / f"{each.name}.npy").resolve():
                raise DataError(f"{each.path} would be replaced by its embedding; --output names another folder")
    with TemporaryDirectory(prefix="embeddings-") as folder:  # they may be larger than memory
        for each in recordings:
            try:
                predictions[each.name], embedding = predict_file(
                    predictor, each.path, features_first, key, scale, embeddings is not None, videos
                )
            except (DataError, CheckpointError) as error:
                if not each.in_folder:
                    raise
                failures.append(error)
                continue
            if embeddings is not None:
                np.save(Path(folder) / f"{len(predictions)}.npy", embedding)
        if failures and not predictions:
            raise failures[0] if len(failures) == 1 else DataError([str(error) for error in failures])
        if embeddings is not None:
            for number, name in enumerate(predictions, start=1):
                embedding = np.load(Path(folder) / f"{number}.npy", mmap_mode="r")
                with atomic_write(embeddings / f"{name}.npy") as temporary:
                    np.save(temporary, embedding, allow_pickle=False)
    return predictions, [str(error) for error in failures]


def embed_file(
    embedder: RecordingEmbedder, path: Path, features_first: bool = False, key: str = "",
    videos: VideoFeatures | None = None,
) -> np.ndarray:
    """The embedding of one feature file; see `RecordingEmbedder.embed_recording` and `predict_file`."""
    features = read_recording(embedder, path, features_first, key, videos)
    with _named(path):
        return embedder.embed_recording(features).numpy()


def read_recording(
    embedder: RecordingEmbedder, path: Path, features_first: bool = False, key: str = "",
    videos: VideoFeatures | None = None,
) -> np.ndarray:
    """The features of one file or video, frames first, as the network reads them but for the standardisation.

    Raises:
        DataError: see `predict_file`.
    """
    file_format = FeatureFormat(embedder.rank, features_first, key=key)
    with _named(path):
        if videos is not None:
            if is_video(path):
                return videos.make(path)
            videos.refuse_others(path)
        view = open_features(path, file_format)
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
    except (DataError, CheckpointError) as error:
        raise type(error)(f"{path}: {error}") from error


def write_predictions(
    folder: Path, predictions: Mapping[str, Prediction], frame_rate: float | None = None
) -> list[Path]:
    """`<name>.csv` (frame, progress, ...) and `<name>.png` of each recording; each file whole or not at all.

    Args:
        folder: to write to.
        predictions: by the names of the recordings.
        frame_rate: frames/s of the recordings; None writes no column of seconds.
    """
    written = []
    for name, found in predictions.items():
        if isinstance(found, ProgressAnswers):
            rows, columns = rows_of(found), columns_of(found)
            plot_prediction(
                folder / f"{name}.png", found.progress, name, found.frame_rate, (found.lower, found.upper),
                f"{100 * found.coverage:.0f} % interval", out_of_range=np.array([bool(r) for r in found.out_of_range]),
            )  # fmt: skip
        else:
            rows = ({"frame": i, "progress": f"{p:.{DECIMALS}f}"} for i, p in enumerate(found.tolist()))
            columns = ["frame", "progress"]
            plot_prediction(folder / f"{name}.png", found, name, frame_rate)
        if frame_rate is not None:
            rows = ({**row, "seconds": f"{row['frame'] / frame_rate:.3f}"} for row in rows)
            columns.insert(1, "seconds")
        write_csv(folder / f"{name}.csv", rows, columns)
        written += [folder / f"{name}.csv", folder / f"{name}.png"]
    return written
