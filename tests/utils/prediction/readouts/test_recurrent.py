import dataclasses

import numpy as np
import pytest
import torch

from utils.prediction.readouts import evidence, recurrent
from utils.prediction.readouts.chunks import Chunks, chunk_scale
from utils.prediction.readouts.discriminant import fit_discriminant
from utils.prediction.readouts.distribution import quantiles
from utils.prediction.readouts.evidence import prepare
from utils.prediction.readouts.recording import LabelledRecording, action_labels, labels_of
from utils.prediction.readouts.recurrent import fit_recurrent
from utils.prediction.readouts.recurrent_networks import _Remember, run_networks

STEPS = ("cut", "stir", "serve")


def recording(name, seed, lengths=(40, 60, 50), steps=STEPS, channels=5, noise=0.5):
    """A recording whose channels show the step, in an order of its own, and nothing about progress inside it."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(steps))
    frames, times, start = [], {"step": [], "start_frame": [], "end_frame": []}, 0
    for number in order:
        length = max(1, int(lengths[number] * generator.uniform(0.6, 1.4)))
        centre = np.random.default_rng(number).normal(0, 1, channels)
        frames.append(centre + noise * generator.normal(size=(length, channels)))
        for key, value in zip(times, (steps[number], start, start + length - 1), strict=True):
            times[key].append(value)
        start += length
    return LabelledRecording(name, np.concatenate(frames).astype(np.float32), times)


def with_a_pause(name, seed):
    """A recording that begins with nothing, for a time that no clock knows."""
    made, generator = recording(name, seed), np.random.default_rng(seed)
    pause = int(generator.integers(1, 200))
    frames = np.concatenate([0.5 * generator.normal(size=(pause, made.frames.shape[1])), made.frames])
    times = {
        "step": ["SIL", *made.time_dict["step"]],
        "start_frame": [0, *(start + pause for start in made.time_dict["start_frame"])],
        "end_frame": [pause - 1, *(end + pause for end in made.time_dict["end_frame"])],
    }
    return LabelledRecording(name, frames, times)


def scale_of(recordings):
    return chunk_scale([one.frames for one in recordings])


def fit(recordings, **settings):
    return fit_recurrent(recordings, scale_of(recordings), **{"networks": 2, "steps": 12, **settings})


def read(fitted, scale, frames):
    return fitted.start().update(scale.start().update(frames))


def arrays_of(value):
    """Every field of a dataclass and of those in it."""
    if not dataclasses.is_dataclass(value):
        return [value]
    return [leaf for field in dataclasses.fields(value) for leaf in arrays_of(getattr(value, field.name))]


@pytest.fixture(scope="module")
def recordings():
    return [recording(f"r{seed}", seed) for seed in range(8)]


@pytest.fixture(scope="module")
def fitted(recordings):
    return fit(recordings)


def test_distributions_are_finite_and_sum_to_one(recordings, fitted):
    mass = read(fitted, scale_of(recordings), recordings[0].frames)
    assert mass.shape == (len(recordings[0]) // scale_of(recordings).length, 101)
    assert (mass >= 0).all()
    np.testing.assert_allclose(mass.sum(axis=1), 1)


def test_how_a_recording_is_cut_into_calls_changes_nothing(recordings, fitted):
    chunks = scale_of(recordings).start().update(recordings[0].frames)
    whole = fitted.start().update(chunks)
    state, parts, start = fitted.start(), [], 0
    for end in (0, 1, 2, 2, 9, 50, len(chunks)):
        part = Chunks(chunks.measures[start:end], chunks.clock[start:end], chunks.path[start:end])
        parts.append(state.update(part))
        start = end
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_before_the_first_chunk_is_complete_there_is_no_answer(recordings, fitted):
    assert read(fitted, scale_of(recordings), recordings[0].frames[:0]).shape == (0, 101)


def test_what_comes_later_changes_nothing_before(recordings, fitted):
    scale, frames = scale_of(recordings), recordings[0].frames.copy()
    whole = read(fitted, scale, frames)
    half = len(frames) // 2
    frames[half:] = 1e3
    number = half // scale.length
    changed = read(fitted, scale, frames)
    np.testing.assert_array_equal(changed[:number], whole[:number])
    assert not np.array_equal(changed, whole)
    np.testing.assert_array_equal(read(fitted, scale, frames[:half]), whole[:number])


def test_two_recordings_read_in_turn_do_not_mix(recordings, fitted):
    scale = scale_of(recordings)
    one, other = (scale.start().update(recordings[index].frames) for index in (0, 1))
    first, second = fitted.start(), fitted.start()
    second.update(other)
    np.testing.assert_array_equal(first.update(one), fitted.start().update(one))


def test_it_tells_progress_in_new_recordings():
    recordings = [with_a_pause(f"r{seed}", seed) for seed in range(30)]
    training, others = recordings[:20], recordings[20:]
    scale = scale_of(training)
    fitted = fit_recurrent(training, scale, networks=2, steps=150)

    def error(answers):
        return np.mean([np.abs(answer - one.truth).mean() for answer, one in zip(answers, prepared, strict=True)])

    prepared = prepare(others, scale, labels_of(others))
    found = [quantiles(fitted.start().update(one.chunks), (0.5,))[:, 0] for one in prepared]
    assert error(found) < 0.6 * error([np.minimum(one.chunks.clock, 1) for one in prepared])


def test_the_step_in_numpy_is_that_which_was_trained(recordings, fitted):
    networks = fitted.networks
    inputs = np.random.default_rng(0).normal(size=(20, networks.enter.shape[1] - 1)).astype(np.float32)
    memory = networks.start()
    found = np.stack([networks.step(row, memory) for row in inputs])
    weights = {name: torch.from_numpy(getattr(networks, name)) for name in ("enter", "first", "second", "leave")}
    remembered = run_networks(weights, torch.from_numpy(inputs)[None, :, None].expand(2, -1, 1, -1))[:, :, 0]
    logits = torch.baddbmm(weights["leave"][:, -1:], remembered, weights["leave"][:, :-1])
    np.testing.assert_allclose(found, torch.softmax(logits, dim=2).mean(dim=0).numpy(), atol=1e-5)
    np.testing.assert_allclose(memory.reshape(2, -1), remembered[:, -1].numpy(), atol=1e-5)


def test_memory_follows_its_formula_and_so_does_its_gradient():
    generator = torch.Generator().manual_seed(0)
    gate, candidate = (torch.rand(2, 6, 3, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    memory, expected = torch.zeros(2, 3, 4, dtype=torch.float64), []
    for now in range(6):
        memory = memory + gate[:, now] * (candidate[:, now] - memory)
        expected.append(memory)
    torch.testing.assert_close(_Remember.apply(gate, candidate), torch.stack(expected, dim=1))
    torch.autograd.gradcheck(_Remember.apply, (gate.requires_grad_(), candidate.requires_grad_()))


def test_same_seed_same_readout_and_nothing_global_changes(recordings, fitted):
    torch.manual_seed(3)
    before = torch.get_num_threads(), torch.get_rng_state()
    again = fit(recordings)
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    for one, other in zip(arrays_of(fitted), arrays_of(again), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(fit(recordings, seed=1).networks.leave, fitted.networks.leave)


def test_it_holds_arrays_alone(fitted):
    for value in arrays_of(fitted):
        assert isinstance(value, np.ndarray)
        assert value.dtype.kind == "f"


@pytest.mark.parametrize("group", ["", "one person"])
def test_labels_of_a_training_recording_are_told_by_what_was_not_fitted_to_it(recordings, group, monkeypatch):
    asked = []

    def fit_and_watch(measures, classes, number):
        known = {row.tobytes() for row in measures}
        made = fit_discriminant(measures, classes, number)

        class Watched:
            def posterior(self, measures):
                asked.append(any(row.tobytes() in known for row in measures))
                return made.posterior(measures)

        return Watched()

    monkeypatch.setattr(evidence, "fit_discriminant", fit_and_watch)
    fit([dataclasses.replace(one, group=group) for one in recordings])
    assert asked == [False] * len(recordings)


def test_training_sequences_hold_what_was_done(recordings):
    scale, labels = scale_of(recordings), labels_of(recordings)
    prepared = prepare(recordings, scale, labels)
    count = len(labels)
    sequences = recurrent.TrainingSequences(
        prepared,
        [np.zeros((len(one.chunks), 1)) for one in prepared],
        [np.eye(count)[one.classes] for one in prepared],
        np.ones(count),
        labels,
        action_labels(recordings),
        scale,
        seed=0,
    )
    batch = next(sequences.batches(12))
    assert batch.inputs.shape[2] == 1 + 2 * count + 2
    np.testing.assert_allclose(batch.weight.sum(axis=0), 1, rtol=1e-5)
    for index in range(12):
        length = int((batch.weight[:, index] > 0).sum())
        done, progress = batch.done[:length, index], batch.progress[:length, index]
        assert (np.diff(done, axis=0) >= -1e-6).all()
        # Three actions of equal share, each done twice at most as `mean count + 1` allows: what is done is progress.
        total = done.sum(axis=1) / done[-1].sum()
        np.testing.assert_allclose(progress, total, atol=0.05)
        grows = np.diff(done, axis=0, prepend=0).argmax(axis=1)
        np.testing.assert_array_equal(grows, batch.labels[:length, index])
        assert (batch.weight[length:, index] == 0).all()


def one_label(name, seed):
    return recording(name, seed, lengths=(80,), steps=("only",))


def with_background_alone(name, seed):
    return recording(name, seed, lengths=(50, 60), steps=("SIL", "cut"))


def constant(name, seed):
    made = recording(name, seed)
    return LabelledRecording(name, np.ones_like(made.frames), made.time_dict)


def tiny(name, seed):
    return recording(name, seed, lengths=(2, 2, 2))


def of_many_channels(name, seed):
    return recording(name, seed, channels=90)


def of_one_channel(name, seed):
    return recording(name, seed, channels=1)


def of_very_different_length(name, seed):
    return recording(name, seed, lengths=(2000, 900, 700) if seed == 0 else (3, 2, 2))


POOR = (
    recording,
    one_label,
    with_background_alone,
    constant,
    tiny,
    of_many_channels,
    of_one_channel,
    of_very_different_length,
)


@pytest.mark.parametrize("make", POOR)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_few_and_poor_recordings_give_finite_answers(make, number):
    recordings = [make(f"r{seed}", seed) for seed in range(number)]
    scale = scale_of(recordings)
    fitted = fit_recurrent(recordings, scale, networks=2, steps=3)
    foreign = np.random.default_rng(0).normal(0, 1e6, (500, recordings[0].frames.shape[1]))
    for frames in (recordings[0].frames, foreign, np.zeros_like(foreign)):
        mass = read(fitted, scale, frames)
        assert np.isfinite(mass).all()
        np.testing.assert_allclose(mass.sum(axis=1), 1)
