"""Signs that a recording is none that the training recordings say something about."""

import numpy as np
import pytest

from tests.labelled_recordings import coarse, recordings_of
from utils.prediction.progress.cross_validation import scale_of
from utils.prediction.progress.unlike_training import (
    FAR,
    LONG,
    MARGIN,
    SMOOTHING,
    STANDS,
    fit_training_range,
    newest_measures,
)


class Range:
    """The range of recordings, and what it says of the frames of another one."""

    def __init__(self, recordings):
        self.scale = scale_of(recordings)
        chunks = [self.scale.start().update(r.frames) for r in recordings]
        self.measures, self.paths = [newest_measures(own) for own in chunks], [own.path for own in chunks]
        self.fitted = fit_training_range(self.measures, self.paths)

    def signs(self, frames, parts=None):
        reading, state = self.scale.start(), self.fitted.start()
        found = []
        for part in parts or [frames]:
            chunks = reading.update(part)
            found.append(state.update(newest_measures(chunks), chunks.path))
        return np.concatenate(found)


@pytest.fixture(scope="module")
def known():
    with coarse():
        return Range(recordings_of(12))


def test_training_recordings_are_in_their_range(known):
    for recording in recordings_of(12):
        assert (known.signs(recording.frames) == 0).all()


def test_new_recordings_of_the_same_kind_are_in_range(known):
    signs = [known.signs(r.frames) for r in recordings_of(20, first=50, longest=130)]
    assert np.mean(np.concatenate(signs) == 0) > 0.95


@pytest.mark.parametrize("change", [
    lambda frames: 1e6 * frames,
    lambda frames: 1e-6 * frames,
    lambda frames: (255 * (frames - frames.min()) / np.ptp(frames)).astype(np.uint8),
    lambda frames: np.zeros_like(frames),
    lambda frames: np.repeat(frames[:1], len(frames), axis=0),
    lambda frames: frames + 20,
    lambda frames: -3 * frames,
    lambda frames: 5 * np.random.default_rng(0).normal(size=frames.shape),
    lambda frames: np.random.default_rng(0).normal(size=frames.shape).cumsum(axis=0),
    lambda frames: np.where(np.arange(5) == 2, 1e3, frames),  # a single channel is broken
], ids=[
    "1e6", "1e-6", "uint8", "zeros", "still", "shifted", "turned", "loud noise", "random walk", "broken channel",
])  # fmt: skip
def test_foreign_features_are_out_of_range(known, change):
    for recording in recordings_of(4, first=50):
        signs = known.signs(change(recording.frames))
        assert (signs[len(signs) // 2 :] != 0).all()


def test_it_stands_still_after_longer_than_in_training(known):
    frames = recordings_of(1, first=50)[0].frames
    still = np.concatenate([frames[:40], np.repeat(frames[39:40], 40 * known.scale.length, axis=0)])
    signs = known.signs(still)
    begins = 40 // known.scale.length + int(known.fitted.still_limit) + 1
    assert not (signs[: begins - 1] & STANDS).any()
    assert (signs[begins:] & STANDS).all()


def test_it_is_longer_than_the_longest(known):
    frames = np.tile(recordings_of(1, first=50)[0].frames, (6, 1))
    signs = known.signs(frames)
    longest = max(len(own) for own in known.measures)
    assert known.fitted.longest == longest
    assert not (signs[:longest] & LONG).any()
    assert (signs[longest:] & LONG).all()


@pytest.mark.parametrize("sizes", [(1,) * 50, (0, 7, 0, 33)])
def test_how_a_recording_is_cut_changes_nothing(known, sizes):
    frames = np.concatenate([recordings_of(1, first=50)[0].frames, np.full((90, 5), 3.0)])
    ends = [*np.cumsum(sizes).tolist(), len(frames)]
    parts = [frames[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    assert (known.signs(frames, parts) == known.signs(frames)).all()


def test_the_limit_is_what_no_training_recording_reaches_among_the_others(known):
    """By a loop: of each the mean of the newest distances from all other recordings' chunks."""
    places = [known.fitted.embed(own) for own in known.measures]
    largest = 0.0
    for index, own in enumerate(places):
        others = np.concatenate(places[:index] + places[index + 1 :])
        distances = [min(np.linalg.norm(place - other) for other in others) for place in own]
        means = [np.mean(distances[max(0, t + 1 - SMOOTHING) : t + 1]) for t in range(len(own))]
        largest = max(largest, *means)
    assert known.fitted.limit == pytest.approx(MARGIN * largest, rel=1e-6)


def test_training_chunks_have_unit_variance_in_all_axes_together(known):
    embedded = known.fitted.embed(np.concatenate(known.measures))[:, :-1]
    assert np.square(embedded).sum(axis=1).mean() == pytest.approx(1, rel=1e-6)


def test_what_the_axes_leave_out_is_not_overlooked():
    """Training recordings that move along few axes; a new one that leaves them."""
    plain = recordings_of(6, width=3)
    flat = [type(r)(r.name, np.column_stack([r.frames, r.frames @ np.ones(3)]), r.time_dict) for r in plain]
    known = Range(flat)
    new = recordings_of(1, first=50, width=3)[0].frames
    inside, outside = np.column_stack([new, new @ np.ones(3)]), np.column_stack([new, new @ np.ones(3) + 3])
    assert (known.signs(inside) & FAR).mean() < 0.1
    assert (known.signs(outside)[SMOOTHING:] & FAR).all()


@pytest.mark.parametrize("recordings", [
    recordings_of(1), recordings_of(2), [type(r)(r.name, 0 * r.frames, r.time_dict) for r in recordings_of(3)],
], ids=["one", "two", "still"])
def test_odd_training_recordings(recordings):
    known = Range(recordings)
    for frames in (recordings[0].frames, np.zeros((90, 5)), 1e9 * recordings[0].frames, np.zeros((0, 5))):
        assert known.signs(frames).dtype == np.int64
    assert (known.signs(recordings[0].frames) == 0).mean() > 0.5
