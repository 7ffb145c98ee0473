"""The current step, time in it and the steps done."""

from dataclasses import replace

import numpy as np
import pytest

from tests.labelled_recordings import BACKGROUND, STEPS, recording_of, recordings_of
from utils.prediction.readouts.chunks import chunk_scale, end_frames
from utils.prediction.readouts.steps import fit_steps

LENGTH = 3


@pytest.fixture(scope="module")
def reader():
    recordings = recordings_of(8)
    scale = replace(chunk_scale([r.frames for r in recordings]), length=LENGTH)
    return recordings, scale, fit_steps(recordings, scale)


def test_steps_of_new_recordings_are_found(reader):
    _, scale, steps = reader
    for recording in recordings_of(4, first=60):
        chunks = scale.start().update(recording.frames)
        truth = recording.labels_of_frames(steps.labels)[end_frames(len(chunks), LENGTH)]
        found = steps.start().update(chunks)
        assert (found["step"] == truth).mean() > 0.75
        assert found["probability"][found["step"] == truth].mean() > 0.8


def test_time_inside_by_a_loop_over_the_found_steps(reader):
    recordings, scale, steps = reader
    lengths = {label: [] for label in steps.labels}
    for recording in recordings:
        for label, start, end in recording.segments:
            lengths[label].append((end - start) / LENGTH)
    found = replace(steps, within=None).start().update(scale.start().update(recordings[0].frames))
    since = 0
    for number, answer in enumerate(found):
        since = since + 1 if number and found["step"][number - 1] == answer["step"] else 1
        expected = np.mean([min(1, (since - 0.5) / length) for length in lengths[steps.labels[answer["step"]]]])
        probability = answer["probability"]
        assert answer["inside"] == pytest.approx(probability * expected + (1 - probability) / 2)


def test_actions_done_are_counted_without_the_current_one_nor_background(reader):
    _, scale, steps = reader
    labels = [BACKGROUND, *STEPS, BACKGROUND, STEPS[0]]
    recording = recording_of(labels, [15] * 6, 77)
    state = steps.start()
    found = state.update(scale.start().update(recording.frames))
    for segment, done in enumerate([0, 0, 1, 2, 3, 3]):
        assert found["done"][5 * segment + 3] == pytest.approx(done, abs=0.4)
    by_label = dict(zip(steps.labels, state.done, strict=True))
    assert by_label["cut"] == pytest.approx(1, abs=0.3)  # the second one goes on
    assert by_label[BACKGROUND] == pytest.approx(2, abs=0.5)


@pytest.mark.parametrize("sizes", [(1,) * 20, (0, 7, 0, 13)])
def test_how_chunks_are_cut_changes_nothing(reader, sizes):
    recordings, scale, steps = reader
    frames = recordings[1].frames
    whole = steps.start().update(scale.start().update(frames))
    reading, state, start = scale.start(), steps.start(), 0
    parts = []
    for size in (*sizes, len(frames)):
        parts.append(state.update(reading.update(frames[start : start + size])))
        start += size
    parts = np.concatenate(parts)
    for name in whole.dtype.names:
        np.testing.assert_allclose(parts[name], whole[name], atol=1e-9)


def test_values_are_in_their_range(reader):
    _, scale, steps = reader
    rng = np.random.default_rng(0)
    for frames in (1e6 * rng.normal(size=(90, 5)), np.zeros((90, 5)), rng.normal(size=(900, 5))):
        found = steps.start().update(scale.start().update(frames))
        assert ((found["probability"] > 0) & (found["probability"] <= 1 + 1e-12)).all()
        assert ((found["inside"] > 0) & (found["inside"] <= 1)).all()
        assert (found["done"] >= 0).all()
