"""Answers once a chunk, held at every frame."""

from dataclasses import replace

import numpy as np
import pytest

from tests.contracts.readouts import check_readout
from tests.labelled_recordings import recordings_of
from utils.prediction.readouts.chunked import ChunkedReadout, first_answer, hold, start_heads
from utils.prediction.readouts.chunks import chunk_scale
from utils.prediction.readouts.distribution import on_grid, quantiles

LENGTH = 7


class FirstMeasure:
    """A head that reads progress from the first measure of each chunk, and keeps nothing."""

    def __init__(self, shift=0.0, spread=0.0):
        self.shift, self.spread = shift, spread

    def start(self):
        return self

    def update(self, chunks):
        if not len(chunks):
            return np.zeros((0, 101))
        progress = 0.5 + 0.1 * chunks.measures[:, 0] + self.shift
        return sum(on_grid(progress + way * self.spread) for way in (-1, 0, 1))


@pytest.fixture
def scale():
    return replace(chunk_scale([r.frames for r in recordings_of(3)]), length=LENGTH)


def test_each_answer_stands_from_the_last_frame_of_its_chunk_on(scale):
    readout, frames = ChunkedReadout(scale, (FirstMeasure(),)), recordings_of(1, first=9)[0].frames
    found = readout.start().update(frames)
    chunks = scale.start().update(frames)
    for frame in range(len(frames)):
        complete = (frame + 1) // LENGTH
        expected = 0.5 + 0.1 * chunks.measures[complete - 1, 0] if complete else 0.5 * LENGTH / scale.mean_length
        assert found[frame] == pytest.approx(expected, abs=0.0051)


def test_quantiles_are_those_of_the_mean_of_the_heads(scale):
    heads = FirstMeasure(-0.2), FirstMeasure(0.2, 0.05)
    frames = recordings_of(1, first=9)[0].frames
    chunks = scale.start().update(frames)
    found = ChunkedReadout(scale, heads).start().update_quantiles(frames)
    mean = (heads[0].update(chunks) + heads[1].update(chunks)) / 2
    np.testing.assert_allclose(found[LENGTH - 1 :: LENGTH], quantiles(mean, (0.1, 0.5, 0.9)), atol=1e-9)
    assert (np.diff(found, axis=1) >= 0).all()


class Reader:
    """A head that reads another one, `position`, and gives what that one finds."""

    def __init__(self, position):
        self.position = position

    def start(self, position=None):
        return position or self.position.start()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 1, 0)])
def test_a_head_that_others_read_reads_each_chunk_once(scale, order):
    read, other = FirstMeasure(), FirstMeasure(0.2)
    asked, update = [], read.update
    read.update = lambda chunks: asked.append(len(chunks)) or update(chunks)
    heads = [(read, Reader(read), Reader(read), Reader(other))[place] for place in order]
    states, reader = start_heads(heads), scale.start()
    frames, numbers = recordings_of(1, first=9)[0].frames, []
    for start in range(0, len(frames), 4):
        chunks = reader.update(frames[start : start + 4])
        numbers.append(len(chunks))
        for head, state in zip(heads, states, strict=True):
            expected = (other if getattr(head, "position", None) is other else FirstMeasure()).update(chunks)
            assert (state.update(chunks) == expected).all()
    assert 0 in numbers
    assert asked == numbers


@pytest.mark.parametrize("heads", [(FirstMeasure(),), (FirstMeasure(-0.4, 0.3), FirstMeasure(0.7))])
def test_it_keeps_the_contracts(scale, heads):
    check_readout(ChunkedReadout(scale, heads), 5)


@pytest.mark.parametrize("frames", [0, 1, LENGTH - 1])
def test_before_the_first_chunk_it_answers_half_a_chunk_of_a_mean_recording(scale, frames):
    found = ChunkedReadout(scale, (FirstMeasure(),)).start().update_quantiles(np.ones((frames, 5)))
    assert found.shape == (frames, 3)
    share = LENGTH / scale.mean_length
    np.testing.assert_allclose(found, np.tile([0, share / 2, 2 * share], (frames, 1)))


def test_the_first_answer_of_recordings_as_long_as_a_chunk_is_at_most_1(scale):
    found = first_answer(replace(scale, mean_length=5.0, length=10))
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("received", [0, 1, 2, 9])
@pytest.mark.parametrize("number", [0, 1, 2, 10])
def test_hold_by_a_loop(number, received, length):
    complete = (received + number) // length - received // length
    answers, before = 1.0 + np.arange(complete)[:, None], np.zeros((1, 1))
    expected, stands = [], 0.0
    for frame in range(received, received + number):
        if (frame + 1) % length == 0:
            stands += 1
        expected.append(stands)
    assert hold(answers, before, received, number, length)[:, 0].tolist() == expected
