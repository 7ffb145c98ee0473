"""Progress of a recording from a checkpoint alone: the whole of it, or frame by frame as it comes."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from utils.ckpt_save import load_checkpoint, load_model
from utils.data.features import FEATURE_RANK, MAP_RANK
from utils.data.standardization import checked_standardization
from utils.errors import CheckpointError, DataError, MissingFileError, nearest_name, shown
from utils.prediction.readouts import (
    READOUTS,
    READOUTS_OF_TRAINING_VIDEOS,
    Readout,
    make_path_readout,
    make_training_readout,
    run_readout,
)
from utils.prediction.stream import ProgressStream
from utils.prediction.training_embeddings import TrainingVideos, load_training_embeddings
from utils.registry import reads_maps
from utils.tensorops import mean_total_path, path_length

logger = logging.getLogger(__name__)


class ProgressPredictor:
    """Predicts how far a recording is, from its features.

    Args:
        model: a network in evaluation mode, on `device`.
        readout: how progress is read from its embedding.
        feature_width: D of the features, or the channels of the maps.
        rank: axes of a recording's features, 2 for (T, D), 4 for maps (T, channels, height, width).
        standardization: {'mean', 'std'} of (feature_width,), or None.
        skip_rate: the network was trained on every skip_rate-th frame and sees only those here; a frame in
            between has the progress of the last one seen.
        device: where the network computes.

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
        self.model, self.readout, self.device = model, readout, torch.device(device)
        self.feature_width, self.rank, self.skip_rate = feature_width, rank, skip_rate
        self._standardization = None
        if standardization is not None:
            checked = checked_standardization(standardization, feature_width)
            shape = (-1,) + (1,) * (rank - 2)
            self._standardization = tuple(checked[key].view(shape) for key in ("mean", "std"))

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
        config = checkpoint["config"]
        return cls(
            load_model(checkpoint, device),
            _make_readout(path, checkpoint, task, readout, training_videos),
            checkpoint["feature_width"],
            MAP_RANK if reads_maps(config) else FEATURE_RANK,
            checkpoint.get("standardization"),
            int(config.get("SKIP_RATE", 1)),
            device,
        )

    @property
    def frames_ahead(self) -> int | float:
        """How many later frames a frame's progress depends on, and by how many a stream lags: 0 when causal.

        In frames of the recording; infinite where the network reads the whole video for every frame.
        """
        return self.model.frames_ahead * self.skip_rate if self.model.frames_ahead else 0

    def log_what_it_reads(self) -> None:
        """Says in the log what is not read of a recording, and what is read ahead of a frame."""
        if self.skip_rate > 1:
            logger.info("the network sees every %d-th frame, as in its training", self.skip_rate)
        if self.frames_ahead:
            seen = f"{self.frames_ahead} frames" if math.isfinite(self.frames_ahead) else "all frames"
            logger.warning("the network is not causal: progress depends on %s ahead and lags by them", seen)

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
        frames = self.check_frames(features)
        if not len(frames):
            raise DataError("there is no frame; expected at least 1")
        progress = run_readout(self.readout, self.embed(frames[:: self.skip_rate]))
        return np.repeat(progress, self.skip_rate)[: len(frames)]

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

    @torch.inference_mode()
    def embed(self, frames: Tensor) -> Tensor:
        """(n, ...) checked frames to their embedding (n, D), as if they were a whole video.

        Raises:
            CheckpointError: the embedding isn't finite.
        """
        if self._standardization is not None:
            mean, deviation = self._standardization
            frames = (frames - mean) / deviation
        embedding = self.model([frames.to(self.device)])["outputs"][0].float().cpu()
        if not torch.isfinite(embedding).all():
            raise CheckpointError("the network gives a non-finite embedding for these features")
        return embedding

    def check_frames(self, features: np.ndarray | Tensor, first: int = 0) -> Tensor:
        """The features as float32 (n, ...), n >= 0.

        Args:
            features: what the caller gave.
            first: number of the first of these frames, for the message.

        Raises:
            DataError: see `predict`.
        """
        if isinstance(features, np.ndarray):
            if features.dtype.kind not in "fiu":
                raise DataError(f"the features are of type {features.dtype}; expected real numbers")
            with np.errstate(over="ignore"):  # what overflows is found below, with its place
                features = torch.from_numpy(np.array(features, dtype=np.float32))
        try:
            frames = torch.as_tensor(features)
        except (TypeError, ValueError, RuntimeError) as error:
            raise DataError(f"the features are {shown(features)}; expected an array of numbers") from error
        if frames.is_complex() or frames.dtype == torch.bool:
            raise DataError(f"the features are of type {frames.dtype}; expected real numbers")
        wanted = f"(frames, {self.feature_width}{', height, width' if self.rank == MAP_RANK else ''})"
        if frames.dim() != self.rank or frames.shape[1] != self.feature_width or 0 in frames.shape[1:]:
            raise DataError(f"the features have shape {tuple(frames.shape)}; expected {wanted}")
        frames = frames.detach().to("cpu", torch.float32)
        finite = torch.isfinite(frames)
        if not finite.all():
            frame, *feature = torch.nonzero(~finite)[0].tolist()
            raise DataError(
                f"the features hold {float(frames[(frame, *feature)])} at frame {first + frame}, "
                f"feature {', '.join(map(str, feature))}; expected finite single-precision values"
            )
        return frames


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
