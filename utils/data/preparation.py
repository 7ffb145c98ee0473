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
from utils.data.check_warnings import Measured, feature_warnings, label_warnings, split_warnings
from utils.data.data_settings import DataSettings, read_data_settings
from utils.data.feature_origin import FeatureKind, common_kind
from utils.data.features import FEATURE_RANK, FeatureScan, feature_handles, feature_path, scan_features
from utils.data.labels import LabelCount, count_labels
from utils.data.length_hints import Lengths, length_hints
from utils.data.segment_ends import MAJORITY
from utils.data.segments import fit_to_length, lengths_agree, subsample_segments, unlabelled_segments
from utils.data.splits import FEWEST_TRAINING_VIDEOS, SPLITS, TaskSplit, read_groups, read_split_file, split_task
from utils.data.values import digest_of
from utils.errors import DataError, place
from utils.registry import LAYOUTS

# Reading waits for the disk, so more threads than processors help; each reads one file at a time.
MOST_SCANNING_THREADS = 4
RATES_DIFFER = 1.1  # largest ratio of two videos' rates that still passes as one rate
SEGMENTS_SHOWN = 4


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
        labels: how often each label of the file occurs in these videos, and whether it counts as background.
        tails: frames after the last segment that became background, by handle.
        ends: how the ends of segments were read, in words.
        warnings: one sentence for everything that is probably a mistake; none if the features weren't measured.
        feature_kind: how the features were made of videos; None if that isn't known.
    """

    by_split: dict[str, list[Video]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    scans: dict[str, FeatureScan] = field(default_factory=dict)
    skipped_tasks: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    labels: list[LabelCount] = field(default_factory=list)
    tails: dict[str, int] = field(default_factory=dict)
    ends: str = ""
    warnings: list[str] = field(default_factory=list)
    feature_kind: FeatureKind | None = None


def prepare_videos(
    settings: DataSettings, with_moments: bool, wanted: Collection[str] = SPLITS, with_warnings: bool = False
) -> PreparedVideos:
    """Reads the annotation, chooses the splits, scans the features and fits the segments to them.

    Args:
        settings: what to read and how.
        with_moments: also measure the features of the training videos.
        wanted: the splits whose features are read; the others are left empty.
        with_warnings: also measure all features, and look for probable mistakes.

    Raises:
        DataError: with every problem found.
    """
    problems: list[str] = []
    prepared = PreparedVideos()
    annotation = _read_annotation(settings, problems)
    if any(video.is_labelled for video in annotation.videos):
        prepared.ends = annotation.ends.words()
    _note_old_readings(annotation, settings, prepared)
    splits = _split_tasks(annotation, settings, prepared, problems)
    if not splits and not problems:
        problems += [
            f"{place(settings.annotation_path, task)}{why}" for task, why in prepared.skipped_tasks.items()
        ]

    split_of = {handle: split for task in splits for split in wanted for handle in getattr(task, split)}
    videos = [video for video in annotation.videos if video.handle in split_of]
    paths = {video.handle: feature_path(settings.features_folder, video.handle) for video in videos}
    measured = {
        handle for handle, split in split_of.items() if with_warnings or (with_moments and split == "train")
    }
    prepared.scans = _scan(videos, paths, settings, measured, problems)
    prepared.feature_kind = _kind_of(settings, [paths[handle] for handle in prepared.scans], problems)
    groups = _read_groups(annotation, settings, problems)
    for video in _fit(videos, paths, settings, prepared, problems):
        prepared.by_split[split_of[video.handle]].append(replace(video, group=groups.get(video.handle, "")))
    if problems:
        raise DataError(problems)
    labelled = [video for video in videos if video.is_labelled]
    prepared.labels = count_labels(labelled, split_of, prepared.tails)
    _note_unlabelled(videos, prepared)
    if with_warnings:
        prepared.warnings = _warnings(videos, labelled, prepared, split_of, settings.standardize)
    _note_long_videos(prepared, settings.max_frames)
    return prepared


def _read_annotation(settings: DataSettings, problems: list[str]) -> Annotation:
    """The annotation; without labels and without a file, the files of the features' folder as one task.

    Raises:
        DataError: the file can't be read at all, or there is neither a file nor a feature file.
    """
    path, folder = settings.annotation_path, settings.features_folder
    handles = None
    if not settings.reading.labels and not path.exists():
        handles = feature_handles(folder)
        if not handles:
            raise DataError(f"{place(folder)}holds no feature file, and there is no {path}; expected one of them")
    return collect_annotation(path, settings.tasks, settings.reading, problems, handles)


def _note_unlabelled(videos: Sequence[AnnotatedVideo], prepared: PreparedVideos) -> None:
    tasks = dict.fromkeys(video.task for video in videos if not video.is_labelled)
    if tasks:
        prepared.notes.append(
            f"no labels: {', '.join(map(repr, tasks))}. A recording counts as one action from its first frame to its "
            f"last: its true progress is assumed to be the share of its frames so far, and what needs labels is "
            f"neither trained nor measured"
        )


def _kind_of(settings: DataSettings, files: Sequence[Path], problems: list[str]) -> FeatureKind | None:
    """How the features were made of videos, where that is known; problems are added."""
    kind = common_kind(files, problems)
    if kind is not None and settings.frame_rate not in (0, kind.frame_rate):
        problems.append(
            f"{place(settings.features_folder)}FRAME_RATE is {settings.frame_rate:g}, but its features were made of "
            f"videos at {kind.frame_rate:g} frames/s; expected the same, or 0"
        )
    return kind


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
    annotation = collect_annotation(settings.annotation_path, settings.tasks, settings.reading, problems)
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


def _note_old_readings(annotation: Annotation, settings: DataSettings, prepared: PreparedVideos) -> None:
    """Says where the reading of a configuration from before a setting matters."""
    ends = annotation.ends
    if ends.setting == MAJORITY and ends.mixed:
        prepared.notes.append(
            f"{settings.annotation_path} shows exclusive ends at {ends.exclusive} boundaries and inclusive ones at "
            f"{ends.inclusive}; each video is read by its own majority, as before SEGMENT_ENDS declared it"
        )


def _warnings(
    videos: Sequence[AnnotatedVideo],
    labelled: Sequence[AnnotatedVideo],
    prepared: PreparedVideos,
    split_of: Mapping[str, str],
    standardize: bool,
) -> list[str]:
    measured = [
        Measured(handle, scan.frames, scan.checksum, scan.moments)
        for handle, scan in prepared.scans.items() if scan.moments is not None
    ]  # fmt: skip
    recordings: dict[str, Counter[str]] = {}
    for video in videos:
        recordings.setdefault(video.task, Counter())[split_of[video.handle]] += 1
    used = [split for split, part in prepared.by_split.items() if part]
    return [
        *split_warnings(recordings),
        *(label_warnings(prepared.labels, labelled, used) if labelled else ()),
        *feature_warnings(measured, standardize),
    ]


def _scan(
    videos: Sequence[AnnotatedVideo],
    paths: Mapping[str, Path],
    settings: DataSettings,
    measured: Iterable[str],
    problems: list[str],
) -> dict[str, FeatureScan]:
    """The scan of each readable feature file, by handle; problems of the others are added to `problems`."""
    folder, file_format = settings.features_folder, settings.file_format
    if videos and not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        problems.append(
            f"{place(paths[videos[0].handle])}no such feature file, because the folder {folder} {what}; expected the "
            f"features of {len(videos)} videos in it (see FEATURES_FOLDER)"
        )
        return {}

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
        problems += _about_widths(videos, paths, settings, scans, shapes)
    return scans


def _about_widths(
    videos: Sequence[AnnotatedVideo],
    paths: Mapping[str, Path],
    settings: DataSettings,
    scans: dict[str, FeatureScan],
    shapes: Counter[tuple[int, ...]],
) -> list[str]:
    """Problems of files whose frames have different shapes. If all are laid out the other way, it is one problem."""
    lengths = {scan.file_frames for scan in scans.values()}
    if settings.file_format.rank == FEATURE_RANK and len(lengths) == 1 and len(shapes) > len(scans) / 2:
        other = LAYOUTS[0] if settings.file_format.features_first else LAYOUTS[1]
        (frames,) = lengths
        example = next(iter(scans))
        scans.clear()  # their lengths mean nothing
        return [
            f"{place(settings.features_folder)}read as {settings.file_format.axes}, all {sum(shapes.values())} files "
            f"have {frames} frames, but {len(shapes)} different widths ({example!r} first); expected one width: are "
            f"they laid out the other way? FEATURE_LAYOUT = {other!r}"
        ]
    # The most common shape is taken as the right one: one wrong file at the start must not blame all others.
    (expected, count), *_ = shapes.most_common(1)
    return [
        f"{place(paths[video.handle], video.task, video.handle)}a frame has shape {scans[video.handle].shape}; "
        f"expected {expected} as in {count} other videos"
        for video in videos
        if video.handle in scans and scans[video.handle].shape != expected
    ]


def _fit(
    videos: Sequence[AnnotatedVideo],
    paths: Mapping[str, Path],
    settings: DataSettings,
    prepared: PreparedVideos,
    problems: list[str],
) -> list[Video]:
    """The videos, with their segments over the frames that are used."""
    skip_rate = settings.file_format.skip_rate
    fitted: list[Video] = []
    changed: list[tuple[AnnotatedVideo, dict[str, Any]]] = []
    refused: dict[str, tuple[AnnotatedVideo, DataError]] = {}
    lengths: dict[str, Lengths] = {}
    unseen = affected = 0
    for video in videos:
        scan = prepared.scans.get(video.handle)
        if scan is not None and not video.is_labelled:
            segments = unlabelled_segments(video.handle, scan.frames)
            path = paths[video.handle]
            fitted.append(Video(video.task, video.handle, path, scan.frames, segments, scan.stamp, scan.checksum))
            continue
        if scan is None or video.time_dict is None:
            continue
        first = 0 if video.labels[0] is not None or len(video.labels) == 1 else video.time_dict["start_frame"][1]
        lengths[video.handle] = Lengths(scan.file_frames, video.number_of_frames, first)
        try:
            segments = fit_to_length(video.time_dict, scan.file_frames, settings.scaling, settings.tail)
        except DataError as error:
            refused[video.handle] = video, error
            continue
        time_dict = subsample_segments(segments, skip_rate)
        lost = len(segments["step"]) - len(time_dict["step"])
        if settings.scaling == "none" and len(segments["step"]) > len(video.time_dict["step"]):
            prepared.tails[video.handle] = scan.file_frames - video.number_of_frames
        elif video.number_of_frames != scan.file_frames:
            changed.append((video, segments))
        unseen, affected = unseen + lost, affected + (lost > 0)
        path = paths[video.handle]
        fitted.append(
            Video(video.task, video.handle, path, scan.frames, time_dict, scan.stamp, scan.checksum)
        )
    hints = length_hints(lengths, list(refused))
    for handle, (video, error) in refused.items():
        hint = hints[handle]
        other_axis = prepared.scans[handle].shape[0]
        if settings.file_format.rank == FEATURE_RANK and lengths_agree(video.number_of_frames, other_axis):
            hint = "; the other axis of the file fits: see FEATURE_LAYOUT"
        problems.append(f"{place(settings.annotation_path, video.task, handle)}{error}{hint}")
    prepared.notes += _length_notes(changed, list(lengths.values()), prepared.tails, settings.scaling)
    if unseen:
        prepared.notes.append(
            f"SKIP_RATE {skip_rate} skips {unseen} short segments in {affected} videos: none of their "
            f"frames is used"
        )
    return fitted


def _length_notes(
    changed: Sequence[tuple[AnnotatedVideo, dict[str, Any]]],
    lengths: Sequence[Lengths],
    tails: Mapping[str, int],
    scaling: str,
) -> list[str]:
    """What was done to annotations that aren't as long as their features."""
    notes = []
    if tails:
        notes.append(
            f"frames after the last segment became background (UNLABELLED_TAIL): {sum(tails.values())} frames in "
            f"{len(tails)} videos, {next(iter(tails))!r} first"
        )
    if changed and scaling != "proportional":
        notes.append(
            f"annotations cut or extended at the end to the length of their features: {len(changed)} videos"
        )
        over = sum(length.annotated == length.frames + 1 for length in lengths)
        if 2 * over > len(lengths) > 1:
            notes.append(
                f"in {over} of {len(lengths)} videos the last end is one frame after the features: is it exclusive, as "
                f"the other ends? Here the last end of a video is its last frame (where a tail follows, the last "
                f"segment then has a frame too many)"
            )
    elif changed:
        video, after = changed[0]
        notes.append(
            f"annotations rescaled to the length of their features: {len(changed)} videos, such as {video.handle!r}: "
            f"{_spans(video.time_dict)} became {_spans(after)}"
        )
        ratios = [length.ratio for length in lengths]
        if max(ratios) > RATES_DIFFER * min(ratios):
            notes.append(
                f"ANNOTATION_SCALING is 'proportional', but the videos have from {min(ratios):.3g} to "
                f"{max(ratios):.3g} frames of features for each annotated one: that is not another rate, and labels "
                f"are shifted where a tail is unlabelled or the annotation has an offset"
            )
    return notes


def _spans(time_dict: Mapping[str, Any]) -> str:
    """The first segments of a video, in words."""
    spans = [
        f"{step} {start} to {end}"
        for step, start, end in zip(time_dict["step"], time_dict["start_frame"], time_dict["end_frame"], strict=True)
    ]
    return ", ".join(spans[:SEGMENTS_SHOWN]) + (", ..." if len(spans) > SEGMENTS_SHOWN else "")


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
