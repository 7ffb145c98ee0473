"""The importer's summary, for the user to check: conventions, recordings, labels, and all changes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from utils.annotation.importing import Imported, ImportOptions
from utils.annotation.recording import FRAMES, plain
from utils.command import format_table
from utils.data.segments import ALWAYS_BACKGROUND

LINES_SHOWN = 20
LABELS_SHOWN = 100
NAMES_SHOWN = 3


def describe(imported: Imported, format_name: str, options: ImportOptions) -> str:
    """The table that the importer prints."""
    background = {*options.background, *ALWAYS_BACKGROUND}
    lines = [f"read as {format_name}: {'; '.join(convention.words() for convention in imported.conventions)}"]
    lines.append(_about_rates(imported, options))
    lines += ["", *_tasks(imported), "", *_labels(imported, background)]
    if changes := _changes(imported, options):
        lines += ["", *changes]
    gone = [
        f"{recording.name}: {phrase}"
        for recording, timeline in zip(imported.recordings, imported.timelines, strict=True)
        for phrase in timeline.gone
    ]
    if gone:
        lines += ["", "segments of which nothing is left", *_shortened(gone)]
    if notes := _notes(imported):
        lines += ["", "notes", *_shortened(notes)]
    return "\n".join(lines)


def _about_rates(imported: Imported, options: ImportOptions) -> str:
    in_frames = all(convention.unit == FRAMES for convention in imported.conventions)
    if options.frame_rate is None:
        rate = "frame numbers are rows of the features"
    elif in_frames and all(convention.frame_rate is None for convention in imported.conventions):
        rate = (
            f"features: {plain(options.frame_rate)} frames/s, taken for the annotation's too (else --annotation-rate)"
        )
    else:
        rate = f"features: {plain(options.frame_rate)} frames/s"
    if imported.features is not None:
        what = "videos" if options.videos else f"features, {imported.features.layout}"
        lengths = f"lengths from the {what}"
        lengths += "" if imported.features.width is None else f", width {imported.features.width}"
    elif options.length is not None:
        lengths = f"lengths by --length {options.length}"
    else:
        lengths = "lengths from the source"
    offset = "" if options.offset is None else f"; the features begin at {options.offset} of the annotation"
    return f"{rate}; {lengths}{offset}"


def _tasks(imported: Imported) -> list[str]:
    rows: dict[str, Counter] = defaultdict(Counter)
    for recording, timeline in zip(imported.recordings, imported.timelines, strict=True):
        counts = rows[recording.task or ""]
        counts["recordings"] += 1
        counts["frames"] += timeline.length
        counts["segments"] += len(timeline.pieces)
        counts[recording.split or "no split"] += 1
    columns = ["recordings", "frames", "segments"]
    splits = [name for name in ("train", "val", "test", "no split") if any(counts[name] for counts in rows.values())]
    columns += splits if splits != ["no split"] else []
    cells = [[task, *(str(counts[name]) for name in columns)] for task, counts in rows.items()]
    return format_table(["task", *columns], cells, rule="").splitlines()


def _labels(imported: Imported, background: set[str]) -> list[str]:
    frames: Counter[str] = Counter()
    segments: Counter[str] = Counter()
    videos: dict[str, set[str]] = defaultdict(set)
    for recording, timeline in zip(imported.recordings, imported.timelines, strict=True):
        for piece in timeline.pieces:
            frames[piece.label] += piece.end - piece.start
            segments[piece.label] += 1
            videos[piece.label].add(recording.name)
    total = sum(frames.values())
    rows = [
        [label + (" (background)" if label in background and label != "background" else ""),
         f"{100 * count / total:.1f} %", str(segments[label]), str(len(videos[label]))]
        for label, count in frames.most_common(LABELS_SHOWN)
    ]  # fmt: skip
    more = len(frames) - LABELS_SHOWN
    lines = format_table(["label", "share", "segments", "recordings"], rows, rule="").splitlines()
    return lines + ([f"and {more} more labels"] if more > 0 else [])


def _changes(imported: Imported, options: ImportOptions) -> list[str]:
    """The changes, how often each was made, and in which recordings."""
    rows: list[list[str]] = []
    named: list[str] = []

    def add(kind: str, count: int, names: Sequence[str]) -> None:
        if count:
            rows.append([kind, str(count), str(len(names) or "")])
            named.append(_first(names))

    for kind, count in imported.changes.items():
        names = [
            recording.name
            for recording, timeline in zip(imported.recordings, imported.timelines, strict=True)
            if timeline.changes[kind]
        ]
        add(f"{kind} (--overlap {options.rules.overlap})" if kind == "overlaps" else kind, count, names)
    add("segments left out by --drop", imported.dropped, [])
    add("recordings left out, without features", len(imported.without_features), imported.without_features)
    if not rows:
        return []
    lines = format_table(["what was done", "count", "recordings"], rows, rule="").splitlines()
    return [lines[0], *(f"{line}  {names}".rstrip() for line, names in zip(lines[1:], named, strict=True))]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")


def _notes(imported: Imported) -> list[str]:
    notes = list(imported.notes)
    if imported.unused_features:
        count, names = len(imported.unused_features), _first(imported.unused_features)
        notes.append(f"{count} feature files have no annotation ({names})")
    tasks = Counter(recording.task for recording in imported.recordings)
    few = [task for task, count in tasks.items() if count < 3]
    if few:
        notes.append(
            f"fewer than 3 recordings: {', '.join(map(repr, few))}; a task trains with 2 at least, and tests with more"
        )
    return notes


def _shortened(lines: Sequence[str]) -> list[str]:
    more = len(lines) - LINES_SHOWN
    return [f"  {line}" for line in lines[:LINES_SHOWN]] + ([f"  and {more} more"] if more > 0 else [])
