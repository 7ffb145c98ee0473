"""The whole answer: leaks, cuts, memory, its columns, and recordings that are not to be believed."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.labelled_recordings import (
    BACKGROUND,
    MOST_CHANNELS,
    STEPS,
    WIDTH,
    random_state_untouched,
    recording_of,
    recordings_of,
)
from tests.utils.prediction.progress.test_candidates import CUTS, NAMES, odd
from utils.errors import DataError
from utils.prediction.progress.candidates import MEANS
from utils.prediction.progress.cross_validation import OutOfFold, cross_validate
from utils.prediction.progress.model import (
    MOST_WITHOUT_END,
    NEARLY_DONE,
    NO_END,
    RISE,
    STUCK,
    ProgressAnswers,
    fit_progress,
    longest_plateau,
)
from utils.prediction.progress.unlike_training import LONG

EXACT = ("step", "unlike")


def assert_same(found, expected):
    """All columns of two answers."""
    assert found.dtype == expected.dtype
    assert len(found) == len(expected)
    for name in found.dtype.names:
        if name in EXACT:
            assert found[name].tolist() == expected[name].tolist(), name
        else:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-9, err_msg=name)


def assert_possible(rows, steps):
    for name in rows.dtype.names:
        assert np.isfinite(rows[name]).all(), name
    for name in ("progress", "lower", "upper", "step_progress"):
        assert ((rows[name] >= 0) & (rows[name] <= 1)).all(), name
    assert ((rows["step_probability"] >= 0) & (rows["step_probability"] <= 1 + 1e-12)).all()
    assert (rows["lower"] <= rows["progress"]).all()
    assert (rows["progress"] <= rows["upper"]).all()
    assert ((rows["step"] >= -1) & (rows["step"] < steps)).all()
    assert (rows["remaining"] >= 0).all()
    assert (rows["steps_done"] >= 0).all()
    assert ((rows["unlike"] >= 0) & (rows["unlike"] < 32)).all()


def bytes_of(value, seen):
    """Of all arrays that an object holds, each with the whole of which it is a view."""
    if id(value) in seen:
        return 0
    seen[id(value)] = value
    if isinstance(value, np.ndarray):
        return value.nbytes if value.base is None else bytes_of(value.base, seen)
    if isinstance(value, dict):
        return sum(bytes_of(own, seen) for own in value.values())
    if isinstance(value, (list, tuple)):
        return sum(bytes_of(own, seen) for own in value)
    return bytes_of(vars(value), seen) if hasattr(value, "__dict__") else 0


@pytest.mark.parametrize("name", NAMES)
class TestEveryModel:
    def test_the_future_changes_nothing_before(self, model_of, name, new_recordings):
        model, frames = model_of(name), new_recordings[0].frames
        whole = model.start().update(frames)
        for now in (0, 1, 30, 31, 32, 33, 34, 35, len(frames) - 2):
            assert_same(model.start().update(frames[: now + 1]), whole[: now + 1])
            changed = np.concatenate([frames[: now + 1], 5 - 30 * frames[now + 1 :]])
            assert_same(model.start().update(changed)[: now + 1], whole[: now + 1])

    @pytest.mark.parametrize("sizes", CUTS)
    def test_stream_equals_batch(self, model_of, name, sizes, new_recordings):
        model, frames = model_of(name), new_recordings[1].frames
        ends, state = [*np.cumsum(sizes).tolist(), len(frames)], model.start()
        parts = [state.update(frames[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        assert_same(np.concatenate(parts), model.start().update(frames))

    def test_its_state_does_not_grow(self, model_of, name):
        if name in MEANS:
            pytest.skip("holds the states of its heads, which are tested")
        """After ten thousand frames as after one thousand, whether they come one by one or together."""
        state = model_of(name).start()
        frames = np.tile(recordings_of(1, first=9)[0].frames, (10, 1))[:1000]

        def size():
            return len(pickle.dumps(state))

        state.update(frames)
        before = size()
        for _ in range(9):
            state.update(frames)
        assert size() <= before + 100
        for start in range(30):
            state.update(frames[start : start + 1])
        assert size() <= before + 100

    def test_it_keeps_no_view_of_a_whole_recording(self, model_of, name):
        if name in MEANS:
            pytest.skip("holds the states of its heads, which are tested")
        model = model_of(name)
        frames = np.tile(recordings_of(1, first=9)[0].frames, (20, 1))
        sizes = []
        for number in (500, 2000):
            state = model.start()
            state.update(frames[:number])
            sizes.append(bytes_of(state, {}))
        assert sizes[0] == sizes[1]

    def test_answers_are_possible_whatever_comes(self, model_of, name):
        model, frames = model_of(name), recordings_of(1, first=9)[0].frames
        for given in (
            frames, 1e6 * frames, 1e-6 * frames, np.zeros_like(frames), frames[:1], frames[:0],
            np.random.default_rng(0).normal(size=(700, WIDTH)), (50 * frames).astype(np.uint8), frames + 1e9,
        ):  # fmt: skip
            rows = model.start().update(given)
            assert len(rows) == len(given)
            assert_possible(rows, len(model.labels))

    def test_two_recordings_do_not_touch_each_other(self, model_of, name, new_recordings):
        model = model_of(name)
        first, second = new_recordings[0].frames[:50], new_recordings[1].frames[:50]
        states, parts = (model.start(), model.start()), ([], [])
        for start in range(0, 50, 5):
            for state, frames, rows in zip(states, (first, second), parts, strict=True):
                rows.append(state.update(frames[start : start + 5]))
        assert_same(np.concatenate(parts[0]), model.start().update(first))
        assert_same(np.concatenate(parts[1]), model.start().update(second))

    def test_progress_is_that_of_its_read_out(self, model_of, name, new_recordings):
        """At most `MOST_WITHOUT_END` where it says so."""
        model, frames = model_of(name), new_recordings[0].frames
        rows, expected = model.predict(frames).rows, model.readout.start().update(frames)
        expected = np.where(rows["unlike"] & NO_END, np.minimum(expected, MOST_WITHOUT_END), expected)
        np.testing.assert_allclose(rows["progress"], expected, atol=1e-9)

    def test_foreign_features_are_not_believed(self, model_of, name, new_recordings):
        model = model_of(name)
        frames = new_recordings[0].frames
        scaled = (255 * (frames - frames.min()) / np.ptp(frames)).astype(np.uint8)
        for foreign in (scaled, 1e6 * frames, 1e-6 * frames, np.zeros_like(frames), frames[:1].repeat(90, axis=0)):
            assert all(model.predict(foreign).out_of_range[60:])
        believed = [not said for own in new_recordings for said in model.predict(own.frames).out_of_range]
        assert np.mean(believed) > 0.9


def test_tensors_and_arrays_give_the_same(model_of, new_recordings):
    model, frames = model_of("mean of all"), new_recordings[0].frames.astype(np.float32)
    expected = model.predict(frames.astype(np.float64)).rows
    for given in (frames, torch.from_numpy(frames), torch.from_numpy(frames).requires_grad_()):
        assert_same(model.predict(given).rows, expected)


def test_new_recordings_are_read_well(model_of, new_recordings):
    model = model_of("mean of all")
    errors, inside, steps = [], [], []
    for recording in new_recordings:
        answers = model.predict(recording.frames)
        errors.append(np.abs(answers.progress - recording.progress).mean())
        inside.append(((answers.lower <= recording.progress) & (recording.progress <= answers.upper)).mean())
        labels = np.array(model.labels)[recording.labels_of_frames(model.labels)]
        steps.append(np.mean(np.array(answers.steps) == labels))
    assert np.mean(errors) < 0.1
    assert 0.5 < np.mean(inside) <= 1
    assert np.mean(steps) > 0.6


def test_columns_of_the_answer(model_of, new_recordings):
    model = model_of("evidence")
    answers = model.predict(new_recordings[0].frames)
    rows = model.start().update(new_recordings[0].frames)
    assert len(answers) == len(rows)
    for column in ("progress", "lower", "upper", "step_probability", "step_progress", "steps_done"):
        assert (getattr(answers, column) == rows[column]).all()
    np.testing.assert_allclose(answers.remaining_seconds, rows["remaining"] / 10)
    first = model.scale.length - 1
    assert answers.steps[:first] == [""] * first
    assert set(answers.steps[first:]) <= set(model.labels)
    assert model.labels == (BACKGROUND, *STEPS)
    assert model.width == WIDTH
    assert answers.coverage == 0.8
    assert replace(model, frame_rate=None).predict(new_recordings[0].frames).remaining_seconds is None


def test_steps_and_signs_stand_for_the_frames_of_a_chunk(model_of, new_recordings):
    model, frames = model_of("alignment"), new_recordings[0].frames
    rows, length = model.predict(frames).rows, model.scale.length
    assert length > 1
    by_chunk = model.steps.start().update(model.scale.start().update(frames))
    for frame in range(len(frames)):
        complete = (frame + 1) // length
        if complete:
            assert rows["step"][frame] == by_chunk["step"][complete - 1]
            assert rows["steps_done"][frame] == pytest.approx(by_chunk["done"][complete - 1])
        else:
            assert rows["step"][frame] == -1
    # Progress itself is of every frame.
    assert len(set(rows["progress"][20:60].tolist())) > 40 / length


def test_signs_in_words():
    rows = np.zeros(5, dtype=[("unlike", "i4")])
    rows["unlike"] = [0, 1, 2, 4, 1 | 4 | 8]
    assert ProgressAnswers(rows, (), None, 0.8).out_of_range == [
        "", "unlike training", "stands still", "longer than training",
        "unlike training + longer than training + progress stuck",
    ]  # fmt: skip


class TestStuck:
    @pytest.mark.parametrize("curve", [
        [0, 0, 0, 0], [0.5, 0.5, 0.5], [0, 0.02, 0.04], [0, 0.005, 0.01, 0.015, 0.02], [0.96, 0.96], [0, 0, 0.99, 0, 0],
        np.random.default_rng(0).random(50), np.sort(np.random.default_rng(1).random(50)), [],
    ])  # fmt: skip
    def test_longest_plateau_by_a_loop(self, curve):
        """How many values in a row are less than RISE above the highest that counted, none of them nearly done."""
        curve = np.asarray(curve, dtype=float)
        highest, since, longest = 0.0, 0, 0
        for value in curve:
            since = 0 if value >= highest + RISE else since + 1
            highest = value if since == 0 else highest
            longest = longest if value >= NEARLY_DONE else max(longest, since)
        assert longest_plateau(curve) == longest

    def test_progress_that_does_not_rise_any_more_is_stuck(self, model_of, new_recordings):
        """A recording that goes on with its first step for ever, its frames moving as always."""
        model = model_of("evidence")
        first = recording_of([BACKGROUND, "cut"], [20, 1500], 5).frames
        rows = model.predict(first).rows
        assert (rows["unlike"][-1] & STUCK) or rows["progress"][-1] >= NEARLY_DONE
        for recording in new_recordings:
            assert not (model.predict(recording.frames).rows["unlike"] & STUCK).any()

    def test_a_clock_is_never_stuck_but_past_the_longest(self, model_of):
        rows = model_of("clock").predict(np.random.default_rng(0).normal(size=(900, WIDTH))).rows
        assert not (rows["unlike"] & STUCK).any()
        assert (rows["unlike"][-300:] & LONG).all()

    def test_the_sign_comes_when_the_limit_is_passed(self, model_of):
        """A path that stops: progress stays what it is, and after the limit it is stuck."""
        model = replace(model_of("path"), stuck_limit=12.0)
        length = model.scale.length
        frames = np.concatenate([recordings_of(1, first=9)[0].frames[:30], np.zeros((30 * length, WIDTH))])
        frames[30:] = frames[29]
        rows = model.predict(frames).rows
        chunks = rows[length - 1 :: length]
        highest, since = 0.0, 0
        for chunk in chunks:
            since = 0 if chunk["progress"] >= highest + RISE else since + 1
            highest = chunk["progress"] if since == 0 else highest
            assert bool(chunk["unlike"] & STUCK) == (since > 12)


class TestFit:
    def test_the_best_read_out_is_chosen_and_reported(self, recordings, found):
        model = fit_progress(recordings, found=found)
        assert model.name == found.best()
        assert model.frame_rate is None
        assert model.input == "features"
        report = model.report
        assert report["chosen"] == model.name
        assert report["recordings"] == 8
        assert report["folds"] == 4
        assert set(report["errors"]) == set(NAMES)
        means = {name: np.mean(errors) for name, errors in report["errors"].items()}
        assert means == pytest.approx(found.mean_errors())
        assert 0 < report["coverage"] <= 1
        assert report["steps"]["accuracy"] > report["steps"]["majority"]
        assert report["steps"]["inside_error"] < report["steps"]["inside_half"]
        assert report["remaining_error"] < report["naive_remaining_error"]

    def test_a_seed_gives_the_same_model(self, recordings, new_recordings):
        frames, names = new_recordings[0].frames, ["evidence", "filter"]
        with random_state_untouched():
            first, again = (fit_progress(recordings, seed=5, names=names) for _ in range(2))
        assert first.report == again.report
        assert (first.predict(frames).rows == again.predict(frames).rows).all()

    def test_interval_and_remaining_time_come_from_recordings_that_were_left_out(self, recordings, found, model_of):
        """Curves that were fitted to their own recordings would be far nearer to the truth than new ones are."""
        model = model_of("neighbours")
        optimistic = OutOfFold(
            found.recordings, {**found.quantiles, "neighbours": [r.progress[:, None].repeat(3, 1) for r in recordings]},
            found.folds, found.steps,
        )  # fmt: skip
        perfect = fit_progress(recordings, found=optimistic)
        assert perfect.name == "neighbours"
        assert np.ptp(model.interval.upper - model.interval.lower) > 0
        assert (model.interval.upper - model.interval.lower).mean() > 0.1
        assert (perfect.interval.upper - perfect.interval.lower).mean() < 0.01

    def test_too_few_recordings_are_refused(self):
        for number in (0, 1):
            with pytest.raises(DataError, match="expected at least 2"):
                fit_progress(recordings_of(number))

    def test_features_that_say_nothing(self):
        noise = recordings_of(8, signal=0.0)
        model = fit_progress(noise, names=["index", "clock", "path", "neighbours", "evidence"])
        naive = min(np.mean(model.report["errors"][name]) for name in ("index", "clock", "path"))
        assert np.mean(model.report["errors"][model.name]) <= naive

    @pytest.mark.parametrize("kind", [
        "two recordings", "background", "short", "single frames", "all still", "wide",
    ])  # fmt: skip
    def test_odd_recordings_give_possible_answers(self, kind):
        own = odd(kind)
        model = fit_progress(own, names=["neighbours", "filter", "evidence"])
        long = np.random.default_rng(0).normal(size=(200, own[0].frames.shape[1]))
        for frames in (own[0].frames, own[-1].frames, long, 0 * long, 1e6 * long, long[:1], long[:0]):
            assert_possible(model.predict(frames).rows, len(model.labels))
        if kind == "wide":
            assert model.scale.components.shape == (MOST_CHANNELS + 9, MOST_CHANNELS)

    def test_what_others_did_after_the_fit_changes_nothing(self, recordings, new_recordings):
        """The model holds its own numbers, no views of the recordings."""
        own = [replace(r, frames=r.frames.copy()) for r in recordings[:4]]
        models = [fit_progress(own, found=cross_validate(own, names=[name])) for name in ("neighbours", "filter")]
        before = [model.predict(new_recordings[0].frames).rows for model in models]
        for recording in own:
            recording.frames[:] = 7
        for model, rows in zip(models, before, strict=True):
            assert (model.predict(new_recordings[0].frames).rows == rows).all()
