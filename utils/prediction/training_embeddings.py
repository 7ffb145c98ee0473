"""Embeddings and true progress of the training videos, kept beside the checkpoint that made them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from configs.settings import with_settings
from utils.checkpoints.fingerprint import TRAINING_ANNOTATION, Fingerprint, training_data_digests
from utils.checkpoints.reading import read_archive
from utils.ckpt_save import load_model, save_content
from utils.data.dataset import VideoData, load_data
from utils.data.preparation import training_annotation_digest
from utils.errors import CheckpointError, DataError, MissingFileError, first_line
from utils.prediction.embedding import TRAINED, EmbeddedVideo, embed_videos
from utils.prediction.readouts import READOUTS_OF_TRAINING_VIDEOS
from utils.prediction.readouts.reference import TrainingReference

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingVideos:
    """Training videos of one task.

    Attributes:
        embeddings: (T_v, D) float32 each.
        progress: true progress over the video, (T_v,) float32 each.
    """

    embeddings: Sequence[Tensor]
    progress: Sequence[Tensor]

    @classmethod
    def of(cls, videos: Sequence[EmbeddedVideo]) -> TrainingVideos:
        """What read-outs need of videos that the trained network has embedded."""
        return cls(
            [video.embeddings[TRAINED] for video in videos],
            [torch.from_numpy(video.progress).float() for video in videos],
        )


def training_embeddings_path(checkpoint_path: str | Path) -> Path:
    """`<stem>.train_embeddings.pt` in the checkpoint's folder."""
    path = Path(checkpoint_path)
    return path.with_name(f"{path.stem}.train_embeddings.pt")


def embed_training_videos(
    checkpoint_path: str | Path,
    checkpoint: Mapping[str, Any],
    data: VideoData,
    device: torch.device | str = "cpu",
) -> dict[str, TrainingVideos]:
    """Embeds the training videos of every task.

    Args:
        checkpoint_path, checkpoint: the file and its content. It isn't read again: a training may write a better
            one in between.
        data: loaded by the checkpoint's configuration and with its standardisation.
        device: where to compute.

    Raises:
        CheckpointError: the data's width isn't the checkpoint's own, or an embedding isn't finite.
    """
    if data.feature_width != checkpoint["feature_width"]:
        raise CheckpointError(
            f"{checkpoint_path} reads features of width {checkpoint['feature_width']}; "
            f"the training data has {data.feature_width}"
        )
    network = {TRAINED: load_model(checkpoint, device)}
    tasks = {}
    for task in data.train.tasks:
        videos = embed_videos(network, data.train, data.train.of_task(task), device, f"embedding {task}, train")
        tasks[task] = TrainingVideos.of(videos)
    return tasks


def current_training_videos(
    path: Path, checkpoint: Mapping[str, Any], readout: str, places: Mapping[str, str], device: torch.device
) -> dict[str, TrainingVideos] | None:
    """The training videos that a read-out needs, as the data are now.

    Those beside the checkpoint are used if they were made from the same; else they are made again and kept.

    Args:
        path, checkpoint: the file and its content.
        readout: its name.
        places: DATASET_PATH and FEATURES_FOLDER, empty where they are those of the training.
        device: where to compute.

    Returns:
        Them by task; None if the checkpoint holds all that the read-out uses.
    """
    if readout not in READOUTS_OF_TRAINING_VIDEOS and checkpoint.get("progress_normalizers"):
        logger.info("--dataset-path is not needed: the checkpoint holds all that this read-out uses")
        return None
    config = with_settings(checkpoint["config"], **places)
    data = load_data(config, standardization=checkpoint.get("standardization"))
    fingerprint = fingerprint_of_training(checkpoint, config, data)
    stored = training_embeddings_path(path)
    if stored.is_file():
        try:
            tasks, made_from = _read(stored)
            differences = made_from.differences(fingerprint)
        except CheckpointError as error:
            logger.warning("%s; the training videos are embedded again", error)
        else:
            if not differences:
                return tasks
            logger.warning("%s holds embeddings of other %s; they are made again", stored, " and ".join(differences))
    tasks = embed_training_videos(path, checkpoint, data, device)
    try:
        logger.info("written %s", save_training_embeddings(path, tasks, fingerprint))
    except OSError as error:
        logger.warning("the training embeddings could not be kept for the next time: %s", error)
    return tasks


