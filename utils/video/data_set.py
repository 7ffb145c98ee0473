"""A data set of videos: features that are missing are made of them, once, before anything else reads the data set."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from utils.data.annotation import collect_annotation
from utils.data.data_settings import read_data_settings
from utils.data.feature_origin import FeatureKind, common_kind, read_origin
from utils.data.features import feature_path
from utils.errors import ConfigError, DataError, place
from utils.registry import DEFAULT_ENCODER
from utils.video.decoding import open_video
from utils.video.encoders import make_encoder
from utils.video.extraction import Extraction, available_processors, extract_all, features_path, is_extracted
from utils.video.features import feature_rows, feature_shape, kind_of
from utils.video.recordings import VideoRecording, find_videos, videos_folder

logger = logging.getLogger(__name__)

DEFAULT_RATE = 10.0
FRAMES_MEASURED = 20


@dataclass(frozen=True)
class Missing:
    """Features that are to be made.

    Attributes:
        recordings: of which videos; some may have failed before.
        folder: where to.
        extraction: how.
        kind: what they will be called.
        annotated: how many recordings the annotation names.
    """

    recordings: Sequence[VideoRecording]
    folder: Path
    extraction: Extraction
    kind: FeatureKind
    annotated: int

    def words(self) -> str:
        """What is to be done and how long it takes, measured on the first frames; '' where nothing is to be done."""
        if not self.recordings:
            return ""
        seconds = frames = 0.0
        problems = []
        for path in (path for recording in self.recordings for path in recording.paths):
            try:
                information = open_video(path)
            except DataError as error:
                problems.append(f"can't be used: {error}")
                continue
            seconds += information.duration
            frames += information.sampled_frames(self.extraction.frame_rate)
        each = self._seconds_a_frame()
        processes = min(available_processors(), len(self.recordings))
        said = (
            f"to be extracted first: {len(self.recordings)} of {self.annotated} recordings, {_clock(seconds)} of "
            f"video, into {self.folder}, by {self.kind.words()}: about {frames:.0f} frames"
        )
        if each is not None:
            duration = _clock(frames * each / processes)
            said += f", {duration} with {processes} processes ({1000 * each:.0f} ms a frame, measured)"
        return "\n".join([said, *problems])

    def _seconds_a_frame(self) -> float | None:
        encoder = make_encoder(self.extraction.encoder)
        for recording in self.recordings:
            rows = feature_rows(recording.paths[:1], encoder, self.extraction.frame_rate, self.extraction.motion)
            try:
                next(rows)  # what is done once doesn't count
                start = time.perf_counter()
                count = sum(1 for _ in islice(rows, FRAMES_MEASURED))
            except (DataError, StopIteration):
                continue
            if count:
                return (time.perf_counter() - start) / count
        return None


def _clock(seconds: float) -> str:
    """Seconds in words: '3 h 20 min', '5 min', '40 s'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def missing_features(config: Mapping[str, Any]) -> Missing | None:
    """The features that a data set lacks and that its videos can give.

    Features of unknown origin are the user's own, and never replaced.

    Args:
        config: DATASET_PATH, DATASET_NAME, FEATURES_FOLDER, FRAME_RATE, VIDEOS_FOLDER, ENCODER, MOTION and CAMERAS, and
            what reading the annotation needs.

    Returns:
        None if the data set has no folder of videos.

    Raises:
        DataError: the annotation or the videos can't be used, or features are there that were made otherwise.
        ConfigError, MissingExtraError: the encoder can't be made.
    """
    settings = read_data_settings(config)
    source = videos_folder(config)
    if not source.is_dir():
        return None
    problems: list[str] = []
    annotation = collect_annotation(settings.annotation_path, settings.tasks, settings.reading, problems)
    if problems:
        raise DataError(problems)
    handles = {video.handle for video in annotation.videos}
    folder = settings.features_folder
    files = {handle: feature_path(folder, handle) for handle in sorted(handles)}
    made = [path for path in files.values() if path.exists() and read_origin(path) is not None]
    own = {handle for handle, path in files.items() if path.exists()} - {path.stem for path in made}
    if own and len(own) == len(handles):
        return None  # of another program; the videos are beside them for people
    extraction = _extraction(config, common_kind(made, problems))
    recordings = [one for one in find_videos(source, extraction.cameras, problems) if one.name in handles - own]
    encoder = make_encoder(extraction.encoder)
    kind = kind_of(encoder, extraction.frame_rate, extraction.motion, extraction.cameras)
    rank = len(feature_shape(encoder)) + 1
    if rank != settings.file_format.rank:
        raise ConfigError(
            f"ENCODER is {extraction.encoder!r}, whose features have {rank} axes with time; BASEARCH.ARCHITECTURE "
            f"{config['BASEARCH']['ARCHITECTURE']!r} reads {settings.file_format.rank}: 'conv4c' makes maps"
        )
    missing = []
    for recording in recordings:
        try:
            if not is_extracted(recording, folder, kind):
                missing.append(recording)
        except DataError as error:
            problems.append(f"{error}".replace("--overwrite", "remove the old ones"))
    problems += [
        f"{place(source)}holds no video {name!r}, and {files[name].name} isn't in {folder}; expected one of them"
        for name in sorted(handles - own - {one.name for one in recordings})
        if not features_path(folder, name).exists()
    ]
    if problems:
        raise DataError(problems)
    return Missing(missing, folder, extraction, kind, len(handles))


def _extraction(config: Mapping[str, Any], there: FeatureKind | None) -> Extraction:
    """How features are made: as the settings say, and where they don't, as those that are there."""
    encoder, rate = config.get("ENCODER") or "", config.get("FRAME_RATE") or 0
    if not encoder and there is not None:
        return Extraction(there.encoder, rate or there.frame_rate, there.motion, there.cameras)
    rate = rate or (there.frame_rate if there else DEFAULT_RATE)
    motion, cameras = bool(config.get("MOTION")), tuple(config.get("CAMERAS") or ())
    return Extraction(encoder or DEFAULT_ENCODER, float(rate), motion, cameras)


def make_missing_features(config: Mapping[str, Any]) -> None:
    """Makes the features that a data set lacks, if it has videos; those that are there stay.

    Raises:
        DataError: see `missing_features`; or some videos can't be used, after the others have been extracted.
        ConfigError, MissingExtraError: the encoder can't be made.
    """
    missing = missing_features(config)
    if missing is None or not missing.recordings:
        return
    if (os.environ.get("WORLD_SIZE") or "1") != "1":
        raise DataError(
            f"{place(missing.folder)}lacks the features of {len(missing.recordings)} recordings; expected them before "
            f"several processes train together: python -m utils.video.extract makes them"
        )
    logger.info("extracting the features of %d recordings into %s: %s", len(missing.recordings), missing.folder,
                missing.kind.words())  # fmt: skip
    done = extract_all(missing.recordings, missing.folder, missing.extraction)
    if done.failures:
        raise DataError(done.failures)
