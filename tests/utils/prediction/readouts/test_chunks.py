"""Chunks of a recording: by loops from what their docstrings say, and however a recording is cut."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from utils.prediction.readouts.chunks import (
    LARGEST,
    MOST_CHANNELS,
    WINDOWS,
    chunk_scale,
    end_frames,
    mean_of_newest,
    truth_while_used,
)


def walk(frames, width=3, seed=0):
    return np.random.default_rng(seed).normal(size=(frames, width)).cumsum(axis=0)


def scale_with(length, width=3):
    """The scale of two recordings whose chunks have this length."""
    return replace(chunk_scale([walk(40 * length, width, 1), walk(60 * length, width, 2)]), length=length)


def cut(frames, sizes):
    ends = [*np.cumsum(sizes).tolist(), len(frames)]
    return [frames[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def joined(parts):
    """The chunks of several calls."""
    parts = [part for part in parts if len(part)]
    return [np.concatenate([getattr(part, name) for part in parts]) for name in ("measures", "clock", "path")]


@pytest.mark.parametrize("length", [1, 2, 7])
def test_measures_clock_and_path_by_loops(length):
    scale, frames = scale_with(length), walk(15 * length + length // 2, seed=5)
    scaled = np.clip((frames - scale.mean) / scale.deviation, -LARGEST, LARGEST)
    found = scale.start().update(frames)
    assert len(found) == 15
    alone, path = [], 0.0
    for number in range(15):
        inside = range(number * length, (number + 1) * length)
        changes = [scaled[t] - scaled[max(t - 1, 0)] for t in inside]
        path += sum(np.linalg.norm(change) for change in changes)
        alone.append(
            np.concatenate(
                [
                    np.mean([scaled[t] for t in inside], axis=0),
                    np.std([scaled[t] for t in inside], axis=0),
                    np.log(1 + 10 * np.mean(np.abs(changes), axis=0)),
                ]
            )
        )
        newest = [np.mean(alone[max(0, number + 1 - window) :], axis=0) for window in WINDOWS]
        np.testing.assert_allclose(found.measures[number], np.concatenate(newest), atol=1e-12)
        assert found.clock[number] == pytest.approx((number + 1) * length / (50 * length), abs=1e-12)
        assert found.path[number] == pytest.approx(path / scale.mean_path, abs=1e-12)


@pytest.mark.parametrize("width", [3, MOST_CHANNELS + 10])
@pytest.mark.parametrize("sizes", [(1,) * 60, (0, 1, 0, 7, 0, 30), (3,), (49, 1), (0,)])
def test_how_a_recording_is_cut_changes_nothing(sizes, width):
    scale, frames = scale_with(4, width), walk(90, width, seed=5)
    whole, state = joined([scale.start().update(frames)]), scale.start()
    parts = joined([state.update(part) for part in cut(frames, sizes)])
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)
    if width <= MOST_CHANNELS:  # no matrix product, whose rounding depends on its size
        for one, other in zip(whole, parts, strict=True):
            assert (one == other).all()


def test_a_recording_shorter_than_a_chunk_has_none():
    state = scale_with(7).start()
    for frames in (0, 1, 0, 5):
        assert len(state.update(walk(frames))) == 0
    assert len(state.update(walk(1))) == 1


def test_what_is_read_is_not_kept():
    scale, frames = scale_with(4), walk(30, seed=5)
    expected, state, buffer = scale.start().update(frames), scale.start(), np.empty((5, 3))
    parts = []
    for start in range(0, 30, 5):
        buffer[:] = frames[start : start + 5]
        parts.append(state.update(buffer))
    assert (joined(parts)[0] == expected.measures).all()


def test_tensors_are_read_as_arrays_are():
    scale, frames = scale_with(4), walk(30).astype(np.float32)
    expected = scale.start().update(frames.astype(np.float64)).measures
    for given in (frames, torch.from_numpy(frames), torch.from_numpy(frames).requires_grad_()):
        assert (scale.start().update(given).measures == expected).all()


class TestScale:
    def test_mean_path_and_length_are_those_of_the_recordings(self):
        recordings = [walk(80, seed=1), walk(140, seed=2)]
        scale = chunk_scale(recordings)
        assert scale.mean_length == 110
        assert scale.length == 1
        paths = [
            sum(np.linalg.norm(after - before) for before, after in itertools.pairwise(scale.scaled(recording)))
            for recording in recordings
        ]
        assert scale.mean_path == pytest.approx(np.mean(paths))

    def test_a_chunk_is_a_hundredth_of_a_mean_recording_and_a_third_of_a_short_segment(self):
        recordings = [np.zeros((4000, 1))]
        assert [chunk_scale(recordings, short).length for short in (np.inf, 3000, 60, 3, 0.1)] == [40, 40, 20, 1, 1]

    @pytest.mark.parametrize("constant", [0.0, 0.1, -3e9, 1e-20])
    def test_a_channel_that_never_changes_says_nothing(self, constant):
        frames = np.column_stack([walk(50)[:, 0], np.full(50, constant)])
        found = chunk_scale([frames]).start().update(frames)
        assert np.abs(found.measures[:, 1]).max() < 1e-6
        assert np.isfinite(found.measures).all()

    def test_what_is_far_off_is_bounded(self):
        scale = scale_with(2)
        for factor in (1e6, 1e300):
            assert np.abs(scale.scaled(factor * walk(20))).max() <= LARGEST

    def test_many_channels_become_principal_components(self):
        rng = np.random.default_rng(0)
        few, mixed = rng.normal(size=(300, 4)), rng.normal(size=(4, 90))
        frames = few @ mixed
        scale = chunk_scale([frames])
        found = scale.scaled(frames)
        assert found.shape == (300, MOST_CHANNELS)
        np.testing.assert_allclose(scale.components.T @ scale.components, np.eye(MOST_CHANNELS), atol=1e-10)
        variance = found.var(axis=0)
        assert (np.diff(variance) <= 1e-9).all()
        # The four that there are hold everything but what the bounds cut off.
        assert variance[:4].sum() > 0.99 * variance.sum()

    def test_recordings_of_a_single_still_frame(self):
        scale = chunk_scale([np.zeros((1, 2))])
        found = scale.start().update(np.zeros((3, 2)))
        assert np.isfinite(found.measures).all()
        assert np.isfinite(found.path).all()


@pytest.mark.parametrize("window", [1, 3, 12])
@pytest.mark.parametrize("earlier", [0, 2, 11])
@pytest.mark.parametrize("number", [0, 1, 5, 20])
def test_mean_of_newest_by_a_loop(number, earlier, window):
    rows = np.random.default_rng(0).normal(size=(earlier + number, 2))
    found = mean_of_newest(rows, number, window)
    assert found.shape == (number, 2)
    for index in range(number):
        newest = rows[: earlier + index + 1][-window:]
        np.testing.assert_allclose(found[index], newest.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize(("frames", "length"), [(1, 1), (10, 1), (10, 3), (12, 4), (5, 5), (3, 7)])
def test_truth_while_used_by_a_loop(frames, length):
    values, number = np.random.default_rng(0).random(frames), frames // length
    found = truth_while_used(values, number, length)
    assert found.shape == (number,)
    for chunk, end in zip(range(number), end_frames(number, length), strict=True):
        assert end == (chunk + 1) * length - 1
        # An answer to a chunk stands from the next frame on, until the next answer; the last value goes on.
        stands = [values[min(frame, frames - 1)] for frame in range(end + 1, end + 1 + length)]
        assert found[chunk] == pytest.approx(np.mean(stands))
