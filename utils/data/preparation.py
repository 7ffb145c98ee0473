"""From files to checked videos: chooses the splits, scans the features, fits the segments to them.

Problems inside files are collected, not raised one by one, so that one error can list them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from utils.data.annotation import AnnotatedVideo, Annotation, collect_annotation
from utils.data.data_settings import DataSettings, read_data_settings
from utils.data.features import FEATURE_RANK, FeatureFormat, FeatureScan, feature_path, scan_features
from utils.data.segments import fit_to_length, lengths_agree, subsample_segments
from utils.data.splits import FEWEST_TRAINING_VIDEOS, SPLITS, TaskSplit, read_groups, read_split_file, split_task
from utils.data.values import digest_of
from utils.errors import DataError, place

# Reading waits for the disk, so more threads than processors help; each reads one file at a time.
MOST_SCANNING_THREADS = 4


@dataclass(frozen=True)
class Video:
    """One video as the project uses it: after reconciliation of lengths and SKIP_RATE.

    Args:
        task: the task it belongs to.
        handle: its name.
        path: its feature file.
        number_of_frames: T, of both the features and `time_dict`.
        time_dict: its segments; must not be modified.
        stamp: size and time of change of its feature file when it was checked.
        checksum: checksum of its features (`FeatureScan`).
        group: what split.json groups it by, such as its person; '' if it says nothing.
    """

    task: str
    handle: str
    path: Path
    number_of_frames: int
    time_dict: dict[str, Any]
    stamp: tuple[int, int] | None = None
    checksum: int | None = None
    group: str = ""


@dataclass
class PreparedVideos:
    """The result of `prepare_videos`.

    Args:
        by_split: the videos of 'train', 'val' and 'test' in file order.
        scans: the scan of each video's features, by handle.
        skipped_tasks: the tasks left out, and why.
        notes: one sentence for everything that was changed or skipped and is not an error.
    """

    by_split: dict[str, list[Video]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    scans: dict[str, FeatureScan] = field(default_factory=dict)
    skipped_tasks: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def prepare_videos(
    settings: DataSettings, with_moments: bool, wanted: Collection[str] = SPLITS
) -> PreparedVideos:
    """Reads the annotation, chooses the splits, scans the features and fits the segments to them.

    Args:
        settings: what to read and how.
        with_moments: also measure the features of the training videos.
        wanted: the splits whose features are read; the others are left empty.

    Raises:
        DataError: with every problem found.
    """
    problems: list[str] = []
    prepared = PreparedVideos()
    annotation = collect_annotation(
        settings.annotation_path, settings.tasks, settings.background_labels, problems
    )
    splits = _split_tasks(annotation, settings, prepared, problems)
    if not splits and not problems:
        problems += [
            f"{place(settings.annotation_path, task)}{why}" for task, why in prepared.skipped_tasks.items()
        ]

    split_of = {handle: split for task in splits for split in wanted for handle in getattr(task, split)}
    videos = [video for video in annotation.videos if video.handle in split_of]
    paths = {video.handle: feature_path(settings.features_folder, video.handle) for video in videos}
    measured = {handle for handle, split in split_of.items() if split == "train"} if with_moments else set()
    prepared.scans = _scan(videos, paths, settings.file_format, measured, problems)
    groups = _read_groups(annotation, settings, problems)
    for video in _fit(videos, paths, settings, prepared, problems):
        prepared.by_split[split_of[video.handle]].append(replace(video, group=groups.get(video.handle, "")))
    if problems:
        raise DataError(problems)
    _note_long_videos(prepared, settings.max_frames)
    return prepared


def training_annotation_digest(config: Mapping[str, Any]) -> str | None:
    """A digest of what the files say of the training recordings; None where there is no annotation file.

    Reads no features, so that it takes no longer than reading the annotation does.

    Raises:
        DataError: the annotation or split.json can't be used.
    """
    settings = read_data_settings(config)
    if not settings.annotation_path.is_file():
        return None
    problems: list[str] = []
    annotation = collect_annotation(settings.annotation_path, settings.tasks, settings.background_labels, problems)
    splits = _split_tasks(annotation, settings, PreparedVideos(), problems)
    if problems:
        raise DataError(problems)
    training = {handle for split in splits for handle in split.train}
    return digest_of([[v.task, v.time_dict] for v in annotation.videos if v.handle in training])


def _read_groups(annotation: Annotation, settings: DataSettings, problems: list[str]) -> dict[str, str]:
    """The group of each recording that split.json puts into one."""
    try:
        return read_groups(settings.split_path, annotation.all_handles)
    except DataError as error:
        problems += [problem for problem in error.problems if problem not in problems]
        return {}


def _split_tasks(
    annotation: Annotation, settings: DataSettings, prepared: PreparedVideos, problems: list[str]
) -> list[TaskSplit]:
    """The splits of the tasks that have enough training videos; the others go to `prepared.skipped_tasks`."""
    try:
        listed = read_split_file(settings.split_path, annotation.all_handles)
    except DataError as error:
        problems += error.problems
        listed = None
    splits: list[TaskSplit] = []
    for task in annotation.tasks:
        handles = list(dict.fromkeys(video.handle for video in annotation.videos if video.task == task))
        split = split_task(handles, listed, settings.train_split, settings.validation_fraction)
        count = len(split.train)
        if count < FEWEST_TRAINING_VIDEOS:
            prepared.skipped_tasks[task] = (
                f"{count} training video{'s' * (count != 1)} (of {len(handles)} videos in all); "
                f"expected at least {FEWEST_TRAINING_VIDEOS}"
            )
            continue
        splits.append(split)
        if split.unlisted:
            prepared.notes.append(
                f"task {task!r}: {len(split.unlisted)} of {len(handles)} videos are in no list of "
                f"{settings.split_path.name} and not used, {split.unlisted[0]!r} first"
            )
    return splits


def _scan(
    videos: Sequence[AnnotatedVideo],
    paths: Mapping[str, Path],
    file_format: FeatureFormat,
    measured: Iterable[str],
    problems: list[str],
) -> dict[str, FeatureScan]:
    """The scan of each readable feature file, by handle; problems of the others are added to `problems`."""

    def scan(video: AnnotatedVideo) -> FeatureScan | DataError:
        try:
            return scan_features(paths[video.handle], file_format, video.handle in measured)
        except DataError as error:
            return error

    scans: dict[str, FeatureScan] = {}
    with ThreadPoolExecutor(MOST_SCANNING_THREADS) as threads:
        results = tqdm(
            threads.map(scan, videos),
            total=len(videos), desc="checking features", unit="video", disable=None, delay=3, leave=False,
        )  # fmt: skip
        for video, result in zip(videos, results, strict=True):
            if isinstance(result, DataError):
                problems.append(f"{place(paths[video.handle], video.task, video.handle)}{result}")
            else:
                scans[video.handle] = result
    shapes = Counter(scan.shape for scan in scans.values())
    if len(shapes) > 1:
        # The most common shape is taken as the right one: one wrong file at the start must not blame all others.
        (expected, count), *_ = shapes.most_common(1)
        for video in videos:
            scan = scans.get(video.handle)
            if scan is not None and scan.shape != expected:
                problems.append(
                    f"{place(paths[video.handle], video.task, video.handle)}a frame has shape {scan.shape}; "
                    f"expected {expected} as in {count} other videos"
                )
    return scans


def _fit(
    videos: Sequence[AnnotatedVideo],
    paths: Mapping[str, Path],
    settings: DataSettings,
    prepared: PreparedVideos,
    problems: list[str],
) -> list[Video]:
    """The videos, with their segments over the frames that are used."""
    scaling, skip_rate = settings.scaling, settings.file_format.skip_rate
    fitted: list[Video] = []
    reconciled = unseen = affected = 0
    for video in videos:
        scan = prepared.scans.get(video.handle)
        if scan is None or video.time_dict is None:
            continue
        try:
            segments = fit_to_length(video.time_dict, scan.file_frames, scaling)
        except DataError as error:
            hint = ""
            if settings.file_format.rank == FEATURE_RANK and lengths_agree(
                video.number_of_frames, scan.shape[0]
            ):
                hint = "; the other axis of the file fits: see FEATURE_LAYOUT"
            problems.append(f"{place(settings.annotation_path, video.task, video.handle)}{error}{hint}")
            continue
        time_dict = subsample_segments(segments, skip_rate)
        lost = len(segments["step"]) - len(time_dict["step"])
        reconciled += video.number_of_frames != scan.file_frames
        unseen, affected = unseen + lost, affected + (lost > 0)
        path = paths[video.handle]
        fitted.append(
            Video(video.task, video.handle, path, scan.frames, time_dict, scan.stamp, scan.checksum)
        )
    if reconciled:
        how = "rescaled" if scaling == "proportional" else "cut or extended at the end"
        prepared.notes.append(f"annotations {how} to the length of their features: {reconciled} videos")
    if unseen:
        prepared.notes.append(
            f"SKIP_RATE {skip_rate} skips {unseen} short segments in {affected} videos: none of their "
            f"frames is used"
        )
    return fitted


def _note_long_videos(prepared: PreparedVideos, max_frames: int) -> None:
    long = [video for video in prepared.by_split["train"] if 0 < max_frames < video.number_of_frames]
    if not long:
        return
    note = (
        f"MAX_FRAMES {max_frames}: {len(long)} of {len(prepared.by_split['train'])} training videos are "
        f"longer; each epoch trains on that many frames of them, evaluation uses all"
    )
    crowded = sum(len(video.time_dict["step"]) > max_frames for video in long)
    if crowded:
        note += f"; {crowded} of them have more segments than that, and an epoch misses some of these"
    prepared.notes.append(note)
