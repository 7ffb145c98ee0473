"""Virtual recordings: made of segments of training recordings, with the truth that belongs to them."""

import itertools

import numpy as np
import pytest

from tests.labelled_recordings import BACKGROUND, STEPS, recording_of
from utils.prediction.readouts import virtual_recordings
from utils.prediction.readouts.recording import action_labels, labels_of
from utils.prediction.readouts.virtual_recordings import VirtualRecordings

LENGTH = 3


def training_recordings():
    """Segments are a whole number of chunks, so that every chunk has one label."""
    rng, made = np.random.default_rng(0), []
    for seed in range(5):
        labels = [BACKGROUND, *rng.permutation(STEPS), BACKGROUND, STEPS[0]]
        made.append(recording_of(labels, (LENGTH * rng.integers(2, 9, size=6)).tolist(), seed))
    return made


def virtual_of(recordings, length=LENGTH):
    return VirtualRecordings(
        recordings, labels_of(recordings), action_labels(recordings), length, [len(r) // length for r in recordings]
    )


def labels_of_chunks(recordings, drawn):
    names = labels_of(recordings)
    return [names[recordings[r].labels_of_frames(names)[LENGTH * chunk]] for r, chunk in drawn.chunks]


@pytest.fixture(params=range(30))
def drawn(request):
    recordings = training_recordings()
    return recordings, virtual_of(recordings).draw(request.param % 5, np.random.default_rng(request.param))


def test_truth_rises_from_the_beginning_to_1(drawn):
    _, one = drawn
    assert len(one.progress) == len(one.chunks)
    assert (np.diff(one.progress) >= -1e-12).all()
    assert one.progress[-1] == 1
    assert 0 <= one.progress[0] < 0.2


def test_every_chunk_exists_and_truth_stands_still_in_background(drawn):
    recordings, one = drawn
    numbers = np.array([len(r) // LENGTH for r in recordings])
    assert (one.chunks >= 0).all()
    assert (one.chunks[:, 1] < numbers[one.chunks[:, 0]]).all()
    labels = labels_of_chunks(recordings, one)
    # What an answer says stands from its chunk's end to the end of the next.
    for chunk, (before, now) in enumerate(itertools.pairwise(one.progress), start=1):
        moves = now - before > 1e-12
        assert moves == any(label != BACKGROUND for label in labels[chunk : chunk + 2])


def test_each_action_has_an_equal_share(drawn):
    """Read at the ends of the runs of like labels, which an action of the same label may follow."""
    recordings, one = drawn
    labels = labels_of_chunks(recordings, one)
    at_end = np.empty(len(labels))  # from the means of neighbours, backwards
    at_end[-1] = one.progress[-1]
    for chunk in range(len(labels) - 2, -1, -1):
        at_end[chunk] = 2 * one.progress[chunk] - at_end[chunk + 1]
    ends = [index for index in range(len(labels)) if index + 1 == len(labels) or labels[index + 1] != labels[index]]
    risen = np.diff([0.0, *at_end[ends]])
    runs = [labels[end] for end in ends]
    assert all(abs(rise) < 1e-9 for rise, label in zip(risen, runs, strict=True) if label == BACKGROUND)
    smallest = min(rise for rise, label in zip(risen, runs, strict=True) if label != BACKGROUND)
    for rise, label in zip(risen, runs, strict=True):
        if label != BACKGROUND:
            assert rise / smallest == pytest.approx(round(rise / smallest), abs=1e-6)
            assert round(rise / smallest) in (1, 2)  # two where one action of a label followed the other


def test_without_another_recording_its_labels_keep_their_order(monkeypatch):
    monkeypatch.setattr(virtual_recordings, "CROSSED", 0)
    recordings = training_recordings()
    virtual = virtual_of(recordings)
    for seed in range(20):
        one = virtual.draw(2, np.random.default_rng(seed))
        runs = [label for label, _ in itertools.groupby(labels_of_chunks(recordings, one))]
        assert runs == [label for label, _, _ in recordings[2].segments]


def test_it_crosses_where_like_actions_have_been_done(monkeypatch):
    """A recording that has done the same goes on; one that has done nothing of the kind does not, if others have."""
    monkeypatch.setattr(virtual_recordings, "CROSSED", 1)
    monkeypatch.setattr(virtual_recordings, "SWAPPED", 0)
    monkeypatch.setattr(virtual_recordings, "NEAREST", 1)
    same = [recording_of(list(STEPS), [6, 6, 6], seed) for seed in (0, 1)]
    recordings = [*same, recording_of(["pour"] * 5, [6] * 5, 2)]
    virtual = virtual_of(recordings)
    for seed in range(20):
        one = virtual.draw(0, np.random.default_rng(seed))
        assert set(one.chunks[:, 0].tolist()) == {0, 1}
        assert [label for label, _ in itertools.groupby(labels_of_chunks(recordings, one))] == list(STEPS)


def test_speeds_differ_and_lengths_are_right_on_average():
    recordings = training_recordings()
    virtual = virtual_of(recordings)
    rng = np.random.default_rng(0)
    lengths = np.array([len(virtual.draw(index % 5, rng).chunks) for index in range(300)])
    assert lengths.mean() == pytest.approx(np.mean([len(r) // LENGTH for r in recordings]), rel=0.15)
    assert lengths.std() > 3


def test_a_seed_gives_the_same_recordings():
    virtual = virtual_of(training_recordings())
    first, again = ([virtual.draw(i, np.random.default_rng(i)) for i in range(5)] for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert (one.chunks == other.chunks).all()
        assert (one.progress == other.progress).all()


def test_a_recording_without_a_segment_as_long_as_a_chunk_is_left_out():
    recordings = [recording_of(["cut"], [1]), recording_of(["cut", "mix"], [30, 30], 1)]
    virtual = virtual_of(recordings, 7)
    assert virtual.draw(0, np.random.default_rng(0)) is None
    for seed in range(20):
        assert set(virtual.draw(1, np.random.default_rng(seed)).chunks[:, 0].tolist()) == {1}


def test_background_alone_has_no_progress():
    one = virtual_of([recording_of([BACKGROUND], [30]), recording_of([BACKGROUND], [40], 1)]).draw(
        0, np.random.default_rng(0)
    )
    assert (one.progress == 0).all()
