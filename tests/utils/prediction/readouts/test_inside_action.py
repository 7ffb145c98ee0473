"""Progress inside actions whose label and beginning are told."""

from __future__ import annotations

import numpy as np
import pytest

from tests.labelled_recordings import recordings_of, time_dict_of
from utils.prediction.progress.cross_validation import scale_of
from utils.prediction.readouts.recording import LabelledRecording
from utils.prediction.readouts.steps import (
    action_clock,
    fit_steps,
    judge_steps,
    progress_in_told_actions,
)
from utils.tensorops import get_trueprogress_per_action

pytestmark = pytest.mark.usefixtures("coarse_chunks")

TOLD_BACKGROUND = "background"


def phases_of(number, seed=0):
    """Recordings of one action of very different durations: two of its channels say how far it is, and another one is
    noise."""
    generator = np.random.default_rng(seed)
    found = []
    for index in range(number):
        lengths = [int(generator.integers(5, 15)), int(generator.integers(20, 90)), int(generator.integers(5, 15))]
        time_dict = time_dict_of([TOLD_BACKGROUND, "fill", TOLD_BACKGROUND], lengths)
        share = np.concatenate([np.zeros(lengths[0]), np.linspace(0, 1, lengths[1]), np.ones(lengths[2])])
        busy = np.repeat([0.0, 1.0, 0.0], lengths)
        frames = np.stack([share, np.cos(3 * share), busy, generator.normal(size=len(share))], axis=1)
        found.append(
            LabelledRecording(f"recording {index}", frames + 0.02 * generator.normal(size=frames.shape), time_dict)
        )
    return found


@pytest.fixture(scope="module")
def scale():
    return scale_of(phases_of(12))


@pytest.fixture
def steps(scale):
    return fit_steps(phases_of(12), scale)


def test_it_reads_from_the_frames_what_no_clock_can_say(steps, scale):
    figures = [judge_steps(steps, scale, one) for one in phases_of(6, seed=1)]
    assert np.mean([one.told_error for one in figures]) < 0.5 * np.mean([one.told_clock for one in figures])
    assert np.mean([one.inside_error for one in figures]) < 0.6 * np.mean([one.inside_half for one in figures])


def test_its_figures_are_those_of_its_curves(steps, scale):
    recording = phases_of(1, seed=2)[0]
    figures = judge_steps(steps, scale, recording)
    truth = get_trueprogress_per_action(recording.time_dict).double().numpy()
    (_, start, end), length = recording.segments[1], len(recording)
    told, clock = progress_in_told_actions(steps, scale, recording), action_clock(steps, scale, recording)
    assert told.shape == clock.shape == (length,)
    assert told.min() >= 0
    assert told.max() <= 1
    assert not told[:start].any()
    assert not told[end:].any()
    mean = np.mean([one.segments[1][2] - one.segments[1][1] for one in phases_of(12)])
    np.testing.assert_allclose(clock[start:end], np.minimum(1, np.arange(end - start) / mean))
    assert figures.told_error == pytest.approx(np.abs(told - truth)[start:end].mean())
    assert figures.told_clock == pytest.approx(np.abs(clock - truth)[start:end].mean())