def keep_training_embeddings(
    checkpoint_path: str | Path,
    checkpoint: Mapping[str, Any],
    data: VideoData,
    embedded: Mapping[str, TrainingVideos],
    device: torch.device | str = "cpu",
    places: Mapping[str, str] | None = None,
) -> None:
    """Writes the training embeddings beside the checkpoint, for a later prediction, in place of what was there.

    A folder that can't be written to is no reason to lose an evaluation: that is a warning. So are data from another
    place that are not those of the training: nothing is written then.

    Args:
        checkpoint_path, checkpoint: the file and its content.
        data: what was evaluated.
        embedded: what has been embedded already; if a training task is missing, all are embedded again.
        device: where to compute.
        places: DATASET_PATH and FEATURES_FOLDER, empty where they are those of the training.
    """
    path, places = training_embeddings_path(checkpoint_path), places or {}
    if any(places.values()):
        noted = checkpoint.get("data_fingerprint")
        differences = _differences_from_training(checkpoint, training_data_digests(data.fingerprint()))
        if differences or not noted:
            logger.warning(
                "%s is left as it is: the data of --dataset-path or --features-folder %s; predict.py with the same "
                "option embeds their training videos", path,
                f"are of other {' and '.join(differences)} than the training was" if differences
                else "may be others than those of the training, of which the checkpoint says nothing",
            )  # fmt: skip
            return
    fingerprint = fingerprint_of_training(checkpoint, with_settings(checkpoint["config"], **places), data)
    try:
        if set(embedded) != set(data.train.tasks):
            embedded = embed_training_videos(checkpoint_path, checkpoint, data, device)
        save_training_embeddings(checkpoint_path, embedded, fingerprint)
    except OSError as error:
        logger.warning("%s could not be written: %s", path, error)


def fingerprint_of_training(checkpoint: Mapping[str, Any], config: Mapping[str, Any], data: VideoData) -> Fingerprint:
    """What the embeddings of the training videos follow from.

    Args:
        checkpoint: its content.
        config: its configuration, with the places of the data.
        data: loaded by it.
    """
    digests = {TRAINING_ANNOTATION: training_annotation_digest(config), **training_data_digests(data.fingerprint())}
    return Fingerprint.of(checkpoint, config, digests)


def _differences_from_training(checkpoint: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    """The parts of the data that are others than the checkpoint notes of its training; none where it notes nothing."""
    noted = training_data_digests(checkpoint.get("data_fingerprint") or {})
    return [part for part, digest in noted.items() if data.get(part) != digest]


def save_training_embeddings(
    checkpoint_path: str | Path, tasks: Mapping[str, TrainingVideos], fingerprint: Fingerprint
) -> Path:
    """Writes embeddings beside the checkpoint that made them, whole or not at all; returns the file."""
    path = training_embeddings_path(checkpoint_path)
    content = {
        "fingerprint": fingerprint.as_description(),
        "tasks": {
            task: {"embeddings": list(videos.embeddings), "progress": list(videos.progress)}
            for task, videos in tasks.items()
        },
    }
    save_content(content, path)
    return path


def load_training_embeddings(
    checkpoint_path: str | Path, checkpoint: Mapping[str, Any]
) -> dict[str, TrainingVideos]:
    """Reads what `save_training_embeddings` wrote, and compares what it was made from with all that is at hand.

    That is the checkpoint, and the annotation where its configuration says that it lies, if it is there. The features
    are not read; embeddings of other data than those of the training are used with a warning.

    Args:
        checkpoint_path: the checkpoint.
        checkpoint: its content.

    Raises:
        MissingFileError: there is no such file.
        CheckpointError: it isn't one, or was made from other weights, settings or annotation.
        DataError: the annotation is there and can't be used.
    """
    path = training_embeddings_path(checkpoint_path)
    if not path.is_file():
        raise MissingFileError(
            f"{path} does not exist, and a read-out that compares with training videos needs it; "
            f"eval.py writes it when it evaluates all tasks, and so does predict.py with --dataset-path"
        )
    replaced = f"eval.py --checkpoint {checkpoint_path}, or predict.py with --dataset-path, replaces them"
    try:
        tasks, made_from = _read(path)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {replaced}") from error
    config = checkpoint["config"]
    annotation = training_annotation_digest(config)
    at_hand = {} if annotation is None else {TRAINING_ANNOTATION: annotation}
    differences = made_from.differences(Fingerprint.of(checkpoint, config, {**made_from.data, **at_hand}))
    if differences:
        raise CheckpointError(
            f"{path} holds embeddings of other {' and '.join(differences)} than {checkpoint_path} stands for now; "
            f"{replaced}"
        )
    if changed := _differences_from_training(checkpoint, made_from.data):
        logger.warning("%s holds embeddings of other %s than the training had", path, " and ".join(changed))
    return tasks


def _read(path: Path) -> tuple[dict[str, TrainingVideos], Fingerprint]:
    """What a file of training embeddings holds.

    Raises:
        CheckpointError: it isn't one, or doesn't say what it was made from.
    """
    try:
        content = read_archive(path).content
    except (CheckpointError, OSError) as error:
        raise CheckpointError(f"{path} does not hold readable training embeddings: {first_line(error)}") from error
    try:
        if not isinstance(content, dict):
            raise TypeError(type(content).__name__)
        tasks = {
            task: TrainingVideos(list(videos["embeddings"]), list(videos["progress"]))
            for task, videos in content["tasks"].items()
        }
        for task, videos in tasks.items():
            try:
                TrainingReference(videos.embeddings, videos.progress)
            except ValueError as error:
                raise CheckpointError(f"{path}: task {task!r}: {error}") from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path} does not hold training embeddings of this project") from error
    try:
        return tasks, Fingerprint.read(content.get("fingerprint"))
    except DataError as error:
        raise CheckpointError(f"{path} {error}") from error
