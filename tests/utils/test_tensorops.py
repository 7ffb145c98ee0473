"""Progress of one sequence, against loops written straight from the definitions."""

import math

import numpy as np
import pytest
import torch

from utils.data.frame_segments import action_frames
from utils.tensorops import (
    get_cum_matrix,
    get_normalized_predicted_progress_action,
    get_normalized_predicted_progress_video,
    get_trueprogress,
    get_trueprogress_per_action,
    mean_total_path,
    path_length,
    share_of,
)

PLAN_TIMES = {"step": ["action1", "SIL", "action2"], "start_frame": [0, 40, 60], "end_frame": [39, 59, 99]}


def naive_path(features):
    path = [0.0]
    for before, after in zip(features[:-1].tolist(), features[1:].tolist(), strict=True):
        path.append(path[-1] + math.dist(before, after))
    return torch.tensor(path, dtype=features.dtype)


def naive_predicted_action(features, time_dict):
    """The plan's own loop over segments."""
    predicted = torch.zeros(len(features))
    for step, start, end in zip(
        *(time_dict[key] for key in ("step", "start_frame", "end_frame")), strict=True
    ):
        start, end = (max(0, min(frame, len(features) - 1)) for frame in (start, end))
        segment = features[start : end + 1]
        if step in ("SIL", "background"):
            predicted[start : end + 1] = 0
        elif len(segment) < 2:
            predicted[start : end + 1] = 0.5
        else:
            path = naive_path(segment)
            linear = torch.linspace(0, 1, len(segment))
            predicted[start : end + 1] = path / path[-1] if path[-1] > 0 else linear
    return predicted


def naive_truth(time_dict):
    actions = [step not in ("SIL", "background") for step in time_dict["step"]]
    truth, done = [], 0
    for is_action, start, end in zip(actions, time_dict["start_frame"], time_dict["end_frame"], strict=True):
        length = end - start + 1
        for position in range(length):
            inside = 0.5 if length == 1 else position / (length - 1)
            truth.append((done + inside * is_action) / max(sum(actions), 1))
        done += is_action
    return torch.tensor(truth)


def random_times(generator, number_of_segments):
    lengths = torch.randint(1, 8, (number_of_segments,), generator=generator)
    ends = torch.cumsum(lengths, 0) - 1
    background = torch.rand(number_of_segments, generator=generator) < 0.3
    return {
        "step": ["SIL" if silent else f"step{i % 3}" for i, silent in enumerate(background)],
        "start_frame": (ends - lengths + 1).tolist(),
        "end_frame": ends.tolist(),
        "name": "video",
    }


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_loops(seed):
    generator = torch.Generator().manual_seed(seed)
    time_dict = random_times(generator, number_of_segments=1 + seed)
    features = torch.randn(time_dict["end_frame"][-1] + 1, 4, generator=generator)

    torch.testing.assert_close(get_cum_matrix(features), naive_path(features))
    torch.testing.assert_close(
        get_normalized_predicted_progress_action(features, time_dict),
        naive_predicted_action(features, time_dict),
    )
    torch.testing.assert_close(get_trueprogress(time_dict), naive_truth(time_dict))


def test_out_of_range_and_uncovered_frames_follow_the_plan():
    features = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    time_dict = {"step": ["a", "b", "c"], "start_frame": [1, 6, 20], "end_frame": [3, 15, 30]}
    torch.testing.assert_close(
        get_normalized_predicted_progress_action(features, time_dict),
        naive_predicted_action(features, time_dict),
    )


def test_path_length_starts_at_zero_never_falls_and_adds_up():
    features = torch.randn(50, 8)
    path = get_cum_matrix(features)
    assert path[0] == 0
    assert (path[1:] >= path[:-1]).all()
    torch.testing.assert_close(path[20] + get_cum_matrix(features[20:])[-1], path[-1])
    torch.testing.assert_close(get_cum_matrix(3 * features), 3 * path)


def test_video_progress_runs_from_zero_to_one():
    progress = get_normalized_predicted_progress_video(torch.randn(30, 4))
    assert progress[0] == 0
    assert progress[-1] == 1
    assert (progress.diff() >= 0).all()


def test_equal_frames_give_linear_progress_and_a_finite_gradient():
    features = torch.ones(11, 4, requires_grad=True)
    progress = get_normalized_predicted_progress_video(features)
    torch.testing.assert_close(progress, torch.linspace(0, 1, 11))
    progress.sum().backward()
    assert torch.isfinite(features.grad).all()

    half_still = torch.cat([torch.zeros(5, 4), torch.randn(5, 4)]).requires_grad_()
    times = {"step": ["a", "b"], "start_frame": [0, 5], "end_frame": [4, 9]}
    progress = get_normalized_predicted_progress_action(half_still, times)
    torch.testing.assert_close(progress[:5], torch.linspace(0, 1, 5))
    progress.sum().backward()
    assert torch.isfinite(half_still.grad).all()


def test_plan_level_picture():
    """The plan's picture: background holds the value reached; at action level it is 0."""
    truth = get_trueprogress(PLAN_TIMES)
    assert truth[0] == 0
    torch.testing.assert_close(truth[39:61], torch.full((22,), 0.5))
    assert truth[-1] == 1

    features = torch.randn(100, 128)
    for progress in (
        get_trueprogress_per_action(PLAN_TIMES),
        get_normalized_predicted_progress_action(features, PLAN_TIMES),
    ):
        for start, end in ((0, 39), (60, 99)):
            assert progress[start] == 0
            assert progress[end] == 1
            assert (progress[start : end + 1].diff() >= 0).all()
        assert (progress[40:60] == 0).all()


