import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.utils.data.builders import assert_valid, labels_of_frames
from utils.data.segment_ends import majority_is_exclusive, read_ends
from utils.data.segments import fit_to_length, normalize_segments, subsample_segments, valid_frames
from utils.errors import DataError

BACKGROUND = frozenset({"SIL", "background", "0"})


def normalize(actions, starts, ends, file_half_open=True):
    """As SEGMENT_ENDS = 'majority' reads it."""
    problems = []
    exclusive = majority_is_exclusive(valid_frames(starts) or (), valid_frames(ends) or (), file_half_open)
    time_dict = normalize_segments("video", actions, starts, ends, BACKGROUND, exclusive, problems)
    assert (time_dict is None) == bool(problems)
    return time_dict, problems


def accepted(*arguments, **options):
    time_dict, problems = normalize(*arguments, **options)
    assert problems == []
    assert_valid(time_dict)
    return time_dict


def refused(*arguments, **options):
    _, problems = normalize(*arguments, **options)
    assert problems
    return problems


def spans(time_dict):
    return list(zip(time_dict["step"], time_dict["start_frame"], time_dict["end_frame"], strict=True))


lengths = st.lists(st.integers(1, 9), min_size=1, max_size=12)


@given(lengths)
def test_half_open_and_inclusive_files_mean_the_same(segment_lengths):
    starts = [sum(segment_lengths[:position]) for position in range(len(segment_lengths))]
    stops = [start + length for start, length in zip(starts, segment_lengths, strict=True)]
    actions = [f"a{position}" for position in range(len(starts))]
    inclusive = [stop - 1 for stop in stops]
    half_open = [*stops[:-1], stops[-1] - 1]
    expected = [f"a{position}" for position, length in enumerate(segment_lengths) for _ in range(length)]
    assert labels_of_frames(accepted(actions, starts, half_open)) == expected
    assert labels_of_frames(accepted(actions, starts, inclusive, file_half_open=False)) == expected
    # With two segments or more the video itself shows its convention, whatever the file's.
    if len(starts) > 1:
        assert labels_of_frames(accepted(actions, starts, half_open, file_half_open=False)) == expected
        assert labels_of_frames(accepted(actions, starts, inclusive, file_half_open=True)) == expected


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(2, 6)), min_size=1, max_size=8), st.booleans())
def test_gaps_become_background_in_either_convention(gaps_and_lengths, half_open):
    """Gaps of other lengths than 1, which alone could be read as the other convention."""
    starts, ends, expected, cursor = [], [], [], 0
    for gap, length in gaps_and_lengths:
        gap += gap == 1
        starts.append(cursor + gap)
        cursor += gap + length
        ends.append(cursor if half_open else cursor - 1)
        expected += ["SIL"] * gap + ["a"] * length
    if half_open:
        ends[-1] -= 1
    time_dict = accepted(["a"] * len(starts), starts, ends, file_half_open=half_open)
    assert labels_of_frames(time_dict) == expected


def test_one_frame_gap_in_a_half_open_video_is_background():
    assert spans(accepted(["a", "b", "c", "d"], [0, 4, 8, 13], [4, 8, 12, 19])) == [
        ("a", 0, 3), ("b", 4, 7), ("c", 8, 11), ("SIL", 12, 12), ("d", 13, 19),
    ]  # fmt: skip


def test_touching_boundary_in_an_inclusive_video_is_an_overlap():
    problems = refused(["a", "b", "c", "d"], [0, 4, 8, 11], [3, 7, 11, 15])
    assert [segment for segment, _ in problems] == [3]
    assert "starts at frame 11, but frames up to 11 belong to an earlier segment" in problems[0][1]


def test_equal_votes_are_half_open():
    assert spans(accepted(["a", "b", "c"], [0, 4, 9], [4, 8, 12], file_half_open=False)) == [
        ("a", 0, 3), ("b", 4, 7), ("SIL", 8, 8), ("c", 9, 12),
    ]  # fmt: skip


def test_a_video_that_shows_no_convention_follows_the_file():
    arguments = (["a", "b"], [0, 10], [5, 15])
    assert spans(accepted(*arguments, file_half_open=True)) == [("a", 0, 4), ("SIL", 5, 9), ("b", 10, 15)]
    assert spans(accepted(*arguments, file_half_open=False)) == [("a", 0, 5), ("SIL", 6, 9), ("b", 10, 15)]
    # One frame written as start == end is inclusive, whatever the file's other videos say.
    assert spans(accepted(["a", "b"], [0, 5], [0, 9])) == [("a", 0, 0), ("SIL", 1, 4), ("b", 5, 9)]
    gaps = ("task", "w", ["a", "b"], [0, 10], [5, 15])
    assert read_ends([("task", "v", ["a", "b"], [0, 4], [4, 9]), gaps], "majority").are_exclusive([0, 10], [5, 15])
    assert not read_ends([("task", "v", ["a", "b"], [0, 4], [3, 9]), gaps], "majority").are_exclusive([0, 10], [5, 15])
    assert read_ends([], "majority").are_exclusive([0], [5])


