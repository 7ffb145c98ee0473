import numpy as np
import pytest

from utils.evaluation import step_discovery
from utils.evaluation.step_discovery import Discovery, discover_steps, equal_parts, transport_to_centres
from utils.metrics.key_steps import task_key_step_f1
from utils.registry import SEGMENTATIONS

pytest.importorskip("sklearn")


def videos_of_steps(order=(0, 1, 2), noise=0.1, seed=0, lengths=(40, 30, 35)):
    """Frames of three well separated steps, and their labels."""
    generator = np.random.default_rng(seed)
    labels = [np.repeat(order, [length // 3, length // 3, length - 2 * (length // 3)]) for length in lengths]
    centres = 3 * np.eye(3, 5)
    return [centres[own] + noise * generator.normal(size=(len(own), 5)) for own in labels], labels


@pytest.mark.parametrize("method", SEGMENTATIONS)
def test_separate_steps_are_found_in_other_videos(method):
    fitted, _ = videos_of_steps()
    judged, labels = videos_of_steps(seed=1)
    found = discover_steps(fitted, judged, Discovery(3, method))
    assert [len(each) for each in found] == [len(each) for each in labels]
    np.testing.assert_array_equal(task_key_step_f1(found, labels), 1)


@pytest.mark.parametrize("method", SEGMENTATIONS)
def test_same_seed_same_steps_and_inputs_are_left_alone(method):
    fitted, _ = videos_of_steps(noise=2.0)
    copies = [each.copy() for each in fitted]
    first, second = (discover_steps(fitted, fitted, Discovery(4, method), seed=3) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(fitted, copies, strict=True):
        np.testing.assert_array_equal(one, other)


def test_transport_makes_fewer_segments_than_kmeans():
    videos, _ = videos_of_steps(noise=1.8, lengths=(150, 120))
    changes = {
        method: sum(int((np.diff(each) != 0).sum()) for each in discover_steps(videos, videos, Discovery(3, method)))
        for method in SEGMENTATIONS
    }
    assert changes["transport"] < 0.5 * changes["kmeans"]


def test_transport_by_loops(monkeypatch):
    monkeypatch.setattr(step_discovery, "ITERATIONS", 3)
    monkeypatch.setattr(step_discovery, "RADIUS", 0.2)
    costs = np.random.default_rng(0).random((11, 3))
    alpha, eps = step_discovery.STRUCTURE, step_discovery.REGULARIZATION
    plan = [[1 / 3] * 3 for _ in range(11)]
    for _ in range(3):
        new = []
        for t in range(11):
            window = [s for s in range(11) if abs(s - t) <= 2]
            near = [sum(plan[s][k] for s in window) / len(window) for k in range(3)]
            weight = [np.exp(-((1 - alpha) * costs[t, k] - alpha * near[k]) / eps) for k in range(3)]
            new.append([each / sum(weight) for each in weight])
        plan = new
    np.testing.assert_allclose(-transport_to_centres(costs), plan)


@pytest.mark.parametrize("method", SEGMENTATIONS)
@pytest.mark.parametrize("number", [1, 2, 50])
def test_hostile_videos(method, number):
    still = [np.zeros((6, 4)), np.zeros((1, 4))]
    few = [np.eye(4)[:2], np.eye(4)[:1]]
    for videos in (still, few):
        found = discover_steps(videos, videos, Discovery(number, method))
        assert all(((each >= 0) & (each < number)).all() for each in found)


def test_only_some_frames_of_many_are_clustered(monkeypatch):
    monkeypatch.setattr(step_discovery, "MOST_FRAMES_CLUSTERED", 30)
    videos, labels = videos_of_steps()
    assert task_key_step_f1(discover_steps(videos, videos, Discovery(3)), labels).mean() == 1


def test_equal_parts():
    assert equal_parts(7, 3).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert equal_parts(2, 5).tolist() == [0, 2]
    assert equal_parts(0, 3).tolist() == []


@pytest.mark.parametrize("settings", [{"number": 0}, {"method": "spectral"}])
def test_what_is_refused(settings):
    with pytest.raises(ValueError, match="expected"):
        Discovery(**settings)
