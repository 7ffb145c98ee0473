"""Features of a recording's video, made as those of the training were."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from utils.data.feature_origin import FeatureKind, read_origin
from utils.errors import CheckpointError, DataError
from utils.video.decoding import PictureConverter
from utils.video.encoders.protocol import ImageEncoder
from utils.video.extraction import available_processors
from utils.video.features import FeatureMaker, encoder_of, feature_rows
from utils.video.recordings import find_videos

logger = logging.getLogger(__name__)


class VideoFeatures:
    """What a checkpoint says of how its features were made of videos, and the features of further videos.

    Args:
        kind: how; None if the training's features were of unknown origin.
        encoder: description of the encoder to use instead of the training's, such as another path of its file.
    """

    def __init__(self, kind: FeatureKind | None, encoder: str = ""):
        self.kind, self._description = kind, encoder
        self._encoder: ImageEncoder | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any], path: Path, encoder: str = "") -> VideoFeatures:
        """From the content of a checkpoint, or of a file of progress models.

        Raises:
            CheckpointError: it isn't what they hold.
        """
        kind = content.get("feature_kind")
        try:
            return cls(None if kind is None else FeatureKind.of(kind), encoder)
        except DataError as error:
            raise CheckpointError(f"{path}: feature_kind {error}") from error

    @property
    def frame_rate(self) -> float | None:
        """Frames/s; None if it isn't known."""
        return None if self.kind is None else self.kind.frame_rate

    def make(self, path: Path) -> np.ndarray:
        """The features of a video: float32 (T, ...).

        Args:
            path: the video; where the training had several cameras, that of any of them, <camera>/<recording>.mp4, with
                the folders of the others beside its own.

        Raises:
            DataError: it can't be used; or nobody knows how the training's features were made.
            ConfigError, MissingFileError, MissingExtraError: the encoder can't be made.
        """
        encoder = self._made_encoder()
        rows = feature_rows(
            self._videos_of(path), encoder, self.kind.frame_rate, self.kind.motion, available_processors()
        )
        return np.stack(list(rows))

    def of_frames(self) -> Callable[[Any], np.ndarray]:
        """Makes the features of the frames of one camera, one after the other.

        Returns:
            From a frame as PyAV decodes it to its features, float32. The frames come at `frame_rate`.

        Raises:
            DataError: nobody knows how the training's features were made, or they are of several cameras.
            ConfigError, MissingFileError, MissingExtraError: the encoder can't be made.
        """
        encoder = self._made_encoder()
        if len(self.kind.cameras) > 1:
            raise DataError(
                f"the training's features are of {len(self.kind.cameras)} cameras, which can only be read from files"
            )
        convert, maker = PictureConverter(encoder.size, encoder.resize), FeatureMaker(encoder, self.kind.motion)
        return lambda frame: maker.add(convert(frame))

    def _made_encoder(self) -> ImageEncoder:
        if self.kind is None:
            raise DataError(
                "is a video, and the checkpoint doesn't say how the features of its training were made; expected a "
                "file of features, or a checkpoint of a data set of videos (docs/video.md)"
            )
        if self._encoder is None:
            self._encoder = encoder_of(self.kind, self._description)
        return self._encoder

    def _videos_of(self, path: Path) -> tuple[Path, ...]:
        cameras = self.kind.cameras
        if not cameras:
            return (path,)
        if path.parent.name not in cameras:
            raise DataError(
                f"is in the folder {path.parent.name!r}; expected {cameras[0]}/{path.name} beside the folders of the "
                f"cameras {', '.join(cameras)}, as in the training"
            )
        problems: list[str] = []
        for recording in find_videos(path.absolute().parent.parent, cameras, problems):
            if recording.name == path.stem:
                return recording.paths
        raise DataError(next((problem for problem in problems if path.stem in problem), "a camera's video is missing"))

    def refuse_others(self, path: Path) -> None:
        """Refuses a file of features that were made of a video in another way than the training's.

        Raises:
            DataError: its origin says so, or can't be read.
        """
        origin = read_origin(path) if self.kind is not None else None
        if origin is not None and not origin.kind.same_as(self.kind):
            raise DataError(f"its features are of {origin.kind.words()}; the training's of {self.kind.words()}")
