import tracemalloc

import numpy as np
import pytest

from utils.metrics.dynamic_time_warping import dynamic_time_warping_path
from utils.metrics.frame_alignment import METHODS, NEAREST, TIME_WARPING, align_frames


def naive_distances(first, second):
    return np.array([[np.linalg.norm(a - b) for b in second] for a in first])


def curve(times):
    """Frames of an execution at these times in [0, 1]: no two are near each other unless their times are."""
    return np.stack([times, times**2, np.sin(times)], axis=1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (13, 8), (8, 13)])
def test_nearest_by_naive_loops(shape):
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=(n, 3)) for n in shape)
    distances = naive_distances(first, second)
    found = align_frames(first, second)
    np.testing.assert_array_equal(found.indices, distances.argmin(axis=1))
    np.testing.assert_allclose(found.distances, distances.min(axis=1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (13, 8), (8, 13), (40, 30)])
def test_time_warping_by_naive_loops(shape):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        first, second = (rng.normal(size=(n, 3)) for n in shape)
        distances = naive_distances(first, second)
        path = dynamic_time_warping_path(distances)
        found = align_frames(first, second, TIME_WARPING)
        for i in range(shape[0]):
            cells = [j for row, j in path if row == i]
            nearest = min(cells, key=lambda j: distances[i, j])
            assert found.indices[i] == nearest
            assert found.distances[i] == pytest.approx(distances[i, nearest])


@pytest.mark.parametrize("method", METHODS)
def test_the_same_recording_is_aligned_with_itself(method):
    frames = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    found = align_frames(frames, frames, method)
    np.testing.assert_array_equal(found.indices, np.arange(50))
    np.testing.assert_array_equal(found.distances, np.zeros(50))


@pytest.mark.parametrize("method", METHODS)
def test_a_slower_execution_is_aligned_with_a_faster_one(method):
    times = np.sort(np.random.default_rng(2).random(200))
    times[0], times[-1] = 0, 1
    slow, fast = curve(times), curve(np.linspace(0, 1, 60))
    found = align_frames(slow, fast, method)
    assert np.abs(found.indices - 59 * times).max() <= 1
    back = align_frames(fast, slow, method)
    assert np.abs(times[back.indices] - np.linspace(0, 1, 60)).max() <= 0.05


@pytest.mark.parametrize("method", METHODS)
def test_far_from_the_origin_in_single_precision(method):
    rng = np.random.default_rng(3)
    steps = rng.normal(size=(80, 3)).cumsum(axis=0)
    near = (steps + 0.01 * rng.normal(size=steps.shape)).astype(np.float32)
    shift = np.float32(1000)
    found = align_frames(steps.astype(np.float32) + shift, near + shift, method)
    np.testing.assert_array_equal(found.indices, align_frames(steps, near, method).indices)


def test_time_warping_never_goes_back_and_nearest_follows_another_order():
    first = np.repeat([[0.0], [1.0], [2.0]], 10, axis=0)
    second = np.repeat([[2.0], [0.0], [1.0]], 10, axis=0)
    nearest, warped = align_frames(first, second, NEAREST), align_frames(first, second, TIME_WARPING)
    np.testing.assert_array_equal(nearest.distances, np.zeros(30))
    assert (np.diff(nearest.indices) < 0).any()
    assert (np.diff(warped.indices) >= 0).all()
    assert warped.distances.max() > 0
    rng = np.random.default_rng(4)
    noise = align_frames(rng.normal(size=(100, 3)), rng.normal(size=(70, 3)), TIME_WARPING)
    assert (np.diff(noise.indices) >= 0).all()


def test_time_warping_never_holds_all_distances():
    frames = np.random.default_rng(5).normal(size=(3000, 2)).cumsum(axis=0).astype(np.float32)
    tracemalloc.start()
    align_frames(frames, frames, TIME_WARPING)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A byte for each pair, two blocks of distances and the path; the distances alone would take 72 MB.
    assert peak < 9e6 + 3 * 8 * (1 << 20) + 5e6


def test_what_does_not_fit_is_refused():
    frames = np.zeros((3, 2))
    with pytest.raises(ValueError, match="not by 'dtw'"):
        align_frames(frames, frames, "dtw")
    with pytest.raises(ValueError, match="expected embeddings"):
        align_frames(frames, np.zeros((3, 4)))
    with pytest.raises(ValueError, match="at least one frame"):
        align_frames(frames, np.zeros((0, 2)))
    with pytest.raises(ValueError, match="finite"):
        align_frames(frames, np.array([[0.0, np.nan]]), TIME_WARPING)
