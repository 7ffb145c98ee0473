"""Converts another program's annotation to recordings with one label per frame; see `import_annotation`.

    file -> reader -> recordings with exact times -> labels -> frames -> each frame covered once -> NAME.json

All problems of all files are collected before anything is written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from utils.annotation import labels as label_rules
from utils.annotation.conversion import frames_of, nearest, rows_per_unit, segment_problems
from utils.annotation.lengths import (
    LAST,
    FeatureLengths,
    missing_features,
    parse_value,
    read_feature_lengths,
    read_values,
    read_video_lengths,
)
from utils.annotation.readers import ReadOptions, reader_of
from utils.annotation.readers.names import media_name
from utils.annotation.readers.table import SPLIT_NAMES
from utils.annotation.recording import FRAMES, INCLUSIVE, SECONDS, UNKNOWN, Convention, Recording
from utils.annotation.source_files import raise_problems, read_object
from utils.annotation.timeline import Rules, Timeline, lay_out
from utils.annotation.troubles import explain_troubles, suspicions
from utils.data.annotation import handle_problem
from utils.errors import DataError, place

VIDEO_RATE = 10  # frames/s of features that are to be made of videos, as python -m utils.video.extract has it


@dataclass(frozen=True)
class ImportOptions:
    """The user's declarations about an annotation; nothing of it is guessed.

    Attributes:
        read: options of the reader.
        frame_rate: frames/s of the features; None: as their origin says, else the annotation's frame numbers are rows
            of the features.
        annotation_rate: frames/s of the annotation's frame numbers, if the format doesn't say.
        ends, first_frame: replace the format's convention; None keeps it.
        offset: number or time of the features' first frame in the annotation, or a file with one for each recording.
        features: folder of `<recording>.npy`, whose headers give the lengths.
        videos: folder of `<recording>.mp4`, whose lengths at the frame rate are those of features to be made of them.
        feature_layout: 'frames_first', 'features_first', or None to detect it.
        length: LAST, one length, or a file with one for each recording, if neither features nor source give it.
        only_with_features: leave out recordings without a feature file; otherwise they are problems.
        task: task of recordings for which the source names none; '': the name of the output.
        task_pattern: a regular expression; its one group is the task in a recording's name.
        name_pattern: a regular expression; its one group is the recording's name in the name that the source gives;
            '': the name of the file.
        splits: a JSON file with the recordings' names in each split; None: the split of the source.
        rename, names: files with new labels, and with names for labels that are numbers.
        number_labels: keep labels that are numbers.
        drop: labels whose segments are left out.
        background: labels that mean background.
        rules: what to do with overlaps, gaps and the like.
    """

    read: ReadOptions = field(default_factory=ReadOptions)
    frame_rate: Fraction | None = None
    annotation_rate: Fraction | None = None
    ends: str | None = None
    first_frame: int | None = None
    offset: str | None = None
    features: Path | None = None
    videos: Path | None = None
    feature_layout: str | None = None
    length: str | None = None
    only_with_features: bool = False
    task: str = ""
    task_pattern: str = ""
    name_pattern: str = ""
    splits: Path | None = None
    rename: Path | None = None
    names: Path | None = None
    number_labels: bool = False
    drop: Sequence[str] = ()
    background: Sequence[str] = ()
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True)
class Imported:
    """The result of reading an annotation.

    Attributes:
        recordings: as they were read, with tasks, final names and labels.
        timelines: the frames of each, in the same order.
        conventions: the conventions of the files (units, ends, first frame), as interpreted.
        features: lengths and layout from the headers of the features, or None.
        dropped: number of segments left out because of their labels.
        without_features: recordings left out because they have no features.
        unused_features: feature files without an annotation.
        notes: one sentence for everything that a user should know.
    """

    recordings: Sequence[Recording]
    timelines: Sequence[Timeline]
    conventions: Sequence[Convention]
    features: FeatureLengths | None
    dropped: int
    without_features: Sequence[str]
    unused_features: Sequence[str]
    notes: Sequence[str]

    @property
    def changes(self) -> Counter[str]:
        """The number of changes of each kind, over all recordings."""
        return sum((timeline.changes for timeline in self.timelines), Counter())


def import_annotation(source: Path, format_name: str, default_task: str, options: ImportOptions) -> Imported:
    """Reads an annotation and converts it to frames; writes nothing.

    Args:
        source: a file or a folder in the named format.
        format_name: one of `readers.READERS`.
        default_task: the task of recordings for which none is known.
        options: what the user declares.

    Raises:
        DataError: with every problem found.
        ConfigError: there is no such format.
    """
    problems: list[str] = []
    recordings = reader_of(format_name)(source, options.read, problems)
    raise_problems(problems)
    recordings = [_named(recording, options, default_task, problems) for recording in recordings]
    if any(recording.convention.ends == UNKNOWN for recording in recordings):
        problems.append(
            "frame numbers of a table: is a segment's end its last frame (--ends inclusive), or the frame after it "
            "(--ends exclusive)?"
        )
    recordings, dropped, notes = _labelled(recordings, options, problems)
    if options.splits is not None:
        recordings = _with_splits(recordings, options.splits, notes, problems)
    recordings, empty = _with_segments(recordings)
    notes += empty
    for recording in recordings:
        problems += segment_problems(recording)
    problems += _name_problems(source, recordings)
    features = None
    left_out: list[str] = []
    folder = options.features or options.videos
    if folder is not None:
        if options.features is not None:
            features = read_feature_lengths(options.features, options.feature_layout, problems)
        else:
            features = read_video_lengths(options.videos, options.frame_rate or Fraction(VIDEO_RATE), problems)
        if features.frame_rate is not None and options.frame_rate not in (None, features.frame_rate):
            problems.append(
                f"--frame-rate is {float(options.frame_rate):g}, but {place(folder)}the features were made at "
                f"{float(features.frame_rate):g} frames/s"
            )
        options = replace(options, frame_rate=options.frame_rate or features.frame_rate)
        if options.only_with_features:
            left_out = [recording.name for recording in recordings if recording.name not in features.frames]
            recordings = [recording for recording in recordings if recording.name in features.frames]
        else:
            problems += missing_features(
                (recording.name for recording in recordings), features.frames, folder, options.features is None
            )
    if not recordings and not problems:
        problems.append(f"{place(source)}no recording with a segment is left")
    raise_problems(problems)

    timelines = _timelines(recordings, features, options, problems)
    problems += explain_troubles(recordings, timelines)
    raise_problems(problems)
    known = {recording.name for recording in recordings}
    unused = sorted(set(features.frames) - known) if features is not None else []
    notes += [note for recording in recordings for note in recording.notes]
    notes += suspicions(recordings, timelines)
    conventions = list(dict.fromkeys(recording.convention for recording in recordings))
    return Imported(recordings, timelines, conventions, features, dropped, left_out, unused, notes)


def _named(recording: Recording, options: ImportOptions, default_task: str, problems: list[str]) -> Recording:
    """The recording with its final name, task and convention."""
    name, task = media_name(recording.name), recording.task
    if options.name_pattern:
        match = re.search(options.name_pattern, recording.name)
        if match is None or not match[1]:
            words = f"--name-pattern {options.name_pattern!r} finds no name in it"
            problems.append(f"{place(recording.file, None, recording.name)}{words}")
        else:
            name = match[1]
    if options.task_pattern:
        match = re.search(options.task_pattern, recording.name)
        if match is None or not match[1]:
            problems.append(
                f"{place(recording.file, None, name)}--task-pattern {options.task_pattern!r} finds no task in it"
            )
        else:
            task = match[1]
    convention = recording.convention
    if convention.unit == SECONDS:
        if options.ends == INCLUSIVE or options.first_frame is not None:
            problems.append("--ends inclusive and --first-frame are about frame numbers; these times are seconds")
    else:
        rate = options.annotation_rate or convention.frame_rate
        convention = convention._replace(
            ends=options.ends or convention.ends,
            first_frame=convention.first_frame if options.first_frame is None else options.first_frame,
            frame_rate=rate,
        )
    return replace(recording, name=name, task=task or options.task or default_task, convention=convention)


def _labelled(
    recordings: list[Recording], options: ImportOptions, problems: list[str]
) -> tuple[list[Recording], int, list[str]]:
    """The recordings with their final labels, the number of dropped segments, and notes on possible mistakes."""
    notes: list[str] = []
    if options.names is not None:
        names = label_rules.read_number_names(options.names, problems, options.read.encoding)
        recordings = label_rules.with_names(recordings, names, options.names, problems)
    if options.rename is not None:
        pairs = label_rules.read_pairs(options.rename, problems, options.read.encoding)
        used = {segment.label for recording in recordings for segment in recording.segments}
        unused = [label for label in pairs if label not in used]
        if unused:
            notes.append(f"{options.rename}: no segment has the label {', '.join(map(repr, unused))}")
        recordings = label_rules.renamed(recordings, pairs)
    labels = {segment.label for recording in recordings for segment in recording.segments}
    for label in options.drop:
        if label not in labels:
            problems.append(f"--drop names {label!r}, which no segment has")
    recordings, dropped = label_rules.without_labels(recordings, options.drop)
    labels -= set(options.drop)
    problems += label_rules.label_problems(labels, options.background, options.number_labels)
    return recordings, dropped, notes + label_rules.label_notes(labels, options.background)


def _with_splits(recordings: list[Recording], path: Path, notes: list[str], problems: list[str]) -> list[Recording]:
    """The recordings, with the split of the list that names them in the file."""
    content = read_object(path, problems)
    homes: dict[str, str] = {}
    for key, names in content.content.items() if content is not None else ():
        split = SPLIT_NAMES.get(key.lower())
        if split is None:
            notes.append(f"{path}: {key!r} is none of the splits train, val and test")
            continue
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            problems.append(f"{place(path)}{key!r} is no list of names")
            continue
        for name in map(media_name, names):
            if homes.setdefault(name, split) != split:
                problems.append(f"{place(path)}{name!r} is in {homes[name]!r} and again in {split!r}")
    unknown = sorted(homes.keys() - {recording.name for recording in recordings})
    if unknown:
        notes.append(f"{path} names {len(unknown)} recordings that are not here ({', '.join(unknown[:3])})")
    return [replace(recording, split=homes.get(recording.name)) for recording in recordings]


def _with_segments(recordings: list[Recording]) -> tuple[list[Recording], list[str]]:
    kept = [recording for recording in recordings if recording.segments]
    empty = [recording.name for recording in recordings if not recording.segments]
    return kept, [f"left out, without any segment: {', '.join(empty)}"] if empty else []


def _name_problems(source: Path, recordings: Sequence[Recording]) -> list[str]:
    problems = []
    first: dict[str, Recording] = {}
    for recording in recordings:
        problem = handle_problem(recording.name)
        if problem is not None:
            problems.append(f"{place(recording.file, recording.task, recording.name)}{problem}")
        other = first.setdefault(recording.name, recording)
        if other is not recording:
            problems.append(
                f"{place(recording.file, recording.task, recording.name)}the recording occurs twice (first in "
                f"{other.file}, task {other.task!r}); expected each name once"
            )
    return problems


def _timelines(
    recordings: Sequence[Recording], features: FeatureLengths | None, options: ImportOptions, problems: list[str]
) -> list[Timeline]:
    units = {recording.convention.unit for recording in recordings}
    unit = units.pop() if len(units) == 1 else FRAMES
    offsets = _values(options.offset, "offset", unit, problems)
    lengths = {} if options.length == LAST else _values(options.length, "length", unit, problems)
    unknown: list[str] = []
    timelines = []
    for recording in recordings:
        try:
            scale = rows_per_unit(recording.convention, options.frame_rate)
        except DataError as error:
            problems.append(str(error))
            break
        offset = _value_of(offsets, recording, "offset", problems)
        segments = [frames_of(segment, recording.convention, scale, offset) for segment in recording.segments]
        declared = _value_of(lengths, recording, "length", problems)
        length: int | None = None
        if features is not None:
            length = features.frames[recording.name]
        elif declared is not None:
            length = nearest(declared * scale)
        elif recording.length is not None and offset is None and options.length != LAST:
            length = nearest(recording.length * scale)
        elif options.length != LAST:
            unknown.append(recording.name)
        timelines.append(lay_out(segments, length, options.rules))
    if unknown:
        named = ", ".join(unknown[:3]) + (", ..." if unknown[3:] else "")
        problems.append(
            f"the length of {len(unknown)} recordings is not known ({named}), so neither is what follows their last "
            f"segment; expected --features FOLDER, --videos FOLDER, --length FILE, or "
            f"--length last, which says that they end with it"
        )
    return timelines


def _values(text: str | None, what: str, unit: str, problems: list[str]) -> Mapping[str, Fraction] | Fraction:
    """One value for all recordings, or one for each recording from a file."""
    if text is None:
        return {}
    if Path(text).is_file():
        return read_values(Path(text), what, unit, problems)
    try:
        return parse_value(text, unit)
    except DataError as error:
        problems.append(f"--{what} {error}, and no such file")
        return {}


def _value_of(
    values: Mapping[str, Fraction] | Fraction, recording: Recording, what: str, problems: list[str]
) -> Fraction | None:
    if isinstance(values, Fraction):
        return values
    if values and recording.name not in values:
        problems.append(f"{place(recording.file, recording.task, recording.name)}the file of --{what} does not name it")
    return values.get(recording.name)
