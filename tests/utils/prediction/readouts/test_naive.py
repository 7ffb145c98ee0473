"""Guesses that count frames, by loops."""

import numpy as np
import pytest

from tests.contracts.readouts import check_readout
from utils.prediction.readouts.naive import CountReadout, fit_clock, fit_index

CURVES = [np.linspace(0, 1, 4), np.linspace(0, 0.8, 7) ** 2, np.array([0.5])]


def test_index_is_the_mean_truth_at_the_same_frame_and_1_past_the_longest():
    found = fit_index(CURVES).start().update(np.zeros((20, 2)))
    for frame in range(20):
        at = [curve[frame] for curve in CURVES if frame < len(curve)]
        assert found[frame] == pytest.approx(np.mean(at) if at else 1.0)


def test_clock_is_time_over_the_mean_length():
    found = fit_clock(CURVES).start().update(np.zeros((20, 2)))
    np.testing.assert_allclose(found, [min(1, frame / 4) for frame in range(20)])


@pytest.mark.parametrize("lengths", [(1,), (5, 6), (3, 3, 4), (200, 401)])
def test_clock_of_a_mean_length_that_is_no_whole_number(lengths):
    found = fit_clock([np.zeros(length) for length in lengths]).start().update(np.zeros((500, 1)))
    np.testing.assert_allclose(found, np.minimum(1, np.arange(500) / np.mean(lengths)))


@pytest.mark.parametrize("fit", [fit_index, fit_clock])
def test_guesses_keep_the_contracts_of_read_outs(fit):
    check_readout(fit(CURVES))
    check_readout(fit([np.linspace(0, 1, 150), np.linspace(0, 1, 250)]))


def test_a_curve_of_one_value():
    check_readout(CountReadout(np.array([0.3])))
