"""Writes the features of videos: each file whole or not at all, those that are there already left alone."""

from __future__ import annotations

import importlib.metadata
import logging
import multiprocessing
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from utils.data.feature_origin import FeatureKind, FeatureOrigin, origin_path, read_origin
from utils.errors import DataError, ProcessLost, ProjectError, place
from utils.files import atomic_write, file_digest, remove_stale_temporaries
from utils.registry import DEFAULT_ENCODER
from utils.video.encoders import make_encoder
from utils.video.encoders.protocol import ImageEncoder
from utils.video.features import feature_rows, feature_shape, kind_of
from utils.video.recordings import VideoRecording
from utils.video.rows_file import write_rows

logger = logging.getLogger(__name__)

FEW_BYTES = 16 << 20  # of video; to start processes takes some seconds
LIBRARIES = ("av", "onnxruntime", "torch", "numpy")


@dataclass(frozen=True)
class Extraction:
    """How features are made.

    Attributes:
        encoder: its description, see `utils.video.encoders.make_encoder`.
        frame_rate: frames/s.
        motion: with their differences.
        cameras: names, in the order of each recording's files.
    """

    encoder: str = DEFAULT_ENCODER
    frame_rate: float = 10.0
    motion: bool = False
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True)
class Extracted:
    """What was done.

    Attributes:
        written: names of the recordings whose features were written.
        there: of those that were there already.
        failures: one line for each recording that could not be extracted.
    """

    written: tuple[str, ...]
    there: tuple[str, ...]
    failures: tuple[str, ...]


def features_path(folder: Path, name: str) -> Path:
    """The file of a recording's features."""
    return folder / f"{name}.npy"


def is_extracted(recording: VideoRecording, folder: Path, kind: FeatureKind) -> bool:
    """Whether the features of these very videos are there.

    Raises:
        DataError: features of this name are there, and nothing says of what; or they are of another encoder or rate.
    """
    path = features_path(folder, recording.name)
    if not path.exists():
        return False
    origin = read_origin(path)
    if origin is None:
        raise DataError(
            f"{place(path)}is there, and no {origin_path(path).name} says that it was made of a video; expected "
            f"another folder, or move it"
        )
    if not origin.kind.same_as(kind):
        raise DataError(
            f"{place(path)}holds {origin.kind.words()}; expected {kind.words()}: another folder, the same settings, or "
            f"--overwrite"
        )
    return len(origin.sources) == len(recording.paths) and all(
        _is_source(given, video) for given, video in zip(origin.sources, recording.paths, strict=True)
    )


def _is_source(given: Mapping[str, Any], video: Path) -> bool:
    status = video.stat()
    if given.get("bytes") != status.st_size:
        return False
    return given.get("modified_ns") == status.st_mtime_ns or given.get("sha256") == file_digest(video)


