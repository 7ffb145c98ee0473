import numpy as np
import pytest
import torch

from utils.metrics.bootstrap import percentile_interval, resample_counts, resampled_means


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_counts_draw_as_many_videos_as_there_are_and_repeat_with_the_seed():
    counts = resample_counts(7, 500, generator())
    assert counts.shape == (500, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert counts.mean() == pytest.approx(1)
    np.testing.assert_array_equal(counts, resample_counts(7, 500, generator()))


def test_means_match_drawing_videos_one_by_one():
    rng = np.random.default_rng(0)
    values, counts = rng.random(6), resample_counts(6, 50, generator())
    values[2] = np.nan
    for mean, count in zip(resampled_means(values, counts), counts, strict=True):
        drawn = np.repeat(values, count.astype(int))
        assert mean == pytest.approx(np.nanmean(drawn))


def test_pair_means_match_drawing_videos_and_pairing_different_ones():
    rng = np.random.default_rng(1)
    values, counts = rng.random((5, 5)), resample_counts(5, 40, generator())
    values[1, 3] = np.nan
    for mean, count in zip(resampled_means(values, counts), counts, strict=True):
        drawn = np.repeat(np.arange(5), count.astype(int))
        pairs = [values[i, j] for i in drawn for j in drawn if i != j and not np.isnan(values[i, j])]
        assert np.isnan(mean) if not pairs else mean == pytest.approx(np.mean(pairs))


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    counts = resample_counts(30, 400, generator())
    covered = 0
    for _ in range(200):
        low, high = percentile_interval(resampled_means(rng.normal(size=30), counts))
        covered += low <= 0 <= high
    assert 0.87 <= covered / 200 <= 0.99


def test_equal_values_have_an_interval_of_no_width_and_none_has_none():
    assert percentile_interval(resampled_means(np.full(5, 0.25), resample_counts(5, 20, generator()))) == (
        0.25,
        0.25,
    )
    with pytest.raises(ValueError, match="no resample"):
        percentile_interval(np.full(4, np.nan))
