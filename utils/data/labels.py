"""How often each label occurs, as the annotation file writes it, and what it is taken for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from utils.command import format_table
from utils.data.annotation import AnnotatedVideo
from utils.data.segments import is_background

LABELS_SHOWN = 100
NO_LABEL = "(no label)"
COLUMNS = ("label", "share", "segments", "recordings", "counts as")


@dataclass(frozen=True)
class LabelCount:
    """One label over all recordings that are used.

    Args:
        label: as in the file; None for frames that no segment covers.
        is_background: whether it counts as background.
        frames, segments: how many it has.
        single_frames: how many of the segments have one frame.
        recordings: how many recordings it occurs in, by split.
    """

    label: str | None
    is_background: bool
    frames: int
    segments: int
    single_frames: int
    recordings: Mapping[str, int]


def count_labels(
    videos: Iterable[AnnotatedVideo], split_of: Mapping[str, str], tails: Mapping[str, int]
) -> list[LabelCount]:
    """The labels, most frames first.

    Args:
        videos: recordings without problems.
        split_of: split of each recording, by name.
        tails: frames after the last segment that become background, by name of the recording.
    """
    frames: Counter[str | None] = Counter()
    segments: Counter[str | None] = Counter()
    single: Counter[str | None] = Counter()
    recordings: dict[str | None, Counter[str]] = defaultdict(Counter)
    background: dict[str | None, bool] = {}
    for video in videos:
        times = video.time_dict
        lengths = [end - start + 1 for start, end in zip(times["start_frame"], times["end_frame"], strict=True)]
        pieces = list(zip(video.labels, times["step"], lengths, strict=True))
        if tail := tails.get(video.handle, 0):
            pieces.append((None, times["step"][0], tail))
        for label, step, length in pieces:
            background[label] = label is None or is_background(step)
            frames[label] += length
            segments[label] += 1
            single[label] += label is not None and length == 1
        for label in {label for label, _, _ in pieces}:
            recordings[label][split_of[video.handle]] += 1
    return [
        LabelCount(label, background[label], count, segments[label], single[label], dict(recordings[label]))
        for label, count in frames.most_common()
    ]


def label_table(counts: Sequence[LabelCount]) -> list[str]:
    """The table of labels, as lines; the last column says which of them count as background."""
    total = sum(count.frames for count in counts)
    rows = [
        (
            NO_LABEL if count.label is None else count.label,
            f"{count.frames / total:.1%}",
            str(count.segments),
            str(sum(count.recordings.values())),
            "background" if count.is_background else "an action",
        )
        for count in counts[:LABELS_SHOWN]
    ]
    more = len(counts) - LABELS_SHOWN
    lines = format_table(COLUMNS, rows, rule="").splitlines()
    return lines + ([f"and {more} more labels"] if more > 0 else [])