def test_segments_of_one_frame():
    assert spans(accepted(["a", "b", "c"], [0, 1, 2], [1, 2, 2])) == [("a", 0, 0), ("b", 1, 1), ("c", 2, 2)]
    assert spans(accepted(["a", "b", "c"], [0, 1, 2], [0, 1, 2])) == [("a", 0, 0), ("b", 1, 1), ("c", 2, 2)]


def test_a_thousand_segments_and_one():
    count = 1000
    time_dict = accepted(["a"] * count, list(range(count)), [*range(1, count), count - 1])
    assert len(time_dict["step"]) == count
    assert spans(accepted(["only"], [0], [41])) == [("only", 0, 41)]


def test_background_labels_become_SIL_and_successive_instances_stay_apart():
    time_dict = accepted(["0", "a", "a", "background", "SIL", 7], [0, 2, 4, 6, 8, 10], [2, 4, 6, 8, 10, 11])
    assert time_dict["step"] == ["SIL", "a", "a", "SIL", "SIL", "7"]
    assert accepted(["0", "0"], [0, 5], [5, 9])["step"] == ["SIL", "SIL"]


def test_the_lists_given_are_not_changed():
    actions, starts, ends = ["0", "a"], [2, 5], [5, 9]
    before = copy.deepcopy((actions, starts, ends))
    time_dict = accepted(actions, starts, ends)
    time_dict["start_frame"].append(99)
    assert (actions, starts, ends) == before


@pytest.mark.parametrize(
    ("actions", "starts", "ends", "segment", "words"),
    [
        (["a", "b"], [0, 3], [5, 9], 1, "frames up to 4 belong to an earlier segment"),
        (["a", "b", "c"], [0, 5, 2], [5, 9, 4], 2, "frames up to 8 belong to an earlier segment"),
        (["a", "b"], [0, 9], [9, 4], 1, "before its start 9"),
        (["a", "b", "c"], [0, 4, 4], [4, 4, 9], 1, "an empty segment in a video"),
        (["a", "b"], [0, -1], [4, 9], 1, "whole frame number >= 0"),
        (["a", "b"], [0, 4.5], [4.5, 9], 1, r"whole frame number >= 0 (times in seconds? The command"),
        (["a", "b"], [0, 2**53], [4, 9], 1, "below 2**53"),
        (["a", "b"], [0, float("nan")], [4, 9], 1, "whole frame number"),
        (["a", "b"], [0, "4"], [4, 9], 1, "whole frame number >= 0, not text"),
        (["a", "b"], [0, True], [1, 9], 1, "whole frame number"),
        (["a", "b"], [0, None], [4, 9], 1, "whole frame number"),
        (["a", None], [0, 4], [4, 9], 1, "expected a label"),
        (["a", ""], [0, 4], [4, 9], 1, "expected a label"),
        (["a", ["b"]], [0, 4], [4, 9], 1, "expected a label"),
        ([], [], [], None, "empty"),
        (["a", "b"], [0], [4, 9], None, "2 actions, 1 starts, 2 ends"),
        ("ab", [0, 4], [4, 9], None, "expected a list of labels"),
        (["a", "b"], None, [4, 9], None, "expected a list of frames"),
    ],
)
def test_what_cannot_be_is_refused_with_its_segment(actions, starts, ends, segment, words):
    problems = refused(actions, starts, ends)
    assert problems[0][0] == segment
    assert words in problems[0][1]


def test_all_problems_of_a_video_are_found():
    problems = refused(["a", "b", "c", "d"], [0, 3, 9, 8], [5, 9, 12, 20])
    assert [segment for segment, _ in problems] == [1, 3]
    # A segment inside another doesn't hide that the next one overlaps the outer.
    assert [segment for segment, _ in refused(["a", "b", "c"], [0, 2, 6], [10, 4, 15])] == [1, 2]


def test_numbers_as_labels_are_refused_or_taken():
    problems = []
    arguments = ("video", ["a", 0], [0, 4], [4, 9], BACKGROUND, True, problems)
    assert normalize_segments(*arguments, "take")["step"] == ["a", "SIL"]
    assert problems == []
    assert normalize_segments(*arguments, "refuse") is None
    ((segment, words),) = problems
    assert (segment, words.split(";")[0]) == (1, "the action is the number 0")
    assert "INTEGER_LABELS" in words


def test_whole_floats_are_frames():
    assert spans(accepted(["a", "b"], [0.0, 4.0], [4.0, 9.0])) == [("a", 0, 3), ("b", 4, 9)]


