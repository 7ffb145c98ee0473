import numpy as np
import pytest

from tests.labelled_recordings import BACKGROUND, recording_of, recordings_of, time_dict_of
from utils.prediction.readouts.recording import LabelledRecording, action_labels, labels_of
from utils.tensorops import get_trueprogress


def test_segments_labels_and_progress_of_each_frame():
    recording = recording_of([BACKGROUND, "cut", "mix"], [2, 3, 1])
    assert len(recording) == 6
    assert recording.segments == [(BACKGROUND, 0, 2), ("cut", 2, 5), ("mix", 5, 6)]
    assert recording.counts.tolist() == [False, True, True]
    assert recording.labels_of_frames(["mix", "cut"]).tolist() == [-1, -1, 1, 1, 1, 0]
    assert recording.progress.dtype == np.float64
    np.testing.assert_array_equal(recording.progress, get_trueprogress(recording.time_dict).numpy())


def test_labels_of_several_recordings():
    recordings = recordings_of(3)
    assert labels_of(recordings) == (BACKGROUND, "cut", "mix", "pour")
    assert action_labels(recordings) == {"cut", "mix", "pour"}


@pytest.mark.parametrize("frames", [5, 7, 0])
def test_frames_that_do_not_fit_the_segments_are_refused(frames):
    with pytest.raises(ValueError, match=r"recording 'a' has .* frames, its segments 6"):
        LabelledRecording("a", np.zeros((frames, 2)), time_dict_of(["cut", "mix"], [2, 4]))
