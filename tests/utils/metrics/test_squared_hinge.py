import numpy as np
import pytest
from sklearn.svm import LinearSVC

from utils.metrics import squared_hinge
from utils.metrics.squared_hinge import fit_linear_machines


def problem(seed, frames=200, width=6, classes=4, noise=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=frames)
    return rng.normal(size=(classes, width))[labels] + noise * rng.normal(size=(frames, width)), labels


def objective(weights, frames, labels, chosen, cost):
    """The definition and its gradient, frame by frame."""
    value, gradient = weights @ weights / 2, weights.copy()
    for frame, label in zip(frames, labels, strict=True):
        sign, x = 1 if label == chosen else -1, np.append(frame, 1.0)
        hinge = max(0.0, 1 - sign * (weights @ x))
        value += cost * hinge**2
        gradient -= 2 * cost * hinge * sign * x
    return value, gradient


@pytest.mark.parametrize("cost", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0])
def test_every_machine_is_at_the_minimum_of_its_objective(noise, cost):
    frames, labels = problem(0, noise=noise)
    classes, weights = fit_linear_machines(frames, labels, cost)
    assert classes.tolist() == [0, 1, 2, 3]
    rng = np.random.default_rng(1)
    for chosen, w in zip(classes, weights.T, strict=True):
        least, gradient = objective(w, frames, labels, chosen, cost)
        _, at_zero = objective(np.zeros_like(w), frames, labels, chosen, cost)
        np.testing.assert_allclose(gradient, 0, atol=1e-9 * abs(at_zero).max())
        for _ in range(5):
            assert objective(w + rng.normal(size=len(w)) * 0.01, frames, labels, chosen, cost)[0] > least


@pytest.mark.parametrize(("frames", "width", "classes"), [(300, 8, 5), (30, 60, 3), (100, 1, 6)])
def test_agrees_with_the_slow_solver_of_another_library(frames, width, classes):
    x, labels = problem(2, frames, width, classes)
    found, weights = fit_linear_machines(x, labels)
    other = LinearSVC(dual=False, C=1.0, tol=1e-9, max_iter=100_000).fit(x, labels)
    np.testing.assert_array_equal(found, other.classes_)
    np.testing.assert_allclose(weights[:-1].T, other.coef_, atol=1e-6)
    np.testing.assert_allclose(weights[-1], other.intercept_, atol=1e-6)


def test_two_classes_have_opposite_machines_and_one_class_answers_always():
    frames, labels = problem(3, classes=2)
    _, weights = fit_linear_machines(frames, labels)
    np.testing.assert_allclose(weights[:, 0], -weights[:, 1], atol=1e-9)
    classes, weights = fit_linear_machines(frames, np.full(len(frames), 7))
    assert classes.tolist() == [7]
    assert np.isfinite(weights).all()


def test_fitted_a_few_at_a_time_they_are_the_same(monkeypatch):
    frames, labels = problem(4, classes=6)
    _, together = fit_linear_machines(frames, labels)
    monkeypatch.setattr(squared_hinge, "MOST_VALUES", 2 * 7**2)
    _, few = fit_linear_machines(frames, labels)
    np.testing.assert_allclose(few, together, atol=1e-9)


def test_frames_that_tell_nothing_apart_are_no_trouble():
    labels = np.arange(40) % 3
    classes, weights = fit_linear_machines(np.zeros((40, 5)), labels)
    assert classes.tolist() == [0, 1, 2]
    assert not weights[:-1].any()
    # Every frame occurs with either label.
    _, weights = fit_linear_machines(np.repeat(np.arange(10.0), 2)[:, None], np.tile([0, 1], 10))
    np.testing.assert_allclose(weights, 0, atol=1e-12)


@pytest.mark.parametrize("width", [6, 60])
def test_single_precision_comes_near_the_minimum(width):
    frames, labels = problem(5, frames=3000, width=width, classes=5)
    _, exact = fit_linear_machines(frames, labels)
    _, weights = fit_linear_machines(frames.astype(np.float32), labels)
    assert weights.dtype == np.float32
    for chosen, near, least in zip(range(5), weights.T.astype(np.float64), exact.T, strict=True):
        too_much = objective(near, frames, labels, chosen, 1.0)[0] - objective(least, frames, labels, chosen, 1.0)[0]
        assert too_much <= 1e-6 * len(frames)  # the objective at w = 0


def test_what_single_precision_cannot_solve_is_solved_in_double(monkeypatch):
    frames, labels = problem(6)
    monkeypatch.setitem(squared_hinge.PRECISION, np.dtype(np.float32), 0.0)
    _, weights = fit_linear_machines(frames.astype(np.float32), labels)
    assert weights.dtype == np.float64
    _, exact = fit_linear_machines(frames.astype(np.float32).astype(np.float64), labels)
    np.testing.assert_array_equal(weights, exact)


def smooth_problem(seed, frames=4000, width=12, classes=5):
    """Frames that follow each other are nearly the same, as those of a video."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(classes, size=frames // 50), 50)
    return rng.normal(size=(classes, width))[labels] + 0.1 * rng.normal(size=(frames, width)).cumsum(axis=0), labels


def every_fourth_frame_differs(seed):
    """What a start from every fourth frame makes worse than none."""
    frames, labels = smooth_problem(seed)
    frames[::4] = np.random.default_rng(seed).normal(size=frames[::4].shape)
    labels[::4] = (labels[::4] + 1) % 5
    return frames, labels


def a_class_that_few_frames_lack(seed):
    frames, labels = smooth_problem(seed)
    labels[::4] = 0
    return frames, labels


@pytest.mark.parametrize("make", [smooth_problem, every_fourth_frame_differs, a_class_that_few_frames_lack])
@pytest.mark.parametrize(("kind", "tolerance"), [(np.float64, 1e-7), (np.float32, 1e-3)])
def test_where_the_search_begins_does_not_change_the_machines(make, kind, tolerance, monkeypatch):
    frames, labels = make(7)
    frames = ((frames - frames.mean(axis=0)) / frames.std(axis=0)).astype(kind)
    assert len(frames) // 4 >= squared_hinge.FRAMES_OF_A_WEIGHT * (frames.shape[1] + 1), "starts from fewer frames"
    classes, weights = fit_linear_machines(frames, labels)
    monkeypatch.setattr(squared_hinge, "THINNED", 1)
    monkeypatch.setattr(squared_hinge, "SLOW", 1e-9)  # every Hessian exact
    found, from_zero = fit_linear_machines(frames.astype(np.float64), labels)
    np.testing.assert_array_equal(classes, found)
    np.testing.assert_allclose(weights, from_zero, atol=tolerance * np.abs(from_zero).max())
    inputs = np.concatenate([frames, np.ones((len(frames), 1))], axis=1)
    predicted, exact = ((inputs @ w).argmax(axis=1) for w in (weights, from_zero))
    assert np.count_nonzero(predicted != exact) <= (0 if kind is np.float64 else 2)


def test_a_hessian_that_rounding_makes_indefinite_is_left_to_double_precision():
    """Two features that are one, many frames, and next to no regularisation beside their losses."""
    frames, labels = smooth_problem(8, width=3)
    frames = np.concatenate([frames, frames], axis=1).astype(np.float32)
    _, weights = fit_linear_machines(frames, labels, cost=1e4)
    _, exact = fit_linear_machines(frames.astype(np.float64), labels, cost=1e4)
    np.testing.assert_allclose(weights, exact, atol=1e-2 * np.abs(exact).max())
