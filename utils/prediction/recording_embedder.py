"""The embedding of a recording from a checkpoint alone."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from utils.ckpt_save import load_model
from utils.data.features import FEATURE_RANK, MAP_RANK
from utils.data.standardization import checked_standardization
from utils.errors import CheckpointError, DataError, shown
from utils.registry import reads_maps

logger = logging.getLogger(__name__)


def settings_of_checkpoint(checkpoint: Mapping[str, Any], device: torch.device | str = "cpu") -> tuple:
    """What `RecordingEmbedder` is made with, in its order, from the content of a checkpoint."""
    config = checkpoint["config"]
    return (
        load_model(checkpoint, device),
        checkpoint["feature_width"],
        MAP_RANK if reads_maps(config) else FEATURE_RANK,
        checkpoint.get("standardization"),
        int(config.get("SKIP_RATE", 1)),
        device,
    )


class RecordingEmbedder:
    """Embeds recordings as the evaluation does: standardised, every skip_rate-th frame, whole.

    Args:
        model: a network in evaluation mode, on `device`.
        feature_width: D of the features, or the channels of the maps.
        rank: axes of a recording's features, 2 for (T, D), 4 for maps (T, channels, height, width).
        standardization: {'mean', 'std'} of (feature_width,), or None.
        skip_rate: the network was trained on every skip_rate-th frame and sees only those here.
        device: where the network computes.
    """

    def __init__(
        self,
        model: nn.Module,
        feature_width: int,
        rank: int = FEATURE_RANK,
        standardization: Mapping[str, Tensor] | None = None,
        skip_rate: int = 1,
        device: torch.device | str = "cpu",
    ):
        self.model, self.device = model, torch.device(device)
        self.feature_width, self.rank, self.skip_rate = feature_width, rank, skip_rate
        self._standardization = None
        if standardization is not None:
            checked = checked_standardization(standardization, feature_width)
            shape = (-1,) + (1,) * (rank - 2)
            self._standardization = tuple(checked[key].view(shape) for key in ("mean", "std"))

    @property
    def frames_ahead(self) -> int | float:
        """How many later frames the embedding of a frame, and its progress, depend on: 0 when causal.

        In frames of the recording; infinite where the network reads the whole video for every frame. A stream lags
        by so many.
        """
        return self.model.frames_ahead * self.skip_rate if self.model.frames_ahead else 0

    def log_what_it_reads(self, what: str = "progress") -> None:
        """Says in the log what is not read of a recording, and what is read ahead of a frame.

        Args:
            what: the thing that depends on it.
        """
        if self.skip_rate > 1:
            logger.info("the network sees every %d-th frame, as in its training", self.skip_rate)
        if self.frames_ahead:
            seen = f"{self.frames_ahead} frames" if math.isfinite(self.frames_ahead) else "all frames"
            logger.warning("the network is not causal: %s depends on %s ahead and lags by them", what, seen)

    def embed_recording(self, features: np.ndarray | Tensor) -> Tensor:
        """The embedding of the frames of a whole recording that the network sees: 0, skip_rate, 2 skip_rate, ...

        Args:
            features: (T, D), or (T, channels, height, width) for an encoder that reads maps; real numbers, T >= 1.

        Returns:
            (ceil(T / skip_rate), E) float32, on the CPU.

        Raises:
            DataError: another shape, no frame, or a value that isn't finite in single precision.
        """
        frames = self.check_frames(features)
        if not len(frames):
            raise DataError("there is no frame; expected at least 1")
        return self.embed(frames[:: self.skip_rate])

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
            DataError: see `embed_recording`.
        """
        if isinstance(features, np.ndarray):
            if features.dtype.kind not in "fiu":
                raise DataError(f"the features are of type {features.dtype}; expected real numbers")
            with np.errstate(over="ignore"):  # what overflows is found below, with its place
                features = torch.from_numpy(np.array(features, dtype=np.float32))
        try:
            if isinstance(features, (list, tuple)) and all(isinstance(frame, np.ndarray) for frame in features):
                features = np.array(features, dtype=np.float32)  # a list of arrays is slow to convert otherwise
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
