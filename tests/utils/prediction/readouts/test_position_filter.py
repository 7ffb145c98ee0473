"""The filter over training chunks against a dense transition matrix, and as a clock where measures say nothing."""

from dataclasses import replace

import numpy as np
import pytest

from tests.labelled_recordings import BACKGROUND, STEPS, recording_of, recordings_of
from utils.prediction.readouts.chunks import Chunks, chunk_scale, end_frames, truth_while_used
from utils.prediction.readouts.discriminant import fit_discriminant
from utils.prediction.readouts.distribution import GRID
from utils.prediction.readouts.naive import fit_index
from utils.prediction.readouts.position_filter import (
    CHANGE_OF_SPEED,
    JUMP,
    KEPT_AT_END,
    SHARPNESS,
    SPEED_SPREAD,
    SPEEDS,
    fit_position_filter,
)
from utils.prediction.readouts.recording import action_labels, labels_of


def chunks_of(measures):
    return Chunks(measures, np.zeros(len(measures)), np.zeros(len(measures)))


def fit(recordings, scale, blind=False):
    """The filter, and its training chunks' measures; blind makes all measures alike."""
    labels = labels_of(recordings)
    measures = [scale.start().update(recording.frames).measures for recording in recordings]
    if blind:
        measures = [np.zeros_like(own) for own in measures]
    truths = [truth_while_used(r.progress, len(own), scale.length) for r, own in zip(recordings, measures, strict=True)]
    bins = np.minimum((np.concatenate(truths) * 5).astype(int), 4)
    discriminant = fit_discriminant(np.concatenate(measures), bins, 5)
    return (
        fit_position_filter(
            recordings, measures, truths, labels, action_labels(recordings), scale.length, discriminant
        ),
        measures,
    )


@pytest.fixture
def few():
    """Three recordings of 5 to 9 chunks."""
    recordings = [
        recording_of([BACKGROUND, "cut", "mix"], [4, 9, 6], 1), recording_of(["mix", "cut"], [9, 6], 2),
        recording_of(["cut", BACKGROUND, "mix", "cut"], [9, 3, 9, 6], 3),
    ]  # fmt: skip
    return recordings, replace(chunk_scale([r.frames for r in recordings]), length=3)


def dense_transition(fitted):
    """P(speed', state' | speed, state) from the docstring, as (speeds S, speeds S), rows are where it comes from."""
    number, speeds = len(fitted.places), len(SPEEDS)
    prior = np.exp(-0.5 * (np.log(SPEEDS) / SPEED_SPREAD) ** 2)
    prior /= prior.sum()
    speed_changes = (1 - CHANGE_OF_SPEED) * np.eye(speeds) + CHANGE_OF_SPEED * prior
    full = np.zeros((speeds, number, speeds, number))
    for before in range(speeds):
        for state in range(number):
            for speed in range(speeds):
                landed = np.zeros(number)
                whole, rest = int(SPEEDS[speed]), SPEEDS[speed] % 1
                for step, share in ((whole, 1 - rest), (whole + 1, rest)):
                    last = fitted.lasts[state]
                    if state + step <= last:
                        landed[state + step] += share
                    else:
                        landed[last] += KEPT_AT_END * share
                landed *= speed_changes[before, speed]
                full[before, state, speed] += (1 - JUMP) * landed
                for moved in np.flatnonzero(landed):
                    for segment in range(len(fitted.segment_sizes)):
                        inside = fitted.segment == segment
                        chance = JUMP * landed[moved] * fitted.jumps[fitted.segment[moved], segment]
                        full[before, state][:, inside] += prior[:, None] * chance / inside.sum()
    return full.reshape(speeds * number, speeds * number), prior


