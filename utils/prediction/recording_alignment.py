"""Two recordings aligned, from their files to a table, a picture, and both videos side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from utils.ckpt_save import find_checkpoint, load_checkpoint
from utils.data.feature_origin import read_origin
from utils.data.features import FeatureFormat, read_features
from utils.errors import DataError
from utils.figures.similarity_matrix import plot_similarity
from utils.files import safe_name, write_csv
from utils.metrics.frame_alignment import TIME_WARPING, FrameAlignment, align_frames
from utils.prediction.files import embed_file
from utils.prediction.recording_embedder import RecordingEmbedder, settings_of_checkpoint
from utils.prediction.video_features import VideoFeatures
from utils.registry import DEFAULT_ENCODER
from utils.video.data_set import DEFAULT_RATE
from utils.video.decoding import open_video, read_pictures
from utils.video.encoders import make_encoder
from utils.video.features import kind_of
from utils.video.recordings import is_video
from utils.video.side_by_side import HEIGHT, side_by_side, side_size
from utils.video.writing import ANIMATIONS, write_pictures

DISTANCE_DIGITS = 6
RATE_OF_ANIMATION, HEIGHT_OF_ANIMATION = 10.0, 240  # pictures a second, pixels


@dataclass(frozen=True)
class Playback:
    """Two videos that are played side by side.

    Attributes:
        path: where to write, see `write_pictures`.
        videos: of A and of B; frame k of a recording is its picture at k / frame rate.
    """

    path: Path
    videos: tuple[Path, Path]


def checkpoint_embeddings(
    files: Sequence[Path], checkpoint: str, folder: str | None = None, device: torch.device | str = "cpu"
) -> tuple[list[np.ndarray], int, float | None]:
    """The embedding of each recording, every how many frames of it there is a row, and its frames/s if they are known.

    Args:
        files: files of features as the data sets have them, or videos where the data set was of videos.
        checkpoint, folder: see `find_checkpoint`.
        device: where to compute.

    Raises:
        MissingFileError, CheckpointError: there is no such checkpoint, or it can't be read.
        DataError: a recording isn't what the network reads; names the file.
    """
    path = find_checkpoint(checkpoint, folder)
    content = load_checkpoint(path)
    embedder = RecordingEmbedder(*settings_of_checkpoint(content, device))
    embedder.log_what_it_reads("an embedding")
    features_first = content["config"].get("FEATURE_LAYOUT") == "features_first"
    key = content["config"].get("FEATURES_KEY", "")
    videos = VideoFeatures.of(content, path)
    embeddings = [embed_file(embedder, file, features_first, key, videos) for file in files]
    return embeddings, embedder.skip_rate, videos.frame_rate


def file_embeddings(
    files: Sequence[Path], frame_rate: float | None = None
) -> tuple[list[np.ndarray], float | None]:
    """What the files hold, (T, D) each, and their frames/s if they are known.

    Args:
        files: of features, or videos, whose pictures are encoded by the default encoder.
        frame_rate: of the features of videos; None is that of the extraction's default.

    Raises:
        DataError: with every file that holds anything else, or a value that isn't finite; or their widths differ.
    """
    problems, arrays, rates = [], [], set()
    videos = None
    if any(map(is_video, files)):
        videos = VideoFeatures(kind_of(make_encoder(DEFAULT_ENCODER), frame_rate or DEFAULT_RATE))
    for file in files:
        try:
            if is_video(file):
                values = videos.make(file)
                rates.add(videos.frame_rate)
            else:
                with np.errstate(over="ignore"):  # what overflows is found below
                    values = read_features(file, FeatureFormat()).numpy()
                origin = read_origin(file)
                rates.add(None if origin is None else origin.kind.frame_rate)
            if not len(values) or not np.isfinite(values).all():
                bad = "a value that isn't finite" if len(values) else "no frame"
                raise DataError(f"holds {bad}; expected at least 1 frame of finite single-precision values")
            arrays.append(values)
        except DataError as error:
            problems.append(f"{file}: {error}")
    if problems:
        raise DataError(problems)
    if len({array.shape[1] for array in arrays}) > 1:
        widths = " and ".join(f"{file} has width {array.shape[1]}" for file, array in zip(files, arrays, strict=True))
        raise DataError(f"{widths}; expected embeddings of one network, (frames, width), or features of one kind")
    return arrays, rates.pop() if len(rates) == 1 else None


def align_recordings(
    files: Sequence[Path],
    embeddings: Sequence[np.ndarray],
    folder: Path,
    methods: Sequence[str],
    frame_rate: float | None = None,
    skip_rate: int = 1,
    playback: Playback | None = None,
) -> list[Path]:
    """Writes `<A>+<B>.csv` and `<A>+<B>.png`, and the playback.

    Args:
        files: of A and of B, for their names.
        embeddings: (N, D) and (M, D) of them, float32.
        folder: where to write.
        methods: of `align_frames`, in the order of the table.
        frame_rate: frames a second of both recordings; None writes no seconds.
        skip_rate: a row of an embedding stands for every so many frames of the recording.
        playback: of the last of the methods, which needs the frame rate; None for none.

    Returns:
        What was written.
    """
    alignments = {method: align_frames(*embeddings, method) for method in methods}
    name = safe_name(*(file.stem for file in files))
    table, picture = folder / f"{name}.csv", folder / f"{name}.png"
    columns = ["method", "frame_a", "frame_b", "distance"]
    columns += ["second_a", "second_b"] if frame_rate else []
    write_csv(table, _rows(alignments, frame_rate, skip_rate), columns)
    title = f"every {skip_rate}-th frame" if skip_rate > 1 else "alignment"
    plot_similarity(
        picture, *map(torch.from_numpy, embeddings), None, None, *(file.stem for file in files), title,
        TIME_WARPING in methods,
    )  # fmt: skip
    if playback is None:
        return [table, picture]
    indices = alignments[methods[-1]].indices
    _play(playback, indices, [len(each) * skip_rate for each in embeddings], frame_rate, skip_rate)
    return [table, picture, playback.path]


def _play(
    playback: Playback, indices: np.ndarray, lengths: Sequence[int], frame_rate: float, skip_rate: int
) -> None:
    """Writes the frames of A, each beside the one of B that belongs to it, at A's own pace."""
    pairs = skip_rate * np.stack([np.arange(len(indices)), indices], axis=1)
    rate, height = frame_rate / skip_rate, HEIGHT
    if playback.path.suffix.lower() in ANIMATIONS:
        step = max(1, round(rate / RATE_OF_ANIMATION))
        pairs, rate, height = pairs[::step], rate / step, HEIGHT_OF_ANIMATION
    pictures = []
    for video in playback.videos:
        known = open_video(video)
        pictures.append(read_pictures(video, frame_rate, side_size(known.width, known.height, height)))
    sides = side_by_side(
        *pictures, pairs, [video.stem for video in playback.videos], [length / frame_rate for length in lengths], height
    )
    shown = tqdm(sides, desc=playback.path.name, total=len(pairs), unit="picture", disable=None, leave=False)
    write_pictures(playback.path, shown, rate)


def _rows(
    alignments: dict[str, FrameAlignment], frame_rate: float | None, skip_rate: int
) -> Iterator[dict[str, Any]]:
    for method, found in alignments.items():
        for a, (b, distance) in enumerate(zip(found.indices.tolist(), found.distances.tolist(), strict=True)):
            frames = skip_rate * a, skip_rate * b
            row = {"method": method, "frame_a": frames[0], "frame_b": frames[1]}
            row["distance"] = f"{distance:.{DISTANCE_DIGITS}g}"
            if frame_rate:
                row |= {"second_a": f"{frames[0] / frame_rate:.3f}", "second_b": f"{frames[1] / frame_rate:.3f}"}
            yield row
