import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.utils.data.builders import assert_valid, labels_of_frames
from utils.data.sampling import sample_frames, segments_at_frames

lengths = st.lists(st.integers(1, 12), min_size=1, max_size=20)


def made(segment_lengths):
    ends = np.cumsum(segment_lengths)
    return {
        "step": [f"a{position}" for position in range(len(ends))],
        "start_frame": (ends - segment_lengths).tolist(),
        "end_frame": (ends - 1).tolist(),
        "name": "video",
    }


@given(lengths, st.data())
def test_the_segments_follow_the_frames_and_none_is_lost_where_all_can_be_kept(segment_lengths, data):
    time_dict = made(segment_lengths)
    before = copy.deepcopy(time_dict)
    total = sum(segment_lengths)
    max_frames = data.draw(st.integers(1, total))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**20)))
    frames, sampled = sample_frames(time_dict, max_frames, generator)
    assert frames.shape == (max_frames,)
    assert frames.min() >= 0
    assert frames.max() < total
    assert (np.diff(frames) > 0).all()
    assert_valid(sampled, max_frames)
    labels = labels_of_frames(time_dict)
    assert labels_of_frames(sampled) == [labels[frame] for frame in frames]
    if max_frames >= len(segment_lengths):
        assert sampled["step"] == time_dict["step"]
    assert sampled["name"] == "video"
    assert time_dict == before


@given(lengths, st.data())
def test_any_frames_carry_their_labels(segment_lengths, data):
    time_dict = made(segment_lengths)
    total = sum(segment_lengths)
    frames = sorted(data.draw(st.sets(st.integers(0, total - 1), min_size=1)))
    sampled = segments_at_frames(time_dict, np.array(frames))
    assert_valid(sampled, len(frames))
    labels = labels_of_frames(time_dict)
    assert labels_of_frames(sampled) == [labels[frame] for frame in frames]


def test_equal_successive_labels_stay_two_segments():
    time_dict = {**made([4, 4]), "step": ["a", "a"]}
    assert segments_at_frames(time_dict, np.array([0, 3, 4]))["start_frame"] == [0, 2]


@pytest.mark.parametrize("segment_lengths", [[1000], [300, 1, 600, 99], [1] * 600 + [400]])
def test_the_frames_are_spread_over_the_video(segment_lengths):
    """No stretch of the video is passed over: 50 of 1000 frames leave gaps below twice their mean of 20."""
    generator = np.random.default_rng(0)
    for _ in range(50):
        frames, _ = sample_frames(made(segment_lengths), 50, generator)
        edges = np.concatenate([[-1], frames, [1000]])
        assert np.diff(edges).max() <= 60
        if len(segment_lengths) != 4:
            assert np.diff(edges).max() <= 40


def test_every_frame_comes_equally_often():
    generator = np.random.default_rng(0)
    time_dict = made([60, 120, 20])
    counts = np.zeros(200)
    repeats = 4000
    for _ in range(repeats):
        frames, _ = sample_frames(time_dict, 20, generator)
        counts[frames] += 1
    # Binomial with p = 0.1: five standard deviations around the mean.
    assert np.abs(counts - repeats / 10).max() < 5 * np.sqrt(repeats * 0.1 * 0.9)
