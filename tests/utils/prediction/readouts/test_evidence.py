"""Evidence: what the forest reads, by loops; cross-fitting; and that it is of use."""

from dataclasses import replace

import numpy as np
import pytest

from tests.labelled_recordings import BACKGROUND, STEPS, random_state_untouched, recording_of, recordings_of
from utils.prediction.readouts import evidence
from utils.prediction.readouts.chunks import chunk_scale, truth_while_used
from utils.prediction.readouts.distribution import GRID
from utils.prediction.readouts.evidence import RECENT, STRIDE, EvidenceInputs, fit_evidence
from utils.prediction.readouts.label_filter import fit_label_filter
from utils.prediction.readouts.recording import LabelledRecording

LENGTH = 4
pytestmark = pytest.mark.usefixtures("coarse_chunks")


def scale_of(recordings):
    return replace(chunk_scale([r.frames for r in recordings]), length=LENGTH)


def test_inputs_by_loops():
    rng = np.random.default_rng(0)
    fitted = fit_label_filter([rng.integers(3, size=20)], 3)
    posterior = rng.dirichlet(np.ones(3), size=15)
    clock, path, positions = rng.random(15), rng.random(15), rng.random((15, 4))
    mean_time, is_action = np.array([4.0, 2.0, 5.0]), np.array([True, False, True])
    found = EvidenceInputs(fitted, mean_time, is_action).update(posterior, clock, path, positions)
    belief = fitted.start().update(posterior)
    for t in range(15):
        done = posterior[: t + 1].sum(axis=0) / mean_time
        time = belief.now[: t + 1].sum(axis=0) / mean_time
        expected = [
            *done, *posterior[t], *posterior[: t + 1][-RECENT:].mean(axis=0), *belief.now[t], *belief.begun[t],
            done[0] + done[2], belief.begun[t][0] + belief.begun[t][2], min(1, time[0]) + min(1, time[2]),
            clock[t], path[t], *positions[t],
        ]  # fmt: skip
        np.testing.assert_allclose(found[t], expected, atol=1e-12)


@pytest.mark.parametrize("sizes", [(1,) * 15, (0, 9, 0, 6), (2, 13)])
def test_inputs_do_not_depend_on_how_chunks_are_cut(sizes):
    rng = np.random.default_rng(0)
    fitted = fit_label_filter([rng.integers(3, size=20)], 3)
    posterior, other = rng.dirichlet(np.ones(3), size=15), rng.random((15, 2))
    make = lambda: EvidenceInputs(fitted, np.ones(3), np.ones(3, dtype=bool))  # noqa: E731
    whole, state, start = make().update(posterior, *other.T, other), make(), 0
    for size in sizes:
        part = slice(start, start + size)
        assert (state.update(posterior[part], *other[part].T, other[part]) == whole[part]).all()
        start += size


