"""Progress of a recording from a checkpoint alone: the whole of it, or frame by frame as it comes."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from utils.ckpt_save import load_checkpoint
from utils.data.features import FEATURE_RANK
from utils.errors import CheckpointError, DataError, MissingFileError, nearest_name, shown
from utils.prediction.progress.model import EMBEDDING, ProgressAnswers, ProgressModel
from utils.prediction.progress_files import chosen_model, load_for_checkpoint, progress_path
from utils.prediction.readouts import (
    READOUTS,
    READOUTS_OF_TRAINING_VIDEOS,
    Readout,
    make_path_readout,
    make_training_readout,
)
from utils.prediction.recording_embedder import RecordingEmbedder, settings_of_checkpoint
from utils.prediction.stream import ProgressStream
from utils.prediction.training_embeddings import TrainingVideos, load_training_embeddings
from utils.registry import AUTO
from utils.tensorops import mean_total_path, path_length

logger = logging.getLogger(__name__)


class FeaturesAsTheyAre(nn.Module):
    """A network that gives its input, for progress that is read from the features."""

    frames_ahead = 0
    frames_behind = 0

    def forward(self, sequences: list[Tensor]) -> dict[str, list[Tensor]]:
        return {"outputs": sequences}


class ProgressPredictor(RecordingEmbedder):
    """Predicts how far a recording is, from its features.

    Args:
        model: a network in evaluation mode, on `device`.
        readout: how progress is read from its embedding; a `ProgressModel` gives a whole answer.
        feature_width, rank, standardization, skip_rate, device: see `RecordingEmbedder`. A frame that the network
            doesn't see has the progress of the last one seen.

    Example:
        >>> predictor = ProgressPredictor.from_checkpoint("best_model_combined.pt")    # doctest: +SKIP
        >>> progress = predictor.predict(np.load("recording.npy"))                     # doctest: +SKIP
    """

    def __init__(
        self,
        model: nn.Module,
        readout: Readout | ProgressModel,
        feature_width: int,
        rank: int = FEATURE_RANK,
        standardization: Mapping[str, Tensor] | None = None,
        skip_rate: int = 1,
        device: torch.device | str = "cpu",
    ):
        super().__init__(model, feature_width, rank, standardization, skip_rate, device)
        self.readout = readout
        self.embedder: RecordingEmbedder = self  # makes the embedding that is returned beside progress

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        task: str | None = None,
        readout: str = AUTO,
        device: torch.device | str = "cpu",
        training_videos: Mapping[str, TrainingVideos] | None = None,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> ProgressPredictor:
        """A predictor from a checkpoint, which holds all that it needs.

        Args:
            path: the checkpoint. Read-outs that compare with training videos need
                `<stem>.train_embeddings.pt` beside it, and so does 'path' where the checkpoint holds no normalisers;
                'auto' needs `<stem>.progress.pt`, which the end of the training writes.
            task: one of the training tasks. None: the mean of the tasks' normalisers, or the training videos
                of all tasks.
            readout: 'auto', or one of `utils.registry.READOUTS`: 'path', 'neighbours' or 'alignment'. Where nothing has
                been fitted, 'auto' is 'path', with a warning.
            device: where to compute.
            training_videos: by task, instead of those beside the checkpoint.
            checkpoint: its content, where it has been read already.

        Raises:
            MissingFileError: no such checkpoint, or no training embeddings beside it.
            CheckpointError: it can't be read, or lacks what the read-out needs.
            DataError: an unknown task or read-out.
        """
        if readout not in (AUTO, *READOUTS):
            raise DataError(f"the read-out is {shown(readout)}; expected one of {', '.join((AUTO, *READOUTS))}")
        checkpoint = load_checkpoint(path) if checkpoint is None else checkpoint
        if readout == AUTO:
            models = load_for_checkpoint(path, checkpoint)
            if models is not None and (task is not None or len(models) == 1):
                return cls.with_model(checkpoint, chosen_model(models, task, progress_path(path)), device)
            _say_why_path(path, checkpoint, models)
            readout = "path"
        model, *rest = settings_of_checkpoint(checkpoint, device)
        progress_loss = checkpoint["config"].get("PROGRESS_LOSS") or {}
        if readout == "path" and progress_loss.get("enabled") and progress_loss.get("level") == "action":
            logger.warning(
                "%s was trained for progress inside each action (PROGRESS_LOSS.level 'action'), and its path length is "
                "read over the whole recording; with the read-out 'auto', the column step_progress is progress inside "
                "the step", path,
            )  # fmt: skip
        return cls(model, _make_readout(path, checkpoint, task, readout, training_videos), *rest)

    @classmethod
    def with_model(
        cls, checkpoint: Mapping[str, Any], progress_model: ProgressModel, device: torch.device | str = "cpu"
    ) -> ProgressPredictor:
        """A predictor that answers by a progress model.

        Args:
            checkpoint: the content of the checkpoint that the model was fitted for.
            progress_model: of one task.
            device: where to compute.
        """
        network, *rest = settings_of_checkpoint(checkpoint, device)
        reads_embedding = progress_model.input == EMBEDDING
        predictor = cls(network if reads_embedding else FeaturesAsTheyAre(), progress_model, *rest)
        predictor.embedder = predictor if reads_embedding else RecordingEmbedder(network, *rest)
        return predictor

    @classmethod
    def of_features(cls, progress_model: ProgressModel, skip_rate: int = 1) -> ProgressPredictor:
        """A predictor that needs no network: its model reads the features, every skip_rate-th frame."""
        return cls(FeaturesAsTheyAre(), progress_model, progress_model.width, skip_rate=skip_rate)

    @property
    def gives_answers(self) -> bool:
        """Whether there is more than progress: see `predict_answers`."""
        return isinstance(self.readout, ProgressModel)

    def predict_answers(self, features: np.ndarray | Tensor) -> ProgressAnswers:
        """Progress of a whole recording with its interval, the step, what remains, and whether to believe it.

        Args:
            features: as for `predict`.

        Raises:
            DataError: as for `predict`; or the read-out gives progress alone.
        """
        if not isinstance(self.readout, ProgressModel):
            raise DataError("this read-out gives progress alone; the read-out 'auto' gives more")
        rows = np.repeat(self.readout.start().update(self.embed_recording(features)), self.skip_rate)[: len(features)]
        rows["remaining"] *= self.skip_rate  # in frames of the recording, of which the model counts some
        answers = self.readout.answers(rows)
        return answers if answers.frame_rate is None else replace(
            answers, frame_rate=answers.frame_rate * self.skip_rate
        )

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
        found = self.readout.start().update(embedding)
        progress = np.repeat(found["progress"] if self.gives_answers else found, self.skip_rate)[:number]
        if self.embedder is not self:
            return progress, self.embedding_of_frames(features)
        return progress, np.repeat(embedding.numpy(), self.skip_rate, axis=0)[:number]

    def embedding_of_frames(self, features: np.ndarray | Tensor) -> np.ndarray:
        """The network's embedding of every frame, (T, E) float32, as `predict_with_embedding` gives it.

        Args:
            features: as for `predict`.
        """
        embedding = self.embedder.embed_recording(features)
        return np.repeat(embedding.numpy(), self.skip_rate, axis=0)[: len(features)]

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


def _say_why_path(
    path: str | Path, checkpoint: Mapping[str, Any], models: Mapping[str, ProgressModel] | None
) -> None:
    """Says why a checkpoint's progress is read by path length, though another way was chosen or could be."""
    if models is None and not checkpoint["config"].get("LABELS", True):
        logger.warning(
            "the network was trained without labels, so that progress is read from the path length of the embedding, "
            "and there are no steps, no interval and nothing that remains"
        )
    elif models is None:
        logger.warning(
            "%s does not exist, so that progress is read from the path length of the embedding; "
            "python -m utils.prediction.fit_progress --checkpoint %s chooses a better way", progress_path(path), path,
        )  # fmt: skip
    else:
        logger.warning(
            "without --task, progress is read from the path length of the embedding, as of any of the tasks %s",
            ", ".join(sorted(models)),
        )


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
