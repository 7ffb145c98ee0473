"""Segments on frames: each frame is covered once, nothing is lost unsaid, and a naive painting of frames agrees."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.annotation.timeline import OVERLAP_RULES, FrameSegment, Piece, Rules, lay_out

RESOLVING = [rule for rule in OVERLAP_RULES if rule != "refuse"]


@st.composite
def segment_lists(draw, touching=False):
    """Segments of distinct labels within a recording of some length."""
    length = draw(st.integers(1, 40))
    count = draw(st.integers(1, 6))
    segments = []
    for number in range(count):
        start = draw(st.integers(0, length - 1))
        end = draw(st.integers(start + 1, length))
        segments.append(FrameSegment(f"label {number}", start, end, f"line {number}"))
    return segments, length


def rules(overlap="refuse", unlabelled="background", **others):
    return Rules(overlap=overlap, unlabelled=unlabelled, tolerance=0, **others)


def frames_of(pieces):
    return [label for label, start, end in pieces for _ in range(start, end)]


def painted(segments, length, rule):
    """The label of each frame, by looking at every frame alone."""
    order = sorted(segments, key=lambda segment: (segment.start, segment.end))
    ends = [segment.end for segment in order]
    if rule == "cut":
        ends = [min([end, *(later.start for later in order[place + 1 :])]) for place, end in enumerate(ends)]
    frames = []
    for frame in range(length):
        holders = [place for place, segment in enumerate(order) if segment.start <= frame < ends[place]]
        if not holders:
            frames.append("background")
            continue
        if rule == "longest":
            chosen = min(holders, key=lambda place: (order[place].start - ends[place], order[place].start))
        elif rule == "last":
            chosen = min(holders, key=lambda place: (-order[place].start, ends[place]))
        else:
            chosen = min(holders, key=lambda place: (order[place].start, ends[place]))
        frames.append(order[chosen].label)
    return frames


@given(segment_lists(), st.sampled_from(RESOLVING))
def test_every_frame_is_covered_once(case, rule):
    segments, length = case
    timeline = lay_out(segments, length, rules(rule))
    assert not timeline.troubles
    assert timeline.pieces[0].start == 0
    assert timeline.pieces[-1].end == length
    assert all(before.end == after.start for before, after in zip(timeline.pieces, timeline.pieces[1:], strict=False))
    assert all(piece.end > piece.start for piece in timeline.pieces)


@given(segment_lists(), st.sampled_from(["cut", "first", "last", "longest"]))
def test_a_rule_gives_each_frame_to_the_segment_that_it_names(case, rule):
    segments, length = case
    assert frames_of(lay_out(segments, length, rules(rule)).pieces) == painted(segments, length, rule)


@given(segment_lists(), st.sampled_from(RESOLVING))
def test_no_label_is_lost_unsaid(case, rule):
    segments, length = case
    timeline = lay_out(segments, length, rules(rule))
    left = {piece.label for piece in timeline.pieces}
    lost = [segment for segment in segments if segment.label not in left]
    assert len(timeline.gone) == len(lost) == timeline.changes["segments lost under others"]
    assert all(any(segment.label in phrase and segment.where in phrase for phrase in timeline.gone) for segment in lost)


@given(segment_lists())
def test_shared_frames_are_shared_equally(case):
    segments, length = case
    pieces = lay_out(segments, length, rules("split")).pieces
    covered = {frame for segment in segments for frame in range(segment.start, segment.end)}
    assert {frame for frame, label in enumerate(frames_of(pieces)) if label != "background"} == covered
    for piece in pieces:
        if piece.label != "background":
            own = segments[int(piece.label.removeprefix("label "))]
            assert own.start <= piece.start < piece.end <= own.end


def test_two_overlapping_segments_meet_in_the_middle():
    segments = [FrameSegment("a", 0, 10), FrameSegment("b", 6, 20)]
    assert lay_out(segments, 20, rules("split")).pieces == [Piece("a", 0, 8), Piece("b", 8, 20)]


@given(segment_lists())
def test_without_overlap_no_rule_changes_anything(case):
    segments, length = case
    apart, reached = [], 0
    for segment in sorted(segments, key=lambda segment: segment.start):
        if segment.start >= reached:
            apart.append(segment)
            reached = segment.end
    expected = lay_out(apart, length, rules("refuse"))
    assert not expected.troubles
    for rule in RESOLVING:
        assert lay_out(apart, length, rules(rule)).pieces == expected.pieces
    frames = Counter(frames_of(expected.pieces))
    assert all(frames[segment.label] == segment.end - segment.start for segment in apart)


@given(segment_lists())
def test_the_order_of_the_file_does_not_matter(case):
    segments, length = case
    for rule in RESOLVING:
        forward, backward = (lay_out(part, length, rules(rule)).pieces for part in (segments, segments[::-1]))
        key = [(segment.start, segment.end) for segment in segments]
        if len(set(key)) == len(key):
            assert forward == backward


@given(segment_lists())
def test_what_became_background_is_counted(case):
    segments, length = case
    timeline = lay_out(segments, length, rules("first"))
    filled = sum(timeline.changes[f"{kind} frames, now background"] for kind in ("lead-in", "gap", "tail"))
    assert filled == frames_of(timeline.pieces).count("background")


def test_nothing_is_decided_without_a_rule():
    segments = [
        FrameSegment("a", 3, 10, "line 2"),
        FrameSegment("b", 8, 12, "line 3"),
        FrameSegment("c", 14, 16, "line 4"),
    ]
    kinds = {trouble.kind for trouble in lay_out(segments, 30, Rules()).troubles}
    assert kinds == {"overlap"}
    apart = [segments[0], segments[2]]
    assert [(trouble.kind, trouble.frames) for trouble in lay_out(apart, 30, Rules()).troubles] == [
        ("lead-in", 3), ("gap", 4), ("tail", 14),
    ]  # fmt: skip


def test_overlapping_segments_of_one_label_become_one():
    segments = [
        FrameSegment("a", 0, 10),
        FrameSegment("a", 5, 20),
        FrameSegment("b", 20, 30),
        FrameSegment("a", 30, 40),
    ]
    timeline = lay_out(segments, 40, rules("cut"))
    assert timeline.pieces == [Piece("a", 0, 20), Piece("b", 20, 30), Piece("a", 30, 40)]
    assert timeline.changes["overlapping segments of one label, joined"] == 1
    assert [trouble.kind for trouble in lay_out(segments, 40, rules("refuse")).troubles] == ["overlap"]


def test_the_last_segment_takes_a_tail_within_the_tolerance_and_gives_what_is_over():
    segments = [FrameSegment("a", 0, 10), FrameSegment("b", 10, 20)]
    for length, last in ((22, 22), (18, 18)):
        timeline = lay_out(segments, length, Rules())
        assert not timeline.troubles
        assert timeline.pieces == [Piece("a", 0, 10), Piece("b", 10, last)]
        assert timeline.changes["ends moved to the recording's"] == 1
    assert [trouble.kind for trouble in lay_out(segments, 23, Rules()).troubles] == ["tail"]
    assert lay_out(segments, 17, Rules()).troubles[0].kind == "beyond"


def test_what_is_outside_can_be_cut_off_and_is_named():
    segments = [FrameSegment("a", -5, 4), FrameSegment("b", 4, 50), FrameSegment("c", 60, 70, "line 9")]
    timeline = lay_out(segments, 20, rules(outside="cut"))
    assert timeline.pieces == [Piece("a", 0, 4), Piece("b", 4, 20)]
    assert timeline.changes["frames outside the recording, cut off"] == 5 + 30 + 10
    assert timeline.gone == ["'c' (line 9) lies outside the recording"]
    assert [trouble.kind for trouble in lay_out(segments, 20, rules()).troubles][:3] == ["before", "beyond", "beyond"]


def test_segments_without_a_frame_are_refused_or_dropped_and_named():
    segments = [FrameSegment("a", 0, 10), FrameSegment("blink", 5, 5, "line 3"), FrameSegment("b", 10, 12)]
    assert [trouble.kind for trouble in lay_out(segments, 12, rules()).troubles] == ["short"]
    timeline = lay_out(segments, 12, rules(minimum_length=1))
    assert timeline.pieces == [Piece("a", 0, 10), Piece("b", 10, 12)]
    assert timeline.gone == ["'blink' (line 3) has 0 frames"]
    assert lay_out(segments, 12, rules(minimum_length=5)).pieces == [Piece("a", 0, 10), Piece("background", 10, 12)]


@pytest.mark.parametrize(("rule", "expected"), [
    ("drop", [Piece("a", 0, 4), Piece("background", 4, 12)]),
    ("next", [Piece("a", 0, 4), Piece("b", 4, 9), Piece("c", 9, 12)]),
])  # fmt: skip
def test_segments_without_an_end(rule, expected):
    segments = [FrameSegment("a", 0, 4), FrameSegment("b", 4, None), FrameSegment("c", 9, None)]
    assert lay_out(segments, 12, rules(without_end=rule)).pieces == expected
    assert [trouble.kind for trouble in lay_out(segments, 12, rules()).troubles][:2] == ["endless", "endless"]


def test_background_that_touches_background_is_one_piece():
    segments = [FrameSegment("background", 2, 4), FrameSegment("a", 6, 8)]
    assert lay_out(segments, 8, rules()).pieces == [Piece("background", 0, 6), Piece("a", 6, 8)]


def test_a_recording_without_a_known_length_ends_with_its_last_segment():
    assert lay_out([FrameSegment("a", 0, 7)], None, Rules()).pieces == [Piece("a", 0, 7)]


def test_a_recording_without_a_frame():
    for segments, length in (([FrameSegment("a", 0, 0)], None), ([FrameSegment("a", 0, 5)], 0), ([], 0)):
        assert [trouble.kind for trouble in lay_out(segments, length, rules(minimum_length=1)).troubles] == ["empty"]