def test_steps_by_a_dense_matrix(few):
    recordings, scale = few
    fitted, measures = fit(recordings, scale)
    transition, prior = dense_transition(fitted)
    new = measures[0][:5] + 0.3 * np.random.default_rng(0).normal(size=measures[0][:5].shape)
    belief = np.zeros((len(SPEEDS), len(fitted.places)))
    belief[:, fitted.firsts] = prior[:, None]
    belief = belief.ravel()
    for chunk, found in enumerate(fitted.start().update(chunks_of(new))):
        place = fitted.discriminant.embed(new[chunk : chunk + 1])[0]
        likelihood = np.exp([-SHARPNESS * np.mean((place - other) ** 2) for other in fitted.places])
        belief = (belief if chunk == 0 else belief @ transition) * np.tile(likelihood, len(SPEEDS))
        belief /= belief.sum()
        expected = belief.reshape(len(SPEEDS), -1).sum(axis=0) @ fitted.mass
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_states_segments_and_jumps(few):
    recordings, scale = few
    fitted, measures = fit(recordings, scale)
    numbers = [len(own) for own in measures]
    assert fitted.firsts.tolist() == [0, numbers[0], numbers[0] + numbers[1]]
    assert fitted.lasts.tolist() == np.repeat(np.cumsum(numbers) - 1, numbers).tolist()
    np.testing.assert_allclose(fitted.jumps.sum(axis=1), 1)
    np.testing.assert_allclose(fitted.mass.sum(axis=1), 1)
    assert fitted.segment_sizes.tolist() == np.bincount(fitted.segment).tolist()
    # By a loop: the actions done before each segment and half of its own, and how far these are from each other.
    done, sizes = [], []
    for recording, number in zip(recordings, numbers, strict=True):
        own = end_frames(number, scale.length)
        before = dict.fromkeys(labels_of(recordings), 0)
        for label, start, end in recording.segments:
            half = dict(before)
            if label != BACKGROUND:
                half[label] += 0.5
                before[label] += 1
            inside = sum(start <= frame < end for frame in own)
            if inside:
                done.append(half)
                sizes.append(inside)
    assert fitted.segment_sizes.tolist() == sizes
    for row, first in enumerate(done):
        weights = [
            size * np.exp(-sum(abs(first[label] - second[label]) for label in first))
            for second, size in zip(done, sizes, strict=True)
        ]
        np.testing.assert_allclose(fitted.jumps[row], np.array(weights) / sum(weights))


@pytest.mark.parametrize("seed", [0, 1])
def test_with_measures_that_say_nothing_it_is_a_clock(seed):
    recordings = recordings_of(8, first=10 * seed)
    scale = replace(chunk_scale([r.frames for r in recordings]), length=4)
    fitted, _ = fit(recordings, scale, blind=True)
    number = 30
    found = fitted.start().update(chunks_of(np.zeros((number, fitted.discriminant.mean.size)))) @ GRID
    index = fit_index([r.progress for r in recordings]).start().update(np.zeros((4 * number + 4, 1)))
    guess = truth_while_used(index, number, 4)
    assert (np.diff(found) > -1e-9).all()
    assert np.abs(found - guess).mean() < 0.06
    assert np.abs(found - guess).max() < 0.15


def test_it_finds_its_place_in_a_recording_like_a_training_recording():
    recordings = recordings_of(6)
    scale = replace(chunk_scale([r.frames for r in recordings]), length=3)
    fitted, _ = fit(recordings, scale)
    for recording in recordings_of(4, first=50):
        chunks = scale.start().update(recording.frames)
        truth = truth_while_used(recording.progress, len(chunks), 3)
        assert np.abs(fitted.start().update(chunks) @ GRID - truth).mean() < 0.1


@pytest.mark.parametrize("sizes", [(1,) * 8, (0, 3, 0, 5), (7, 1)])
def test_how_chunks_are_cut_changes_nothing(few, sizes):
    recordings, scale = few
    fitted, measures = fit(recordings, scale)
    new, state, start = measures[2][:8], fitted.start(), 0
    whole = fitted.start().update(chunks_of(new))
    for size in sizes:
        part = state.update(chunks_of(new[start : start + size]))
        np.testing.assert_allclose(part, whole[start : start + size], atol=1e-12)
        start += size


@pytest.mark.parametrize("distance", [1e2, 1e4, 1e8])
@pytest.mark.parametrize("direction", range(4))
def test_however_far_the_measures_are_there_is_a_distribution(few, distance, direction):
    recordings, scale = few
    fitted, measures = fit(recordings, scale)
    away = np.random.default_rng(direction).normal(size=measures[0].shape[1])
    new = measures[0][:3] + distance * away
    found = fitted.start().update(chunks_of(new))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_long_recording_stays_a_distribution(few):
    recordings, scale = few
    fitted, measures = fit(recordings, scale)
    found = fitted.start().update(chunks_of(np.tile(measures[1], (400, 1))))
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found >= 0).all()


def test_single_chunks_and_steps_alone():
    recordings = [recording_of([label], [3], seed) for seed, label in enumerate(STEPS)]
    scale = replace(chunk_scale([r.frames for r in recordings]), length=3)
    fitted, measures = fit(recordings, scale)
    found = fitted.start().update(chunks_of(np.tile(measures[0], (5, 1))))
    np.testing.assert_allclose(found.sum(axis=1), 1)