def made(segment_lengths):
    starts = [sum(segment_lengths[:position]) for position in range(len(segment_lengths))]
    return {
        "step": [f"a{position}" for position in range(len(starts))],
        "start_frame": starts,
        "end_frame": [start + length - 1 for start, length in zip(starts, segment_lengths, strict=True)],
        "name": "video",
    }


@given(lengths, st.integers(-2, 2))
def test_two_frames_of_difference_are_absorbed_at_the_end(segment_lengths, difference):
    time_dict = made(segment_lengths)
    before = copy.deepcopy(time_dict)
    frames = sum(segment_lengths) + difference
    if frames < len(segment_lengths):
        with pytest.raises(DataError, match="expected a frame for each"):
            fit_to_length(time_dict, frames)
        return
    fitted = fit_to_length(time_dict, frames)
    assert_valid(fitted, frames)
    assert fitted["step"] == time_dict["step"]
    assert time_dict == before
    untouched = labels_of_frames(time_dict)[: frames - len(segment_lengths)]
    assert labels_of_frames(fitted)[: len(untouched)] == untouched[:frames]


def test_one_per_cent_is_absorbed_and_more_is_not():
    time_dict = made([400, 610])
    assert fit_to_length(time_dict, 1000)["end_frame"] == [399, 999]
    for frames in (999, 1021):
        with pytest.raises(
            DataError, match=rf"{frames} frames of features, 1010 annotated; expected a difference within 1 %"
        ):
            fit_to_length(time_dict, frames)
    with pytest.raises(DataError, match="995 frames of features, 1005 annotated"):
        fit_to_length(made([400, 605]), 995)
    with pytest.raises(DataError, match="expected a difference within"):
        fit_to_length(made([5, 5]), 13)


def test_a_cut_that_would_remove_the_last_segments_leaves_each_a_frame():
    fitted = fit_to_length(made([5, 4, 1, 1]), 9)
    assert spans(fitted) == [("a0", 0, 4), ("a1", 5, 6), ("a2", 7, 7), ("a3", 8, 8)]


@given(lengths, st.integers(1, 200))
def test_proportional_scaling_keeps_every_segment_and_the_proportions(segment_lengths, frames):
    time_dict = made(segment_lengths)
    if frames < len(segment_lengths):
        with pytest.raises(DataError, match="expected a frame for each"):
            fit_to_length(time_dict, frames, "proportional")
        return
    fitted = fit_to_length(time_dict, frames, "proportional")
    assert_valid(fitted, frames)
    assert fitted["step"] == time_dict["step"]
    total = sum(segment_lengths)
    if frames >= total:
        for start, scaled in zip(time_dict["start_frame"], fitted["start_frame"], strict=True):
            assert abs(scaled - start * frames / total) <= 0.5


def test_proportional_scaling_is_exact_on_other_rates():
    time_dict = made([10, 20, 30])
    assert fit_to_length(time_dict, 30, "proportional")["end_frame"] == [4, 14, 29]
    assert fit_to_length(time_dict, 120, "proportional")["end_frame"] == [19, 59, 119]


@given(lengths, st.integers(0, 40))
def test_an_unlabelled_tail_becomes_background_and_moves_nothing(segment_lengths, more):
    time_dict = made(segment_lengths)
    before = copy.deepcopy(time_dict)
    frames = sum(segment_lengths) + more
    fitted = fit_to_length(time_dict, frames, tail="background")
    assert_valid(fitted, frames)
    assert labels_of_frames(fitted) == labels_of_frames(time_dict) + ["SIL"] * more
    assert time_dict == before


def test_features_that_are_shorter_are_no_tail():
    assert fit_to_length(made([5, 5]), 9, tail="background") == fit_to_length(made([5, 5]), 9)
    with pytest.raises(DataError, match="3 frames of features, 10 annotated"):
        fit_to_length(made([5, 5]), 3, tail="background")


def test_a_segment_that_lies_after_the_features_is_refused_though_the_lengths_are_within_one_percent():
    time_dict = made([1002, 7])
    with pytest.raises(DataError, match="1000 frames of features, but the last segment starts at frame 1002"):
        fit_to_length(time_dict, 1000)
    assert fit_to_length(made([1001, 7]), 1000)["end_frame"] == [998, 999]


def test_an_unknown_scaling_is_refused():
    with pytest.raises(DataError, match="ANNOTATION_SCALING is 'linear'"):
        fit_to_length(made([3]), 3, "linear")


@given(lengths, st.integers(1, 7))
def test_subsampling_labels_frames_as_taking_every_kth_does(segment_lengths, skip_rate):
    time_dict = made(segment_lengths)
    before = copy.deepcopy(time_dict)
    sampled = subsample_segments(time_dict, skip_rate)
    assert_valid(sampled)
    assert labels_of_frames(sampled) == labels_of_frames(time_dict)[::skip_rate]
    assert time_dict == before
