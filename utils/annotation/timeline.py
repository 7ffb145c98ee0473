"""Converts any segments to frames, so that each frame is covered exactly once; all changes are counted.

Only whole numbers are used. Nothing is decided silently: a frame that is not covered, covered twice or outside the
recording is an error, unless a rule for it was given. Every change that a rule makes is in the result's `changes`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from utils.annotation.recording import BACKGROUND

OVERLAP_RULES = ("refuse", "cut", "first", "last", "longest", "split")
UNLABELLED_RULES = ("refuse", "background")
OUTSIDE_RULES = ("refuse", "cut")
WITHOUT_END_RULES = ("refuse", "drop", "next")


@dataclass(frozen=True)
class Rules:
    """Rules for frames that are not covered exactly once.

    Attributes:
        overlap: for two different labels. 'cut': a segment ends where the next one begins. 'first', 'last': the segment
            that began first (last) gets the common frames, the other one keeps its frames before and after. 'longest':
            the longer one gets them. 'split': each gets half of them, in the order of the starts. Overlapping segments
            of one label become one, under any rule except 'refuse'.
        unlabelled: frames before the first segment, between two and after the last become 'background'.
        outside: frames before the recording's first frame or after its last are 'cut' off.
        without_end: a segment without an end: 'drop' it, or let it last until the 'next' one begins.
        minimum_length: in frames; shorter segments are dropped. 0 keeps all and refuses segments without a frame.
        tolerance: most frames between the last segment's end and the recording's end; the end is then moved there.
    """

    overlap: str = "refuse"
    unlabelled: str = "refuse"
    outside: str = "refuse"
    without_end: str = "refuse"
    minimum_length: int = 0
    tolerance: int = 2


class FrameSegment(NamedTuple):
    """A segment over frames.

    Attributes:
        label: the action.
        start: its first frame, from 0; negative before the recording.
        end: the frame after its last, or None where the file gives no end.
        where: its place in the file, for messages.
    """

    label: str
    start: int
    end: int | None
    where: str = ""


class Piece(NamedTuple):
    """Frames `start` to `end` - 1 of one label."""

    label: str
    start: int
    end: int


class Trouble(NamedTuple):
    """A problem for which no rule was given.

    Attributes:
        kind: 'overlap', 'lead-in', 'gap', 'tail', 'before', 'beyond', 'short', 'endless', 'reversed'
            or 'empty'.
        frames: number of frames concerned.
        words: a sentence that describes it.
    """

    kind: str
    frames: int
    words: str


@dataclass
class Timeline:
    """One recording's frames.

    Attributes:
        pieces: in order, without gaps, from frame 0 to `length`; complete only if there are no troubles.
        length: number of frames.
        changes: number of changes of each kind; see `utils.annotation.understood`.
        gone: a phrase for each segment of which no frame is left.
        troubles: problems for which no rule was given.
        answered: overlaps and frames without a label for which there was a rule.
        reach: the frame after the last one that the annotation names, which may be beyond the recording.
    """

    pieces: list[Piece]
    length: int
    reach: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    gone: list[str] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    answered: list[Trouble] = field(default_factory=list)


def lay_out(
    segments: Sequence[FrameSegment], length: int | None, rules: Rules, background: str = BACKGROUND
) -> Timeline:
    """The frames of one recording.

    Args:
        segments: in any order.
        length: frames of the recording; None: it ends with its last segment.
        rules: what to do with overlaps, gaps and the like.
        background: the label of frames that no segment covers.

    Returns:
        Pieces that cover each frame once, or the troubles that prevent it.
    """
    timeline = Timeline([], length or 0)
    ended = _give_ends(segments, length, rules, timeline)
    timeline.reach = max((segment.end for segment in ended), default=0)
    if length is None:
        timeline.length = length = timeline.reach
    if length < 1:
        timeline.troubles.append(Trouble("empty", 0, "it has no frame"))
        return timeline
    ended = _within(ended, length, rules, timeline)
    ended = _long_enough(ended, rules, timeline)
    pieces = _without_overlaps(ended, rules, timeline)
    timeline.pieces = _filled(pieces, length, rules, timeline, background)
    return timeline


def _named(segment: FrameSegment) -> str:
    return f"{segment.label!r} ({segment.where})" if segment.where else repr(segment.label)


def _give_ends(
    segments: Sequence[FrameSegment], length: int | None, rules: Rules, timeline: Timeline
) -> list[FrameSegment]:
    """The segments in order of their starts; each end is at or after its start."""
    starts = sorted({segment.start for segment in segments})
    following = dict(pairwise(starts))
    result = []
    for segment in segments:
        if segment.end is None:
            if rules.without_end == "refuse":
                timeline.troubles.append(Trouble("endless", 0, f"{_named(segment)} has no end"))
                continue
            if rules.without_end == "drop":
                timeline.changes["without an end, dropped"] += 1
                timeline.gone.append(f"{_named(segment)} has no end")
                continue
            end = following.get(segment.start, length)
            if end is None:
                words = f"{_named(segment)} has no end, nothing follows, and the recording's length isn't known"
                timeline.troubles.append(Trouble("endless", 0, words))
                continue
            timeline.changes["without an end, lasting to the next"] += 1
            segment = segment._replace(end=max(end, segment.start))
        if segment.end < segment.start:
            words = f"{_named(segment)} ends at frame {segment.end}, before its start {segment.start}"
            timeline.troubles.append(Trouble("reversed", 0, words))
        else:
            result.append(segment)
    return sorted(result, key=lambda segment: (segment.start, segment.end))


def _within(segments: list[FrameSegment], length: int, rules: Rules, timeline: Timeline) -> list[FrameSegment]:
    """The segments without their frames before frame 0 and after the last frame."""
    result = []
    for segment in segments:
        before, beyond = max(0, min(segment.end, 0) - segment.start), max(0, segment.end - max(length, segment.start))
        if beyond and segment.start < length and beyond <= rules.tolerance:
            timeline.changes["ends moved to the recording's"] += 1
            segment = segment._replace(end=length)
        elif before or beyond:
            if rules.outside == "refuse":
                side = "begins before the recording does" if before else f"ends after the recording's {length} frames"
                words = f"{_named(segment)}, frames {segment.start} to {segment.end}, {side}"
                timeline.troubles.append(Trouble("before" if before else "beyond", before + beyond, words))
                continue
            timeline.changes["frames outside the recording, cut off"] += before + beyond
            if segment.end <= 0 or segment.start >= length:
                timeline.gone.append(f"{_named(segment)} lies outside the recording")
                timeline.changes["segments outside the recording, dropped"] += 1
                continue
            segment = segment._replace(start=max(segment.start, 0), end=min(segment.end, length))
        result.append(segment)
    return result


def _long_enough(segments: list[FrameSegment], rules: Rules, timeline: Timeline) -> list[FrameSegment]:
    result = []
    for segment in segments:
        frames = segment.end - segment.start
        if frames >= max(rules.minimum_length, 1):
            result.append(segment)
        elif rules.minimum_length:
            timeline.changes["too short, dropped"] += 1
            timeline.gone.append(f"{_named(segment)} has {frames} frames")
        else:
            words = f"{_named(segment)} covers no frame: it begins and ends at frame {segment.start}"
            timeline.troubles.append(Trouble("short", 0, words))
    return result


def _without_overlaps(segments: list[FrameSegment], rules: Rules, timeline: Timeline) -> list[Piece]:
    if rules.overlap != "refuse":
        segments = _join_same_label(segments, timeline)
    overlaps, reached = 0, None
    for segment in segments:
        if reached is not None and segment.start < reached.end:
            overlaps += 1
            frames = min(segment.end, reached.end) - segment.start
            words = f"{_named(segment)} begins at frame {segment.start}, but {_named(reached)} lasts to {reached.end}"
            place = timeline.troubles if rules.overlap == "refuse" else timeline.answered
            place.append(Trouble("overlap", frames, words))
        if reached is None or segment.end > reached.end:
            reached = segment
    if not overlaps:
        return [Piece(segment.label, segment.start, segment.end) for segment in segments]
    if rules.overlap == "refuse":
        return []
    timeline.changes["overlaps"] += overlaps
    owned = _owners(segments, rules.overlap)
    left: dict[int, int] = defaultdict(int)
    parts: Counter[int] = Counter()
    for owner, start, end in owned:
        left[owner] += end - start
        parts[owner] += 1
    for index, segment in enumerate(segments):
        if not left[index]:
            timeline.gone.append(f"{_named(segment)} lies wholly under others (--overlap {rules.overlap})")
            timeline.changes["segments lost under others"] += 1
        elif left[index] < segment.end - segment.start:
            timeline.changes["segments shortened by others"] += 1
        timeline.changes["segments in several pieces"] += parts[index] > 1
    return [Piece(segments[owner].label, start, end) for owner, start, end in owned]


def _join_same_label(segments: list[FrameSegment], timeline: Timeline) -> list[FrameSegment]:
    """Joins overlapping segments of one label."""
    joined: list[FrameSegment] = []
    latest: dict[str, int] = {}
    for segment in segments:
        place = latest.get(segment.label)
        if place is not None and segment.start < joined[place].end:
            joined[place] = joined[place]._replace(end=max(joined[place].end, segment.end))
            timeline.changes["overlapping segments of one label, joined"] += 1
        else:
            latest[segment.label] = len(joined)
            joined.append(segment)
    return sorted(joined, key=lambda segment: (segment.start, segment.end))


def _owners(segments: list[FrameSegment], rule: str) -> list[tuple[int, int, int]]:
    """The frames of each segment: (index, start, end) in order; adjacent parts of one segment are joined."""
    ends = [segment.end for segment in segments]
    if rule == "cut":
        for index, (_, after) in enumerate(pairwise(segments)):
            ends[index] = min(ends[index], after.start)

    def rank(index: int) -> tuple:
        start, length = segments[index].start, ends[index] - segments[index].start
        if rule == "longest":
            return -length, start
        return (-start, length) if rule == "last" else (start, length)

    edges = sorted({*(segment.start for segment in segments), *ends})
    opening, closing = defaultdict(list), defaultdict(list)
    for index, segment in enumerate(segments):
        if ends[index] > segment.start:
            opening[segment.start].append(index)
            closing[ends[index]].append(index)
    result: list[tuple[int, int, int]] = []
    active: set[int] = set()
    for start, end in pairwise(edges):
        active.difference_update(closing[start])
        active.update(opening[start])
        if not active:
            continue
        holders = sorted(active, key=rank) if rule == "split" else [min(active, key=rank)]
        shares = [start + (end - start) * part // len(holders) for part in range(len(holders) + 1)]
        for owner, (first, stop) in zip(holders, pairwise(shares), strict=True):
            if result and result[-1][0] == owner and result[-1][2] == first:
                result[-1] = (owner, result[-1][1], stop)
            elif stop > first:
                result.append((owner, first, stop))
    return result


def _filled(pieces: list[Piece], length: int, rules: Rules, timeline: Timeline, background: str) -> list[Piece]:
    """Covers every frame from 0 to `length`; adjacent background pieces are joined."""
    if pieces and 0 < length - pieces[-1].end <= rules.tolerance:
        pieces = [*pieces[:-1], pieces[-1]._replace(end=length)]
        timeline.changes["ends moved to the recording's"] += 1
    result: list[Piece] = []

    def add(piece: Piece) -> None:
        if result and piece.label == background == result[-1].label:
            result[-1] = result[-1]._replace(end=piece.end)
        else:
            result.append(piece)

    def fill(kind: str, start: int, end: int) -> None:
        if end <= start:
            return
        trouble = Trouble(kind, end - start, f"frames {start} to {end - 1} have no label")
        if rules.unlabelled == "refuse":
            timeline.troubles.append(trouble)
        else:
            timeline.answered.append(trouble)
            timeline.changes[f"{kind} frames, now background"] += end - start
        add(Piece(background, start, end))

    covered = 0
    for piece in pieces:
        fill("gap" if covered else "lead-in", covered, piece.start)
        add(piece)
        covered = piece.end
    if timeline.troubles and not pieces:
        return result  # the uncovered frames are a consequence of the troubles found before
    fill("tail", covered, length)
    return result
