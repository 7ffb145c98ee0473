"""Embeddings and true progress of the training videos, kept beside the checkpoint that made them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from configs.settings import with_settings
from utils.checkpoints.reading import read_archive
from utils.ckpt_save import load_model, save_content
from utils.data.dataset import VideoData, load_data
from utils.errors import CheckpointError, MissingFileError, first_line
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


def weights_digest(checkpoint: Mapping[str, Any]) -> str:
    """A digest of the network's weights, which tells whether embeddings are this checkpoint's."""
    digest = hashlib.sha256()
    for name, weight in sorted(checkpoint["model_state_dict"].items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


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


def embed_missing_training_videos(
    path: Path, checkpoint: Mapping[str, Any], readout: str, places: Mapping[str, str], device: torch.device
) -> dict[str, TrainingVideos] | None:
    """The training embeddings that a read-out needs, written beside the checkpoint for the next time.

    Args:
        path, checkpoint: the file and its content.
        readout: its name.
        places: DATASET_PATH and FEATURES_FOLDER, empty where they are those of the training.
        device: where to compute.

    Returns:
        Them by task; None if they are there already, or the checkpoint holds all that the read-out uses.
    """
    if readout not in READOUTS_OF_TRAINING_VIDEOS and checkpoint.get("progress_normalizers"):
        logger.info("--dataset-path is not needed: the checkpoint holds all that this read-out uses")
        return None
    if has_training_embeddings(path, checkpoint):
        return None
    config = with_settings(checkpoint["config"], **places)
    data = load_data(config, standardization=checkpoint.get("standardization"))
    tasks = embed_training_videos(path, checkpoint, data, device)
    try:
        logger.info("written %s", save_training_embeddings(path, checkpoint, tasks))
    except OSError as error:
        logger.warning("the training embeddings could not be kept for the next time: %s", error)
    return tasks


def keep_training_embeddings(
    checkpoint_path: str | Path,
    checkpoint: Mapping[str, Any],
    data: VideoData,
    embedded: Mapping[str, TrainingVideos],
    device: torch.device | str = "cpu",
) -> None:
    """Writes the training embeddings beside the checkpoint unless they are there, for a later prediction.

    A folder that can't be written to is no reason to lose an evaluation: that is a warning.

    Args:
        checkpoint_path, checkpoint: the file and its content.
        data: its data set.
        embedded: what has been embedded already; if a training task is missing, all are embedded anew.
        device: where to compute.
    """
    if has_training_embeddings(checkpoint_path, checkpoint):
        return
    try:
        if set(embedded) == set(data.train.tasks):
            save_training_embeddings(checkpoint_path, checkpoint, embedded)
        else:
            everything = embed_training_videos(checkpoint_path, checkpoint, data, device)
            save_training_embeddings(checkpoint_path, checkpoint, everything)
    except OSError as error:
        logger.warning("%s could not be written: %s", training_embeddings_path(checkpoint_path), error)


def save_training_embeddings(
    checkpoint_path: str | Path, checkpoint: Mapping[str, Any], tasks: Mapping[str, TrainingVideos]
) -> Path:
    """Writes embeddings beside the checkpoint that made them, whole or not at all; returns the file."""
    path = training_embeddings_path(checkpoint_path)
    content = {
        "weights": weights_digest(checkpoint),
        "tasks": {
            task: {"embeddings": list(videos.embeddings), "progress": list(videos.progress)}
            for task, videos in tasks.items()
        },
    }
    save_content(content, path)
    return path


def has_training_embeddings(checkpoint_path: str | Path, checkpoint: Mapping[str, Any]) -> bool:
    """Whether the file is there, readable, and of these weights."""
    try:
        load_training_embeddings(checkpoint_path, checkpoint)
    except (CheckpointError, MissingFileError):
        return False
    return True


def load_training_embeddings(
    checkpoint_path: str | Path, checkpoint: Mapping[str, Any]
) -> dict[str, TrainingVideos]:
    """Reads what `save_training_embeddings` wrote.

    Args:
        checkpoint_path: the checkpoint.
        checkpoint: its content.

    Raises:
        MissingFileError: there is no such file.
        CheckpointError: it isn't one, or belongs to other weights.
    """
    path = training_embeddings_path(checkpoint_path)
    if not path.is_file():
        raise MissingFileError(
            f"{path} does not exist, and a read-out that compares with training videos needs it; "
            f"eval.py writes it when it evaluates all tasks, and so does predict.py with --dataset-path"
        )
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
        weights = content["weights"]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path} does not hold training embeddings of this project") from error
    if weights != weights_digest(checkpoint):
        raise CheckpointError(
            f"{path} holds embeddings of other weights than {checkpoint_path}; eval.py, or predict.py with "
            f"--dataset-path, replaces them"
        )
    return tasks
