"""Progress of pictures as they come: numbers without a picture, and answers that are those of the whole recording."""

import numpy as np
import pytest

from tests.prediction_runs import recording, write_checkpoint
from utils.errors import DataError
from utils.prediction.live import stream_pictures
from utils.prediction.predictor import ProgressPredictor
from utils.video.live import Latencies, LiveFrame


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    path = write_checkpoint(tmp_path_factory.mktemp("run"))
    return ProgressPredictor.from_checkpoint(path, "cook", "path")


def lines(predictor, numbers, frames, **options):
    """The lines where picture `number` is a row of features itself."""
    pairs = ((number, LiveFrame(number / 10, 0.0, frames[number])) for number in numbers)
    return list(stream_pictures(predictor, pairs, lambda frame: frame, 10.0, Latencies(), **options))


def test_the_lines_are_those_of_the_whole_recording(predictor):
    frames = recording(1, 20).numpy()
    header, *found = lines(predictor, range(20), frames)
    assert header == "frame,seconds,progress"
    numbers, seconds, progress = np.array([line.split(",") for line in found], dtype=float).T
    assert np.array_equal(numbers, np.arange(20))
    np.testing.assert_allclose(seconds, np.arange(20) / 10)
    np.testing.assert_allclose(progress, predictor.predict(frames), atol=1e-5)


def test_a_number_without_a_picture_repeats_the_one_before_it_and_the_first_the_first(predictor):
    frames = recording(1, 20).numpy()
    came = [2, 3, 7, 19]
    shown = frames[[2, 2, 2, 3, 3, 3, 3] + [7] * 12 + [19]]
    _, *found = lines(predictor, came, frames)
    progress = [float(line.split(",")[2]) for line in found]
    np.testing.assert_allclose(progress, predictor.predict(shown), atol=1e-5)


def test_every_picture_is_watched_and_timed(predictor):
    frames, watched, times = recording(1, 6).numpy(), [], iter(range(100))
    latencies = Latencies(lambda: next(times))
    pairs = ((number, LiveFrame(0.0, 0.0, frames[number])) for number in (0, 1, 5))
    list(stream_pictures(predictor, pairs, lambda frame: frame, 10.0, latencies, watched.append))
    assert np.array_equal(watched, frames[[0, 1, 5]])
    assert latencies.count == 3


def test_a_stream_without_a_picture_is_an_error(predictor):
    with pytest.raises(DataError, match="there is no frame"):
        lines(predictor, [], [])
