import numpy as np
import pytest

from utils.metrics.cycle_consistency import cycle_consistency
from utils.metrics.nearest_neighbours import nearest_neighbours


def test_by_loops():
    returned = np.random.default_rng(0).integers(0, 41, (5, 41))
    for row, share in zip(returned, cycle_consistency(returned), strict=True):
        assert share == pytest.approx(sum(abs(int(back) - i) <= 0.05 * 40 for i, back in enumerate(row)) / 41)


def test_a_video_and_itself_collapsed_and_turned_round():
    video = np.arange(30.0)[:, None]
    there, back = nearest_neighbours(video, video)
    assert cycle_consistency(back[there][None])[0] == 1
    there, back = nearest_neighbours(video, video[::-1].copy())
    assert cycle_consistency(back[there][None])[0] == 1, "a cycle doesn't know the order"
    there, back = nearest_neighbours(0 * video, 0 * video)
    assert cycle_consistency(back[there][None])[0] < 0.1


def test_one_frame_has_no_figure():
    assert np.isnan(cycle_consistency(np.zeros((2, 1), dtype=int))).all()
