"""Progress is told to the end only where the end looks like one."""

from dataclasses import replace

import numpy as np
import pytest

from tests.labelled_recordings import BACKGROUND, coarse, recording_of, recordings_of
from utils.prediction.progress.cross_validation import NAIVE, cross_validate, scale_of
from utils.prediction.progress.end import (
    BINS,
    FEWEST,
    MOST_WITHOUT_END,
    NEARLY_DONE,
    SHRINKAGE,
    WINDOW,
    end_distance,
    fit_end,
    newest_means,
)
from utils.prediction.progress.model import EMBEDDING, NO_END, fit_progress
from utils.prediction.readouts.chunks import WINDOWS, truth_while_used

NAMES = ("filter", "alignment")


def carried(seed, drops=False):
    """A recording whose last channel says that the thing is in the hand, from the second step on or until it falls."""
    rng = np.random.default_rng([3, seed])
    lengths = rng.integers(20, 40, 4).tolist()
    recording = recording_of(["cut", "mix", "pour", BACKGROUND], lengths, seed)
    held = np.zeros(len(recording))
    held[lengths[0] : lengths[0] + lengths[1] // 2 if drops else None] = 1
    held += 0.1 * rng.normal(size=len(held))
    return replace(recording, frames=np.column_stack([recording.frames, held]))


@pytest.fixture(scope="module")
def models():
    """By name, a model of recordings that all succeeded."""
    with coarse():
        recordings = [carried(seed) for seed in range(12)]
        found = cross_validate(recordings, names=NAMES)
        return {name: fit_progress(recordings, found=found, name=name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_that_ends_without_the_thing_is_not_done(models, name):
    """The channel alone tells them apart: without this check, the work that failed is read as done."""
    model = models[name]
    failed = [model.predict(carried(seed, drops=True).frames) for seed in range(50, 56)]
    assert all(own.progress[-1] <= MOST_WITHOUT_END for own in failed)
    believing = replace(model, end=None)
    assert any(believing.predict(carried(seed, drops=True).frames).progress[-1] > NEARLY_DONE for seed in range(50, 56))
    for answers in failed:
        held_down = answers.rows["unlike"] & NO_END > 0
        assert [("end not seen" in said) for said in answers.out_of_range] == held_down.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_new_recordings_that_succeed_are_done(models, name):
    ends = [models[name].predict(carried(seed).frames).progress[-1] for seed in range(50, 60)]
    assert np.mean(np.array(ends) > NEARLY_DONE) > 0.8


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_is_held_down_by_a_loop(models, name, size):
    """With a limit that nothing reaches: every answer above the bound, and no other, at every frame after its chunk."""
    model, frames = models[name], carried(70).frames
    free = replace(model, end=replace(model.end, limit=np.inf))
    expected = model.readout.start().update(frames)
    assert (free.predict(frames).progress == expected).all()
    strict, length = replace(model, end=replace(model.end, limit=0.0)), model.scale.length
    state = strict.start()
    rows = np.concatenate([state.update(frames[start : start + size]) for start in range(0, len(frames), size)])
    assert rows["progress"].max() == MOST_WITHOUT_END < expected.max()
    assert (rows["lower"] <= rows["progress"]).all()
    for frame, row in enumerate(rows):
        held_down = frame >= length - 1 and expected[frame] > MOST_WITHOUT_END
        assert bool(row["unlike"] & NO_END) == held_down
        assert row["progress"] == pytest.approx(MOST_WITHOUT_END if held_down else expected[frame], abs=1e-12)


def test_the_distance_by_its_formula(coarse_chunks):
    """Mahalanobis distance, with the shrunk covariance inside bins of progress, from the nearest chunk of an end."""
    recordings, other = [carried(seed) for seed in range(5)], carried(9)
    scale = scale_of(recordings)
    rows, truths = [], []
    for one in recordings:
        chunks = scale.start().update(one.frames)
        rows += list(newest_means(chunks))
        truths += list(truth_while_used(one.progress, len(chunks), scale.length))
    deviation = np.std(rows, axis=0) + 1e-6
    scaled = np.array(rows) / deviation
    bins = [min(int(truth * BINS), BINS - 1) for truth in truths]
    rest = [row - np.mean([r for r, b in zip(scaled, bins, strict=True) if b == own], axis=0)
            for row, own in zip(scaled, bins, strict=True)]  # fmt: skip
    within = sum(np.outer(row, row) for row in rest) / len(rest)
    covariance = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
    precision = np.linalg.inv(covariance)
    ends = [row for row, truth in zip(scaled, truths, strict=True) if truth >= NEARLY_DONE]
    chunks = scale.start().update(other.frames)
    expected = []
    for row in newest_means(chunks) / deviation:
        expected.append(min(np.sqrt((row - end) @ precision @ (row - end)) for end in ends))
    end = fit_end(recordings, scale)
    np.testing.assert_allclose(end.distances(chunks), expected, rtol=1e-6)
    truth = truth_while_used(other.progress, len(chunks), scale.length)
    largest = max(distance for distance, own in zip(expected, truth, strict=True) if own >= NEARLY_DONE)
    assert end_distance(end, scale, other) == pytest.approx(largest)


def test_the_means_are_those_of_the_newest_chunks(coarse_chunks):
    recording = carried(0)
    scale = scale_of([recording])
    chunks, scaled, length = scale.start().update(recording.frames), scale.scaled(recording.frames), scale.length
    for number, row in enumerate(newest_means(chunks)):
        first = max(0, number + 1 - WINDOWS[WINDOW])
        np.testing.assert_allclose(row, scaled[first * length : (number + 1) * length].mean(axis=0))


def test_the_limit_is_the_largest_distance_of_an_end_that_fitted_nothing(models):
    with coarse():
        recordings = [carried(seed) for seed in range(12)]
        found = cross_validate(recordings, names=["filter"])
        for number in sorted(set(found.folds.tolist())):
            others = [one for one, fold in zip(recordings, found.folds, strict=True) if fold != number]
            scale = scale_of(others)
            end = fit_end(others, scale)
            for index in np.flatnonzero(found.folds == number):
                assert found.ends[index] == end_distance(end, scale, recordings[index])
    assert models["filter"].end.limit == max(found.ends)


def test_ends_that_are_not_known_hold_nothing_down(models):
    end = models["filter"].end
    nan = float("nan")
    assert end.with_limit([]) is None
    assert end.with_limit([1.0] * (FEWEST - 1) + [nan, np.inf]) is None
    assert end.with_limit([1.0, nan, 3.0, 2.0]).limit == 3.0
    with coarse():
        recordings = recordings_of(6)
        found = cross_validate(recordings, names=["alignment"])
        for name in NAIVE:
            assert fit_progress(recordings, found=found, name=name).end is None
        assert fit_progress(recordings, found=found, name="alignment").end is not None
        # The embedding of a training recording is no example of a new one's.
        assert fit_progress(recordings, input=EMBEDDING, found=found, name="alignment").end is None
        assert fit_progress(recordings, found=replace(found, ends=()), name="alignment").end is None


def test_recordings_shorter_than_a_chunk_have_no_end(coarse_chunks):
    recordings = recordings_of(4)
    scale = replace(scale_of(recordings), length=1000)
    assert fit_end(recordings, scale) is None
    assert np.isnan(end_distance(None, scale, recordings[0]))
    assert np.isnan(end_distance(fit_end(recordings, scale_of(recordings)), scale, recordings[0]))