def extract_recording(
    recording: VideoRecording, folder: Path, extraction: Extraction, encoder: ImageEncoder, threads: int = 1
) -> int:
    """Writes the features of a recording and their origin; returns the number of frames.

    Raises:
        DataError: a video can't be used.
    """
    path = features_path(folder, recording.name)
    kind = kind_of(encoder, extraction.frame_rate, extraction.motion, extraction.cameras)
    shape = feature_shape(encoder, extraction.motion, len(recording.paths))
    stamps = [video.stat() for video in recording.paths]
    rows = feature_rows(recording.paths, encoder, kind.frame_rate, kind.motion, threads)
    with atomic_write(path) as temporary:
        frames = write_rows(temporary, rows, shape)
        sources = [
            {"file": video.name, "bytes": stamp.st_size, "modified_ns": stamp.st_mtime_ns, "sha256": file_digest(video)}
            for video, stamp in zip(recording.paths, stamps, strict=True)
        ]
        # The origin is first: features without one would be taken for somebody's own.
        path.unlink(missing_ok=True)
        FeatureOrigin(kind, frames, tuple(sources), _versions()).write(path)
    return frames


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def extract_all(
    recordings: Sequence[VideoRecording],
    folder: Path,
    extraction: Extraction,
    processes: int | None = None,
    overwrite: bool = False,
) -> Extracted:
    """Writes the features of recordings that aren't there yet; one that can't be used leaves the others alone.

    Args:
        recordings: of different names.
        folder: to write <name>.npy and <name>.origin.json to.
        extraction: how.
        processes: that many at once, of one thread each; 1: this one, with a thread for each processor. None: one for
            each processor, where there is enough to do.
        overwrite: also replace features of another encoder, rate or origin.

    Raises:
        ConfigError, DataError, MissingExtraError: the encoder can't be made.
        ProcessLost: a process was ended from outside.
    """
    encoder = make_encoder(extraction.encoder, threads=1)
    kind = kind_of(encoder, extraction.frame_rate, extraction.motion, extraction.cameras)
    there, missing, failures = [], [], []
    for recording in recordings:
        try:
            done = not overwrite and is_extracted(recording, folder, kind)
        except DataError as error:
            failures.append(str(error))
            logger.error("not extracted: %s", error)
            continue
        (there if done else missing).append(recording)
    stems = "|".join(_pattern(recording.name) for recording in missing)
    if stems and folder.is_dir():
        remove_stale_temporaries([folder], stems)
    written = []
    enough = sum(one.bytes for one in missing) > FEW_BYTES
    processes = min(processes or (available_processors() if enough else 1), len(missing))
    if processes > 1:
        results = _in_processes(missing, folder, extraction, processes)
    else:
        results = _in_this_process(missing, folder, extraction, encoder)
    with tqdm(total=sum(one.bytes for one in missing), unit="B", unit_scale=True, disable=None, desc="videos") as bar:
        for recording, failure in results:
            bar.update(recording.bytes)
            if failure is None:
                written.append(recording.name)
            else:
                failures.append(failure)
                logger.error("not extracted: %s", failure)
    return Extracted(tuple(sorted(written)), tuple(one.name for one in there), tuple(failures))


def _pattern(name: str) -> str:
    """Of the names of `atomic_write`'s temporary files."""
    return re.escape(os.fsdecode(os.fsencode(name)[:150]))


def _try(
    recording: VideoRecording, folder: Path, extraction: Extraction, encoder: ImageEncoder, threads: int
) -> str | None:
    """None, or why a recording could not be extracted."""
    try:
        extract_recording(recording, folder, extraction, encoder, threads)
    except ProjectError as error:
        return str(error)
    return None


def _in_this_process(
    recordings: Sequence[VideoRecording], folder: Path, extraction: Extraction, encoder: ImageEncoder
) -> Iterator[tuple[VideoRecording, str | None]]:
    for recording in recordings:
        yield recording, _try(recording, folder, extraction, encoder, available_processors())


def available_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_encoder: ImageEncoder | None = None  # of a process of `_in_processes`, which makes it once


def _start_process(description: str) -> None:
    global _encoder
    torch.set_num_threads(1)
    _encoder = make_encoder(description, threads=1)


def _in_a_process(recording: VideoRecording, folder: Path, extraction: Extraction) -> str | None:
    return _try(recording, folder, extraction, _encoder, threads=1)


def _in_processes(
    recordings: Sequence[VideoRecording], folder: Path, extraction: Extraction, processes: int
) -> Iterator[tuple[VideoRecording, str | None]]:
    # Started afresh: copies of a process with threads, as PyTorch and onnxruntime have, may never end.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start_process, (extraction.encoder,)) as pool:
        waiting = {pool.submit(_in_a_process, one, folder, extraction): one for one in recordings}
        try:
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    recording = waiting.pop(future)
                    yield recording, future.result()
        except BrokenProcessPool as error:
            names = ", ".join(sorted(recording.name for recording in waiting.values())[:3])
            raise ProcessLost(
                f"a process that extracts was ended from outside, or by a video (still to do: {names}, ...); what is "
                f"written stays, and the same command goes on; --processes 1 shows which video it was"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
