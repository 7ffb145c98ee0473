import math

import numpy as np
import pytest

from utils.metrics import progress_error


def test_by_hand_and_by_loop():
    prediction, truth = np.array([0.0, 0.5, 1.0, 0.2]), np.array([0.1, 0.5, 0.4, 1.0])
    assert progress_error(prediction, truth) == pytest.approx((0.1 + 0 + 0.6 + 0.8) / 4)
    assert progress_error(prediction, truth, np.array([True, False, True, False])) == pytest.approx(0.35)


def test_perfect_prediction_nothing_counted_and_unequal_lengths():
    truth = np.linspace(0, 1, 9)
    assert progress_error(truth, truth) == 0
    assert math.isnan(progress_error(truth, truth, np.zeros(9, dtype=bool)))
    with pytest.raises(ValueError, match="shape"):
        progress_error(truth, truth[:1])