def shown(recording):
    """How many of the chunks of a recording the forest is shown."""
    return -(-(len(recording) // LENGTH) // STRIDE)


class Grown(Exception):
    """What the forest is grown from."""


def inputs_of_forest(monkeypatch, recordings, **options):
    """The inputs and the truth that the forest is given: real recordings first, then virtual ones."""

    def stop(inputs, truth, fewest, trees, seed):
        raise Grown(inputs, truth)

    monkeypatch.setattr(evidence, "fit_quantile_forest", stop)
    with pytest.raises(Grown) as found:
        fit_evidence(recordings, scale_of(recordings), **options)
    return found.value.args


@pytest.mark.parametrize("with_position", [False, True])
def test_the_labels_that_the_forest_reads_do_not_come_from_the_recording_itself(monkeypatch, with_position):
    """Another annotation of a recording leaves the probabilities of its own labels as they are, bit by bit."""
    recordings = recordings_of(6)
    poisoned, labels = list(recordings), recordings[2].time_dict["step"]
    time_dict = dict(recordings[2].time_dict, step=[*labels[2:], *labels[:2]])
    poisoned[2] = LabelledRecording(recordings[2].name, recordings[2].frames, time_dict)
    starts = np.cumsum([0] + [shown(r) for r in recordings])
    before, after = (
        inputs_of_forest(monkeypatch, those, with_position=with_position)[0] for those in (recordings, poisoned)
    )
    own = slice(starts[2], starts[3])
    columns = [*range(4, 12), *(range(-4, 0) if with_position else [])]  # labels and recent labels; of the filter
    assert (before[own][:, columns] == after[own][:, columns]).all()
    others = slice(starts[4], starts[6])  # of another fold
    assert not (before[others][:, columns] == after[others][:, columns]).all()


def test_recordings_of_one_group_do_not_judge_each_other(monkeypatch):
    """The labels of a group's recordings come from recordings of other groups alone."""
    recordings = [replace(r, group="ab"[index % 2]) for index, r in enumerate(recordings_of(6))]
    poisoned = list(recordings)
    labels = recordings[2].time_dict["step"]
    poisoned[2] = replace(recordings[2], time_dict=dict(recordings[2].time_dict, step=[*labels[2:], *labels[:2]]))
    starts = np.cumsum([0] + [shown(r) for r in recordings])
    before, after = (inputs_of_forest(monkeypatch, own)[0] for own in (recordings, poisoned))
    for index, recording in enumerate(recordings):
        own = slice(starts[index], starts[index + 1])
        assert (before[own, 4:12] == after[own, 4:12]).all() == (recording.group == "a")


def test_virtual_recordings_have_inputs_like_real_ones(monkeypatch):
    recordings = recordings_of(6)
    inputs, truth = inputs_of_forest(monkeypatch, recordings)
    real = sum(map(shown, recordings))
    assert len(inputs) == len(truth) > 2 * real
    assert ((truth >= 0) & (truth <= 1)).all()
    for column in range(inputs.shape[1]):
        low, high = inputs[:real, column].min(), inputs[:real, column].max()
        inside = (inputs[real:, column] >= 0.5 * low) & (inputs[real:, column] <= 2 * high + 0.01)
        assert inside.mean() > 0.9
    truths = [truth_while_used(r.progress, len(r) // LENGTH, LENGTH) for r in recordings]
    np.testing.assert_allclose(truth[:real], np.concatenate([own[::STRIDE] for own in truths]))


@pytest.mark.parametrize("with_position", [False, True])
def test_it_knows_how_far_a_new_recording_is(with_position):
    recordings = recordings_of(8)
    scale = scale_of(recordings)
    readout = fit_evidence(recordings, scale, with_position)
    for recording in recordings_of(4, first=50):
        chunks = scale.start().update(recording.frames)
        truth = truth_while_used(recording.progress, len(chunks), LENGTH)
        assert np.abs(readout.start().update(chunks) @ GRID - truth).mean() < 0.1


def test_a_seed_gives_the_same_read_out():
    recordings = recordings_of(4)
    scale = scale_of(recordings)
    chunks = scale.start().update(recordings[0].frames)
    with random_state_untouched():
        first, again, other = (fit_evidence(recordings, scale, seed=seed).start().update(chunks) for seed in (3, 3, 4))
    assert (first == again).all()
    assert not (first == other).all()


@pytest.mark.parametrize("with_position", [False, True])
@pytest.mark.parametrize("recordings", [
    [recording_of(["cut"], [40 + 5 * seed], seed) for seed in range(3)],
    [recording_of([BACKGROUND], [40 + 5 * seed], seed) for seed in range(3)],
    [*(recording_of(["cut"], [40], seed) for seed in range(3)), recording_of(["pour", "mix"], [30, 30], 4)],
    [*(recording_of(["cut"], [40], seed) for seed in range(3)), recording_of(["cut"], [2], 4)],
    [recording_of(list(STEPS), [20, 20, 20], seed, group="one person") for seed in range(4)],
    [recording_of(list(STEPS) * 8, [2] * 24, seed) for seed in range(3)],  # segments shorter than a chunk
], ids=["one label", "background alone", "labels of one recording", "shorter than a chunk", "one group", "short"])
def test_odd_recordings(recordings, with_position):
    scale = scale_of(recordings)
    readout = fit_evidence(recordings, scale, with_position)
    for frames in (recordings[0].frames, np.zeros((30, 5)), 1e9 * recordings[0].frames):
        found = readout.start().update(scale.start().update(frames))
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=2e-3)
    assert readout.start().update(scale.start().update(np.zeros((0, 5)))).shape == (0, 101)


def test_segments_are_told_apart_by_what_is_in_them():
    """Two activities of the same length, one of which does twice as much in its first half."""
    fast = [recording_of(["cut", "mix", "pour", BACKGROUND], [10, 10, 10, 60], seed) for seed in range(4)]
    slow = [recording_of([BACKGROUND, "cut", "mix", "pour"], [60, 10, 10, 10], seed) for seed in range(10, 14)]
    scale = scale_of([*fast, *slow])
    readout = fit_evidence([*fast, *slow], scale)
    for new, expected in ((recording_of(["cut", "mix", "pour", BACKGROUND], [10, 10, 10, 60], 20), 1.0),
                          (recording_of([BACKGROUND, "cut", "mix", "pour"], [60, 10, 10, 10], 21), 0.0)):
        found = readout.start().update(scale.start().update(new.frames)) @ GRID
        assert found[len(found) // 2] == pytest.approx(expected, abs=0.2)
