import numpy as np
import pytest
from matplotlib.figure import Figure

from utils.figures.time_axis import MOST_TICKS, label_time_axis


def ticks(frames, rate):
    axes = Figure().subplots()
    label_time_axis(axes, frames, rate)
    return axes.get_xticks(), [label.get_text() for label in axes.get_xticklabels()], axes.get_xlabel()


def test_without_a_rate_frames_are_counted():
    positions, _, label = ticks(50, None)
    assert label == "frame"
    assert (positions == positions.round()).all()


@pytest.mark.parametrize(
    ("frames", "rate", "expected", "name"),
    [
        (101, 25, ["0", "0.5", "1", "1.5", "2", "2.5", "3", "3.5", "4"], "time (seconds)"),
        (3001, 10, ["0:00", "1:00", "2:00", "3:00", "4:00", "5:00"], "time (minutes:seconds)"),
        (1, 10, ["0"], "time (seconds)"),
    ],
)
def test_with_a_rate_round_seconds_are_told_where_they_are(frames, rate, expected, name):
    positions, labels, label = ticks(frames, rate)
    assert (labels, label) == (expected, name)
    np.testing.assert_allclose(positions / rate, np.linspace(0, (frames - 1) / rate, len(expected)))


@pytest.mark.parametrize("rate", [1e-6, 0.01, 1, 29.97, 1e6])
@pytest.mark.parametrize("frames", [1, 2, 977, 10**6])
def test_any_length_has_some_ticks_inside(frames, rate):
    positions, labels, _ = ticks(frames, rate)
    assert 1 <= len(positions) == len(labels) <= MOST_TICKS + 1 or rate == 1e6
    assert positions[0] == 0
    assert positions[-1] <= frames - 1 + 1e-6


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="frames_per_second"):
        ticks(5, rate)