def test_the_inputs_of_the_forest_from_their_formula(steps, scale, monkeypatch):
    """At every frame of an action, by loops over the chunks that are complete there."""
    recording = phases_of(1, seed=5)[0]
    given = []
    monkeypatch.setattr(type(steps.within), "read", lambda _, inputs: given.append(inputs) or np.zeros(len(inputs)))
    progress_in_told_actions(steps, scale, recording)
    inside, length = steps.within.scale, scale.length
    chunks = scale.start().update(recording.frames)
    posterior = steps.recogniser.posterior(chunks.measures)
    components = inside.components.of(chunks.measures)
    (_, _, begin), (name, start, end) = recording.segments[0], recording.segments[1]
    label, before = steps.labels.index(name), steps.labels.index(TOLD_BACKGROUND)
    mean = inside.mean_time[label]
    pace = (begin / length + mean) / (inside.mean_time[before] + mean)
    first = start // length  # chunks that are complete before the action
    assert first > 1
    for row, frame in zip(given[0], range(start, end), strict=True):
        seen = (frame + 1) // length
        elapsed = (frame - start + 1) / length
        since = sum(posterior[first:seen], np.zeros(2)) / max(1, seen - first)
        expected = [
            elapsed / mean, np.log(elapsed), elapsed / mean / pace, np.log(mean), pace,
            (chunks.path[seen - 1] - chunks.path[first - 1]) / inside.mean_path[label],
            posterior[seen - 1, label], since[label], *posterior[seen - 1], *(np.arange(2) == label),
            *components[seen - 1], *(components[seen - 1] - components[first - 1]),
            *(components[seen - 1] - components[max(seen - 3, 0)]),
        ]  # fmt: skip
        np.testing.assert_allclose(row, expected, rtol=1e-9, atol=1e-9)


def test_neither_later_frames_nor_the_end_of_the_action_are_used(steps, scale):
    recording = phases_of(1, seed=3)[0]
    told = progress_in_told_actions(steps, scale, recording)
    (_, start, end) = recording.segments[1]
    generator = np.random.default_rng(0)
    for now in (start, start + 1, (start + end) // 2, end - 2):
        # Other frames afterwards, and the action goes on to the end of the recording.
        frames = np.concatenate([recording.frames[: now + 1], generator.normal(size=(40, 4))])
        longer = time_dict_of([TOLD_BACKGROUND, "fill"], [start, len(frames) - start])
        changed = progress_in_told_actions(steps, scale, LabelledRecording("", frames, longer))
        np.testing.assert_allclose(changed[: now + 1], told[: now + 1], rtol=0, atol=1e-9)


def test_a_label_of_no_training_recording_has_the_clock_of_a_mean_segment(steps, scale):
    recording = phases_of(1, seed=4)[0]
    steps_of_it = [TOLD_BACKGROUND, "polish", TOLD_BACKGROUND]
    renamed = LabelledRecording("", recording.frames, {**recording.time_dict, "step": steps_of_it})
    told = progress_in_told_actions(steps, scale, renamed)
    (_, start, end) = recording.segments[1]
    mean = steps.within.scale.mean_time.mean() * scale.length
    np.testing.assert_allclose(told[start:end], np.minimum(1, (np.arange(end - start) + 1) / mean))


@pytest.mark.parametrize("lengths", [[1, 1, 1], [2, 90, 1], [1, 2, 3]])
def test_segments_shorter_than_a_chunk_and_recordings_without_one(steps, scale, lengths):
    frames = np.random.default_rng(0).normal(size=(sum(lengths), 4))
    recording = LabelledRecording("", frames, time_dict_of([TOLD_BACKGROUND, "fill", TOLD_BACKGROUND], lengths))
    told = progress_in_told_actions(steps, scale, recording)
    assert told.shape == (sum(lengths),)
    assert np.isfinite(told).all()
    assert (told >= 0).all()
    assert (told <= 1).all()


def test_a_seed_gives_the_same_and_cross_fitting_keeps_a_recording_from_itself():
    own = recordings_of(6)
    scale = scale_of(own)
    new = recordings_of(1, first=70)[0]
    first, again, other = (
        progress_in_told_actions(fit_steps(own, scale, seed), scale, new) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


def test_without_a_library_of_forests_there_is_the_time_alone(scale, monkeypatch):
    from utils.prediction.readouts import steps as steps_file

    monkeypatch.setattr(steps_file, "forest_can_be_grown", lambda: False)
    steps = fit_steps(phases_of(12), scale)
    assert steps.within is None
    figures = judge_steps(steps, scale, phases_of(1, seed=1)[0])
    assert np.isnan([figures.told_error, figures.told_clock]).all()
    assert figures.inside_error < figures.inside_half
