"""Every read-out judged on recordings that it was not fitted to, and the choice of one."""

from dataclasses import replace

import numpy as np
import pytest

from tests.labelled_recordings import (
    BACKGROUND,
    STEPS,
    random_state_untouched,
    recording_of,
    recordings_of,
)
from tests.utils.prediction.progress.test_candidates import NAMES
from utils.errors import DataError
from utils.prediction.progress.candidates import fit_candidates, read_all
from utils.prediction.progress.cross_validation import OutOfFold, cross_validate, judge, scale_of
from utils.prediction.progress.interval import fit_interval
from utils.prediction.progress.remaining import fit_remaining
from utils.prediction.readouts.chunks import end_frames
from utils.prediction.readouts.steps import fit_steps


def relabelled(recording):
    """Other labels and other segments for the same frames."""
    number = len(recording)
    return replace(
        recording,
        time_dict={
            "step": ["pour", BACKGROUND, "cut"], "start_frame": [0, number // 2, number - 9],
            "end_frame": [number // 2 - 1, number - 10, number - 1],
        },
    )  # fmt: skip


def same(first, second):
    return all((first[name] == second[name]).all() for name in NAMES)


def curves_of(found, index):
    return {name: curves[index] for name, curves in found.quantiles.items()}


@pytest.mark.parametrize("change", ["annotation", "features"])
def test_what_was_fitted_to_a_recording_never_judges_it(recordings, found, change):
    """Of folds (0, 1), (2, 3), ...: what belongs to recording 2 reaches neither its own curves nor those of 3."""
    assert found.folds.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    own = recordings[2]
    poison = relabelled(own) if change == "annotation" else replace(own, frames=1e3 + 50 * own.frames[::-1])
    poisoned = cross_validate([*recordings[:2], poison, *recordings[3:]], folds=4)
    assert same(curves_of(poisoned, 3), curves_of(found, 3))
    if change == "annotation":
        assert same(curves_of(poisoned, 2), curves_of(found, 2))
    for index in (0, 1, 4, 5, 6, 7):  # which it helps to fit
        assert not same(curves_of(poisoned, index), curves_of(found, index))


def test_a_group_is_never_divided(recordings):
    grouped = [replace(r, group="ab"[index % 2] if index < 6 else "") for index, r in enumerate(recordings)]
    found = cross_validate(grouped, names=["neighbours", "filter"])
    assert len(set(found.folds.tolist())) == 4  # a, b and the two that are of no group
    poisoned = cross_validate([relabelled(grouped[0]), *grouped[1:]], names=["neighbours", "filter"])
    for index, recording in enumerate(grouped):
        equal = all((found.quantiles[n][index] == poisoned.quantiles[n][index]).all() for n in found.quantiles)
        assert equal == (recording.group == "a"), index


def test_it_equals_a_loop_over_folds(recordings, found):
    for fold in (0, 3):
        training = [r for r, own in zip(recordings, found.folds, strict=True) if own != fold]
        scale = scale_of(training)
        fitted, steps = fit_candidates(training, scale, seed=0), fit_steps(training, scale)
        for index in np.flatnonzero(found.folds == fold):
            assert same(read_all(fitted, recordings[index].frames), curves_of(found, index))
            chunks = scale.start().update(recordings[index].frames)
            truth = recordings[index].labels_of_frames(steps.labels)[end_frames(len(chunks), scale.length)]
            answers = steps.start().update(chunks)["step"]
            assert found.steps[index].accuracy == np.mean(answers == truth)
    assert np.mean([own.accuracy for own in found.steps]) > np.mean([own.majority for own in found.steps]) + 0.2


def test_errors_by_a_loop(recordings, found):
    for name in NAMES:
        errors = [
            np.mean([abs(q[1] - truth) for q, truth in zip(curve, recording.progress, strict=True)])
            for curve, recording in zip(found.quantiles[name], recordings, strict=True)
        ]
        np.testing.assert_allclose(found.errors(name), errors)
        assert found.mean_errors()[name] == pytest.approx(np.mean(errors))
    assert found.best() == min(NAMES, key=found.mean_errors().get)
    assert found.best_naive() == min(("index", "clock", "path"), key=found.mean_errors().get)
    assert found.mean_errors()[found.best()] < 0.7 * found.mean_errors()[found.best_naive()]


def test_a_seed_gives_the_same(recordings, found):
    """Whatever the number of processes: see test_workers.py."""
    with random_state_untouched():
        again = cross_validate(recordings, folds=4)
    for index in range(len(recordings)):
        assert same(curves_of(again, index), curves_of(found, index))


def test_frames_after_now_change_no_curve_before(recordings, found):
    """The recording that is judged is read as it would be online."""
    cut = 40
    shortened = replace(
        recordings[5], frames=recordings[5].frames[:cut],
        time_dict={"step": ["cut"], "start_frame": [0], "end_frame": [cut - 1]},
    )  # fmt: skip
    again = cross_validate([*recordings[:5], shortened, *recordings[6:]], folds=4)
    for name in NAMES:
        np.testing.assert_allclose(again.quantiles[name][5], found.quantiles[name][5][:cut], rtol=0, atol=1e-9)


class TestChoice:
    def out_of_fold(self, **errors):
        recording = recording_of(["cut"], [11])
        curves = {name: [np.repeat(recording.progress[:, None] + error, 3, axis=1)] for name, error in errors.items()}
        return OutOfFold((recording,), curves, np.zeros(1, dtype=int), ())

    def test_the_least_error_is_chosen(self):
        found = self.out_of_fold(index=0.3, clock=0.2, path=0.25, filter=0.15, evidence=0.1)
        assert (found.best(), found.best_naive()) == ("evidence", "clock")

    def test_a_naive_guess_that_nothing_beats_is_chosen(self):
        found = self.out_of_fold(index=0.3, clock=0.2, path=0.25, filter=0.21)
        assert found.best() == found.best_naive() == "clock"

    def test_what_is_only_as_good_as_a_naive_guess_is_not_chosen(self):
        # The read-out is named first, so that the order decides nothing.
        assert self.out_of_fold(filter=0.25, clock=0.25, index=0.5).best() == "clock"

    @pytest.mark.parametrize("seed", range(3))
    def test_features_that_say_nothing_do_not_make_it_worse_than_a_naive_guess(self, seed):
        noise = recordings_of(8, first=100 * seed, signal=0.0)
        found = cross_validate(noise, names=["index", "clock", "path", "neighbours", "filter", "evidence"], folds=4)
        best, scale = found.best(), scale_of(noise)
        assert found.mean_errors()[best] <= found.mean_errors()[found.best_naive()]
        fitted = fit_candidates(noise, scale, 0, [best, "index", "clock"])
        errors = {"index": 0.0, "clock": 0.0, best: 0.0}
        for recording in recordings_of(20, first=100 * seed + 50, signal=0.0):
            for name, curve in read_all(fitted, recording.frames).items():
                errors[name] += np.abs(curve[:, 1] - recording.progress).mean() / 20
        assert errors[best] < 1.15 * min(errors["index"], errors["clock"])


class TestTooFew:
    @pytest.mark.parametrize("number", [0, 1])
    def test_one_recording_is_refused(self, number):
        with pytest.raises(DataError, match=f"^{number} recording.*expected at least 2"):
            cross_validate(recordings_of(number))

    def test_one_group_is_refused(self):
        with pytest.raises(DataError, match="one group; expected at least two"):
            cross_validate(recordings_of(4, group="a"))

    def test_two_recordings_are_enough_for_what_needs_one(self):
        found = cross_validate(recordings_of(2))
        assert tuple(found.quantiles) == NAMES[:5]
        assert found.best() in NAMES[:5]
        judge(found, found.best())

    def test_a_read_out_that_some_folds_are_too_few_for_is_left_out(self):
        found = cross_validate(recordings_of(4), folds=2)
        assert "evidence" not in found.quantiles

    def test_a_wanted_read_out_is_judged_beside_the_naive_guesses(self, recordings):
        found = cross_validate(recordings, names=["filter"], folds=2)
        assert found.best() == "filter"
        assert found.best_naive() in ("index", "clock", "path")

    def test_a_read_out_that_does_not_exist_is_refused(self, recordings):
        with pytest.raises(ValueError, match="'filtre'"):
            cross_validate(recordings, names=["filtre"], folds=2)

    def test_two_groups_leave_one_to_be_fitted_to(self):
        found = cross_validate([replace(r, group="ab"[i % 2]) for i, r in enumerate(recordings_of(8))])
        assert tuple(found.quantiles) == NAMES


@pytest.mark.parametrize("recordings", [
    [recording_of(["cut"], [40 + seed], seed) for seed in range(5)],
    [recording_of([BACKGROUND], [40 + seed], seed) for seed in range(5)],
    [recording_of(["cut"], [1], seed) for seed in range(5)],
    [*(recording_of(["cut"], [60], seed) for seed in range(4)), recording_of(list(STEPS), [20, 20, 20], 5)],
    [*recordings_of(4), recording_of(["cut"], [1], 60)],
    [recording_of(list(STEPS), [1, 1, 1], 1), recording_of(list(STEPS), [400, 400, 400], 2)],
], ids=["one label", "background", "single frames", "labels of one", "one frame", "very unlike lengths"])
def test_odd_recordings(recordings):
    found = cross_validate(recordings, names=["alignment", "filter", "evidence"])
    for name, curves in found.quantiles.items():
        for curve, recording in zip(curves, recordings, strict=True):
            assert curve.shape == (len(recording), 3)
            assert np.isfinite(curve).all()
            assert ((curve >= 0) & (curve <= 1)).all()
        judged = judge(found, name)
        assert 0 <= judged.coverage <= 1
        assert 0 <= judged.width <= 1
        assert np.isfinite([judged.remaining_error, judged.naive_remaining_error]).all()
    assert found.best() in found.quantiles


def test_judge_by_a_loop(recordings, found):
    name = "filter"
    covered, widths, errors, naive = [], [], [], []
    for index, recording in enumerate(recordings):
        others = [i for i in range(len(recordings)) if found.folds[i] != found.folds[index]]
        curves = [found.quantiles[name][i] for i in others]
        interval = fit_interval(
            [c[:, 1] for c in curves], [c[:, 0] for c in curves], [c[:, 2] for c in curves],
            [recordings[i].progress for i in others],
        )  # fmt: skip
        own = found.quantiles[name][index]
        low, high = interval.bounds(own[:, 1], own[:, 0], own[:, 2])
        inside = [a - 1e-9 <= t <= b + 1e-9 for a, t, b in zip(low, recording.progress, high, strict=True)]
        covered.append(np.mean(inside))
        widths.append(np.mean(high - low))
        left = [len(recording) - 1 - t for t in range(len(recording))]
        errors.append(np.mean(np.abs(fit_remaining([c[:, 1] for c in curves]).read(own[:, 1]) - left)))
        mean = np.mean([len(recordings[i]) for i in others])
        naive.append(np.mean([abs(max(mean - 1 - t, 0) - left[t]) for t in range(len(recording))]))
    judged = judge(found, name)
    assert judged.coverage == pytest.approx(np.mean(covered))
    assert judged.width == pytest.approx(np.mean(widths))
    assert judged.remaining_error == pytest.approx(np.mean(errors))
    assert judged.naive_remaining_error == pytest.approx(np.mean(naive))


def test_a_chunk_resolves_short_segments_but_is_not_much_shorter_than_a_recording_needs():
    long = [recording_of(["cut", "mix"], [3000, 3000])]
    assert scale_of(long).length == 300  # a twentieth, as these tests have it
    short = [recording_of(["cut", "mix"] * 100, [30, 30] * 100)]
    assert scale_of(short).length == 20  # 6000 / 300, though a third of a segment is 10
    assert scale_of([recording_of(["cut", "mix"] * 20, [150, 150] * 20)]).length == 50
    assert scale_of([recording_of([BACKGROUND], [6000])]).length == 300
