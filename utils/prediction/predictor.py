"""Progress of a recording from a checkpoint alone: the whole of it, or frame by frame as it comes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from utils.ckpt_save import load_checkpoint
from utils.data.features import FEATURE_RANK
from utils.errors import CheckpointError, DataError, MissingFileError, nearest_name, shown
from utils.readouts import (
    READOUTS,
    READOUTS_OF_TRAINING_VIDEOS,
    Readout,
    make_path_readout,
    make_training_readout,
    run_readout,
)
from utils.prediction.recording_embedder import RecordingEmbedder, settings_of_checkpoint
from utils.prediction.stream import ProgressStream
from utils.prediction.training_embeddings import TrainingVideos, load_training_embeddings
from utils.tensorops import mean_total_path, path_length


class ProgressPredictor(RecordingEmbedder):
    """Predicts how far a recording is, from its features.

    Args:
        model: a network in evaluation mode, on `device`.
        readout: how progress is read from its embedding.
        feature_width, rank, standardization, skip_rate, device: see `RecordingEmbedder`. A frame that the network
            doesn't see has the progress of the last one seen.

    Example:
        >>> predictor = ProgressPredictor.from_checkpoint("best_model_combined.pt")    # doctest: +SKIP
        >>> progress = predictor.predict(np.load("recording.npy"))                     # doctest: +SKIP
    """

    def __init__(
        self,
        model: nn.Module,
        readout: Readout,
        feature_width: int,
        rank: int = FEATURE_RANK,
        standardization: Mapping[str, Tensor] | None = None,
        skip_rate: int = 1,
        device: torch.device | str = "cpu",
    ):
        super().__init__(model, feature_width, rank, standardization, skip_rate, device)
        self.readout = readout

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        task: str | None = None,
        readout: str = "path",
        device: torch.device | str = "cpu",
        training_videos: Mapping[str, TrainingVideos] | None = None,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> ProgressPredictor:
        """A predictor from a checkpoint, which holds all that it needs.

        Args:
            path: the checkpoint. Read-outs that compare with training videos need
                `<stem>.train_embeddings.pt` beside it, and so does 'path' where the checkpoint holds no normalisers.
            task: one of the training tasks. None: the mean of the tasks' normalisers, or the training videos
                of all tasks.
            readout: one of `utils.registry.READOUTS`: 'path', 'neighbours' or 'alignment'.
            device: where to compute.
            training_videos: by task, instead of those beside the checkpoint.
            checkpoint: its content, where it has been read already.

        Raises:
            MissingFileError: no such checkpoint, or no training embeddings beside it.
            CheckpointError: it can't be read, or lacks what the read-out needs.
            DataError: an unknown task or read-out.
        """
        if readout not in READOUTS:
            raise DataError(f"the read-out is {shown(readout)}; expected one of {', '.join(READOUTS)}")
        checkpoint = load_checkpoint(path) if checkpoint is None else checkpoint
        model, *rest = settings_of_checkpoint(checkpoint, device)
        return cls(model, _make_readout(path, checkpoint, task, readout, training_videos), *rest)

    def predict(self, features: np.ndarray | Tensor) -> np.ndarray:
        """Progress of a whole recording.

        With a causal network the progress of a frame depends on no later one; otherwise on `frames_ahead`.

        Args:
            features: (T, D), or (T, channels, height, width) for an encoder that reads maps; real numbers, T >= 1.

        Returns:
            (T,) float64 in [0, 1].

        Raises:
            DataError: another shape, no frame, or a value that isn't finite in single precision.
        """
        return self.predict_with_embedding(features)[0]

    def predict_with_embedding(self, features: np.ndarray | Tensor) -> tuple[np.ndarray, np.ndarray]:
        """As `predict`, and the embedding that progress is read from.

        Returns:
            Progress (T,) float64 in [0, 1], and the embedding (T, E) float32; where skip_rate is above 1, a frame that
            the network doesn't see has those of the last one seen.
        """
        embedding = self.embed_recording(features)
        number = len(features)
        progress = np.repeat(run_readout(self.readout, embedding), self.skip_rate)[:number]
        return progress, np.repeat(embedding.numpy(), self.skip_rate, axis=0)[:number]

    def stream(self) -> ProgressStream:
        """A stream for a recording that is still going on; every recording needs its own.

        Raises:
            CheckpointError: the network reads the whole video for every frame.
        """
        if not math.isfinite(self.model.frames_ahead):
            raise CheckpointError(
                "this network can't be streamed: its attention (ARCHITECTURE.attention_layout "
                "'interleaved', as of checkpoints of the original code) reads the whole video for every frame"
            )
        return ProgressStream(self)


def _make_readout(
    path: str | Path,
    checkpoint: Mapping[str, Any],
    task: str | None,
    name: str,
    training_videos: Mapping[str, TrainingVideos] | None,
) -> Readout:
    if name in READOUTS_OF_TRAINING_VIDEOS:
        tasks = training_videos or load_training_embeddings(path, checkpoint)
        chosen = [tasks[_known(task, tasks)]] if task is not None else list(tasks.values())
        return make_training_readout(
            name,
            [embedding for videos in chosen for embedding in videos.embeddings],
            [truth for videos in chosen for truth in videos.progress],
        )
    normalizers = checkpoint.get("progress_normalizers") or _mean_paths(path, checkpoint, training_videos)
    values = [normalizers[_known(task, normalizers)]] if task is not None else list(normalizers.values())
    try:
        return make_path_readout(name, sum(values) / len(values))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: progress_normalizers: {error}") from error


def _mean_paths(
    path: str | Path, checkpoint: Mapping[str, Any], training_videos: Mapping[str, TrainingVideos] | None
) -> dict[str, float]:
    """The normalisers of a checkpoint that holds none, from the embeddings of its training videos."""
    try:
        tasks = training_videos or load_training_embeddings(path, checkpoint)
    except MissingFileError as error:
        raise CheckpointError(
            f"{path} holds no progress_normalizers, by which the path is divided; the end of the training writes "
            f"them into best_model_combined.pt and best_model_alignment.pt, and for any other checkpoint eval.py, "
            f"or predict.py with --dataset-path, embeds the training videos"
        ) from error
    return {task: mean_total_path(map(path_length, videos.embeddings)) for task, videos in tasks.items()}


def _known(task: str, tasks: Mapping[str, Any]) -> str:
    if task not in tasks:
        nearest = nearest_name(task, tasks)
        hint = f"did you mean {nearest!r}?" if nearest else f"expected one of {', '.join(sorted(tasks))}"
        raise DataError(f"the checkpoint was not trained on task {shown(task)}; {hint}")
    return task