def test_one_frame_action_stands_at_its_middle():
    times = {"step": ["a", "b", "c"], "start_frame": [0, 4, 5], "end_frame": [3, 4, 9]}
    assert get_trueprogress_per_action(times)[4] == 0.5
    assert get_normalized_predicted_progress_action(torch.randn(10, 2), times)[4] == 0.5
    torch.testing.assert_close(get_trueprogress(times)[4], torch.tensor(0.5))


def test_perfect_embedding_predicts_the_truth_at_action_level():
    truth = get_trueprogress_per_action(PLAN_TIMES)
    embedding = torch.zeros(100, 2)
    embedding[:40, 0] = truth[:40]
    embedding[60:, 1] = truth[60:]
    torch.testing.assert_close(get_normalized_predicted_progress_action(embedding, PLAN_TIMES), truth)


def test_video_without_action_has_no_progress():
    times = {"step": ["SIL"], "start_frame": [0], "end_frame": [9]}
    assert (get_trueprogress(times) == 0).all()
    assert (get_trueprogress_per_action(times) == 0).all()
    assert not action_frames(times, 10).any()


def test_one_frame():
    assert get_cum_matrix(torch.randn(1, 3)).tolist() == [0]
    assert get_normalized_predicted_progress_video(torch.randn(1, 3)).tolist() == [0]


@pytest.mark.parametrize(
    "function",
    [
        get_cum_matrix,
        get_normalized_predicted_progress_video,
        lambda features: get_normalized_predicted_progress_action(
            features, {"step": ["a", "SIL", "b"], "start_frame": [0, 3, 4], "end_frame": [2, 3, 7]}
        ),
    ],
)
def test_gradient(function):
    features = torch.randn(
        8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True
    )
    assert torch.autograd.gradcheck(function, features)


def test_one_frame_passes_no_gradient():
    features = torch.randn(1, 3, requires_grad=True)
    get_cum_matrix(features).sum().backward()
    assert features.grad.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_shows(value):
    features = torch.randn(6, 3)
    features[3, 1] = value
    features.requires_grad_()
    path = get_cum_matrix(features)
    assert torch.isfinite(path[:3]).all()
    assert not torch.isfinite(path[3:]).any()
    path.sum().backward()
    assert not torch.isfinite(features.grad[3, 1])


def test_frames_need_not_lie_side_by_side():
    features = torch.randn(4, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    strided = features.T[::2].requires_grad_()
    torch.testing.assert_close(get_cum_matrix(strided), get_cum_matrix(strided.detach().clone()))
    assert torch.autograd.gradcheck(get_cum_matrix, strided)


def test_half_precision_works():
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(4)).bfloat16()
    torch.testing.assert_close(get_cum_matrix(features).float(), get_cum_matrix(features.float()), rtol=0.05, atol=0)


def test_long_video_keeps_its_precision():
    features = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(2)) + 100
    exact = get_cum_matrix(features.double())
    torch.testing.assert_close(get_cum_matrix(features).double(), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", [(1, 3), (2, 3), (700, 4), (30, 2, 3, 3)])
def test_path_length_is_get_cum_matrix_in_blocks(shape):
    features = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    expected = get_cum_matrix(features.flatten(1).double())
    for block in (1, 7, 256):
        np.testing.assert_allclose(path_length(features, block=block), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", [torch.as_tensor, torch.Tensor.numpy])
def test_path_length_goes_on_from_the_last_frame(kind):
    features = torch.randn(20, 3, generator=torch.Generator().manual_seed(5))
    whole, frames = path_length(features), kind(features)
    begun = path_length(frames[:8])
    np.testing.assert_allclose(begun, whole[:8], rtol=1e-12)
    going_on = path_length(frames[8:], frames[7:8], begun[-1], block=5)
    np.testing.assert_allclose(going_on, whole[8:], rtol=1e-12)
    assert path_length(frames[:0], frames[7:8], 3.0).shape == (0,)


def test_path_length_takes_arrays_as_files_hold_them():
    features = np.arange(30.0).reshape(10, 3) ** 2
    expected = path_length(features)
    frozen = features.copy()
    frozen.flags.writeable = False
    for frames in (frozen, features[::-1][::-1], features.astype(">f4"), np.asfortranarray(features)):
        np.testing.assert_allclose(path_length(frames), expected, rtol=1e-6)


def test_mean_total_path_is_of_whole_recordings_or_of_stretches():
    paths = [np.array([0.0, 1.0, 4.0]), np.array([0.0, 2.0])]
    assert mean_total_path(iter(paths)) == 3
    assert mean_total_path(path[1:] for path in paths) == 1.5


def test_share_is_clamped_and_has_no_division_by_zero():
    part = np.array([0.0, 1.0, 3.0])
    assert share_of(part, 2.0).tolist() == [0, 0.5, 1]
    assert share_of(part, 0.0).tolist() == [0, 1, 1]
    assert share_of(part, np.array([0.0, 0.0, 6.0])).tolist() == [0, 1, 0.5]
