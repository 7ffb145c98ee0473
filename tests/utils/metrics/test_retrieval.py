import math

import numpy as np
import pytest

import utils.metrics.retrieval as module
from utils.metrics.retrieval import frame_retrieval, retrieval_by_chance


def random_recordings(rng, lengths=(7, 12, 1, 9), width=3, classes=3):
    labels = [rng.integers(-1, classes, size=n) for n in lengths]
    return [rng.normal(size=(n, width)) for n in lengths], labels


def naive_retrieval(embeddings, labels, number, ranked):
    """By loops over recordings, frames and ranks."""
    figures = []
    for i, (frames, own) in enumerate(zip(embeddings, labels, strict=True)):
        of_frames = []
        for frame, label in zip(frames, own, strict=True):
            candidates = [
                (np.linalg.norm(frame - other), other_label)
                for j in range(len(embeddings))
                if j != i
                for other, other_label in zip(embeddings[j], labels[j], strict=True)
                if other_label >= 0
            ]
            if label < 0 or not candidates:
                continue
            same = [other_label == label for _, other_label in sorted(candidates)[:number]]
            if ranked:
                precisions = [sum(same[: k + 1]) / (k + 1) for k in range(len(same)) if same[k]]
                of_frames.append(sum(precisions) / len(precisions) if precisions else 0.0)
            else:
                of_frames.append(sum(same) / len(same))
        figures.append(sum(of_frames) / len(of_frames) if of_frames else math.nan)
    return figures


@pytest.mark.parametrize("ranked", [False, True])
@pytest.mark.parametrize("block", [1, 4, 1024])
def test_retrieval_matches_naive_loops(ranked, block, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_BLOCK", block)
    for seed in range(5):
        embeddings, labels = random_recordings(np.random.default_rng(seed))
        found = frame_retrieval(embeddings, labels, (1, 3, 15, 100), ranked)
        for number, figures in zip((1, 3, 15, 100), found, strict=True):
            np.testing.assert_allclose(figures, naive_retrieval(embeddings, labels, number, ranked))


def test_recordings_far_from_the_origin_match_naive_loops():
    rng = np.random.default_rng(1)
    embeddings, labels = random_recordings(rng, (40, 30, 20), width=8)
    for kind in (np.float64, np.float32):
        moved = [(frames + 1000).astype(kind) for frames in embeddings]
        naive = naive_retrieval([frames.astype(np.float64) for frames in moved], labels, 5, False)
        np.testing.assert_allclose(frame_retrieval(moved, labels, (5,))[0], naive, atol=1e-12)


def test_told_apart_is_one_and_mixed_up_is_zero():
    labels = [np.repeat([0, 1], 20)] * 3
    embeddings = [np.eye(2)[own] + 0.01 * np.random.default_rng(i).random((40, 2)) for i, own in enumerate(labels)]
    np.testing.assert_array_equal(frame_retrieval(embeddings, labels), np.ones((3, 3)))
    swapped = [embeddings[0][::-1], embeddings[1]]
    np.testing.assert_array_equal(frame_retrieval(swapped, labels[:2]), np.zeros((3, 2)))


def test_frames_of_the_same_recording_are_not_found():
    # Every frame has a copy of its label in its own recording, and only other labels elsewhere.
    embeddings = [np.zeros((20, 2)), np.ones((20, 2))]
    labels = [np.zeros(20, dtype=int), np.ones(20, dtype=int)]
    np.testing.assert_array_equal(frame_retrieval(embeddings, labels), np.zeros((3, 2)))


def test_background_takes_no_part():
    rng = np.random.default_rng(2)
    embeddings, labels = random_recordings(rng, (20, 20, 20))
    actions = [own >= 0 for own in labels]
    expected = frame_retrieval(
        [frames[keep] for frames, keep in zip(embeddings, actions, strict=True)],
        [own[keep] for own, keep in zip(labels, actions, strict=True)],
    )
    np.testing.assert_allclose(frame_retrieval(embeddings, labels), expected)


def test_what_has_no_figure():
    background, action, frames = np.full(4, -1), np.zeros(4, dtype=int), np.ones((4, 2))
    assert np.isnan(frame_retrieval([frames, frames], [background, background])).all()
    assert np.isnan(frame_retrieval([frames], [action])).all()
    found = frame_retrieval([frames, frames, frames], [action, background, action])
    np.testing.assert_array_equal(np.isnan(found), [[False, True, False]] * 3)
    np.testing.assert_array_equal(np.isnan(retrieval_by_chance([action, background, action])), [False, True, False])
    assert np.isnan(retrieval_by_chance([background, background])).all()


def test_retrieval_does_not_change_under_shift_scale_and_rotation():
    rng = np.random.default_rng(3)
    embeddings, labels = random_recordings(rng, (30, 30, 30), width=4)
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    moved = [3 * frames @ rotation + 5 for frames in embeddings]
    np.testing.assert_allclose(frame_retrieval(moved, labels), frame_retrieval(embeddings, labels))


def test_frames_found_at_random_are_right_as_often_as_chance_says():
    rng = np.random.default_rng(4)
    labels = [rng.choice(4, size=400, p=[0.6, 0.2, 0.1, 0.1]) for _ in range(6)]
    found = frame_retrieval([rng.normal(size=(400, 6)) for _ in labels], labels)
    np.testing.assert_allclose(found, np.tile(retrieval_by_chance(labels), (3, 1)), atol=0.03)


def test_chance_by_counting_pairs():
    _, labels = random_recordings(np.random.default_rng(5), (16, 19, 14))
    for i, chance in enumerate(retrieval_by_chance(labels)):
        others = [x for j, other in enumerate(labels) if j != i for x in other if x >= 0]
        own = [x for x in labels[i] if x >= 0]
        assert chance == pytest.approx(np.mean([x == y for x in own for y in others]))


def test_what_does_not_fit_is_refused():
    frames, labels = [np.zeros((3, 2))] * 2, [np.zeros(3, dtype=int)] * 2
    with pytest.raises(ValueError, match="at least 1"):
        frame_retrieval(frames, labels, (0, 5))
    with pytest.raises(ValueError, match="at least 1"):
        frame_retrieval(frames, labels, ())
    with pytest.raises(ValueError, match="expected embeddings"):
        frame_retrieval(frames, [labels[0], labels[0][:2]])
    with pytest.raises(ValueError, match="expected embeddings"):
        frame_retrieval([np.zeros((3, 2)), np.zeros((3, 4))], labels)
