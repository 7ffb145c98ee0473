"""Two recordings aligned, from their files to a table and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from utils.ckpt_save import find_checkpoint, load_checkpoint
from utils.data.features import FeatureFormat, read_features
from utils.errors import DataError
from utils.figures.similarity_matrix import plot_similarity
from utils.files import safe_name, write_csv
from utils.metrics.frame_alignment import TIME_WARPING, FrameAlignment, align_frames
from utils.prediction.files import embed_file
from utils.prediction.recording_embedder import RecordingEmbedder, settings_of_checkpoint
from utils.prediction.video_features import VideoFeatures

DISTANCE_DIGITS = 6


def checkpoint_embeddings(
    files: Sequence[Path], checkpoint: str, folder: str | None = None, device: torch.device | str = "cpu"
) -> tuple[list[np.ndarray], int]:
    """The embedding of each recording, and every how many frames of it there is a row.

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
    return [embed_file(embedder, file, features_first, key, videos) for file in files], embedder.skip_rate


def file_embeddings(files: Sequence[Path]) -> list[np.ndarray]:
    """What the files hold, (T, D) each.

    Raises:
        DataError: with every file that holds anything else, or a value that isn't finite; or their widths differ.
    """
    problems, arrays = [], []
    for file in files:
        try:
            with np.errstate(over="ignore"):  # what overflows is found below
                values = read_features(file, FeatureFormat()).numpy()
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
    return arrays


def align_recordings(
    files: Sequence[Path],
    embeddings: Sequence[np.ndarray],
    folder: Path,
    methods: Sequence[str],
    frame_rate: float | None = None,
    skip_rate: int = 1,
) -> list[Path]:
    """Writes `<A>+<B>.csv` and `<A>+<B>.png`.

    Args:
        files: of A and of B, for their names.
        embeddings: (N, D) and (M, D) of them, float32.
        folder: where to write.
        methods: of `align_frames`, in the order of the table.
        frame_rate: frames a second of both recordings; None writes no seconds.
        skip_rate: a row of an embedding stands for every so many frames of the recording.

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
    return [table, picture]


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
