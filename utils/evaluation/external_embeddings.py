"""From embeddings that any other code made to figures on disk: check, measure as a trained network's, write, draw."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.settings import with_settings
from utils.checkpoints.fingerprint import Fingerprint, evaluated_data_digests
from utils.data.data_settings import read_data_settings
from utils.data.dataset import VideoData, load_data
from utils.data.features import feature_path
from utils.errors import DataError, MissingFileError, place
from utils.evaluation.checkpoint import (
    EvaluationRequest,
    check_writable,
    data_set_of,
    evaluate_embedded,
    tasks_of_split,
    version_of,
)
from utils.evaluation.pictures import check_names
from utils.evaluation.results import Result
from utils.metrics.table import METRICS, Metric
from utils.prediction.embedding import TRAINED, EmbeddedVideo, embedded_video

logger = logging.getLogger(__name__)

# What the settings say of feature files and is otherwise with embeddings: (T, D), used as they are.
AS_THEY_ARE = {"FEATURE_LAYOUT": "frames_first", "STANDARDIZE": False}


def evaluate_embeddings(
    embeddings: Path,
    config: Mapping[str, Any],
    request: EvaluationRequest,
    folder: Path,
    frames_ahead: int | None = None,
    metrics: Mapping[str, Metric] = METRICS,
) -> list[Result]:
    """Evaluates embeddings as those of a trained network, beside naive guesses and, where they are there, raw features.

    Args:
        embeddings: a folder with `<handle>.npy` for each recording of the training split and of the one to judge:
            (T, D), a row for each frame of the recording, D the same for all.
        config: the settings of the data set; its SKIP_RATE is that of the embeddings too.
        request: what to evaluate on.
        folder: where to write.
        frames_ahead: how many later frames an embedding depends on, None if nobody knows.
        metrics: what to measure.

    Returns:
        The figures of every task, then those of the mean of tasks.

    Raises:
        DataError: with everything that is wrong with the data set, the embeddings or, where all are there, the raw
            features.
        OSError: the folder can't be written to; said before anything is computed.
    """
    if not embeddings.is_dir():
        raise MissingFileError(f"{embeddings} is no folder; expected one that holds <recording>.npy for each recording")
    config = with_settings(config, **request.places(), TASKS=request.tasks)
    data_set = data_set_of(config)
    check_writable(folder)
    splits = ("train", request.split)
    encoder = {"BASEARCH": {**config["BASEARCH"], "ARCHITECTURE": "naive"}}  # one that reads no maps
    data = load_data({**config, **AS_THEY_ARE, **encoder, "FEATURES_FOLDER": str(embeddings.resolve())}, splits=splits)
    tasks = tasks_of_split(data, data.train.tasks, data_set, request.split)
    check_names(request.videos, (v.handle for v in getattr(data, request.split).videos if v.task in tasks))
    raw = _raw_features(config, data, splits)

    def embed(task: str) -> list[list[EmbeddedVideo]]:
        return [_videos(data, raw, split, task) for split in splits]

    description = {
        "checkpoint": embeddings.resolve().name,
        "fingerprint": _fingerprint(config, data, request, metrics).as_description(),
        "epoch": None,
        "data_set": config["DATASET_NAME"],
        "skipped_tasks": data.skipped_tasks,
    }
    return evaluate_embedded(folder, tasks, embed, request, description, frames_ahead, metrics)


def _fingerprint(
    config: Mapping[str, Any], data: VideoData, request: EvaluationRequest, metrics: Mapping[str, Metric]
) -> Fingerprint:
    """What the figures follow from: no weights, and the embeddings in place of the features."""
    no_network = {"model_state_dict": {}}
    return Fingerprint.of(no_network, config, evaluated_data_digests(data, request.split), version_of(metrics))


def _videos(data: VideoData, raw: VideoData | None, split: str, task: str) -> list[EmbeddedVideo]:
    part, features = getattr(data, split), None if raw is None else getattr(raw, split)
    videos = []
    for index in part.of_task(task):
        embedding, time_dict = part[index]
        handle = part.videos[index].handle
        own = None if features is None else features[index][0]
        videos.append(embedded_video(handle, time_dict, {TRAINED: embedding}, own, with_raw=True))
    return videos


def _raw_features(config: Mapping[str, Any], data: VideoData, splits: tuple[str, ...]) -> VideoData | None:
    """The data set's own features, in the order of the embeddings; None, with a warning, where some aren't there.

    Raises:
        DataError: they can't be read, or a recording has another number of frames than its embedding.
    """
    folder = read_data_settings(config).features_folder
    videos = [video for split in splits for video in getattr(data, split).videos]
    missing = [path for path in (feature_path(folder, video.handle) for video in videos) if not path.is_file()]
    if missing:
        logger.warning(
            "raw features are left out: %d of %d feature files are missing, %s first", len(missing), len(videos),
            missing[0],
        )  # fmt: skip
        return None
    raw = load_data(config, splits=splits)
    features = [video for split in splits for video in getattr(raw, split).videos]
    problems = [
        f"{place(own.path, own.task, own.handle)}{own.number_of_frames} frames of embeddings; expected "
        f"{other.number_of_frames}, as in {other.path}"
        for own, other in zip(videos, features, strict=True)
        if own.number_of_frames != other.number_of_frames
    ]
    if problems:
        raise DataError(problems)
    return raw
