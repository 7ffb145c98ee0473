import numpy as np
import pytest

from tests.utils.metrics.annotations import annotation, frame_labels, random_annotation, valid_frames
from utils.metrics import valid_alignment


@pytest.mark.parametrize("seed", range(20))
def test_matches_the_definition_frame_by_frame(seed):
    rng = np.random.default_rng(seed)
    first, second = random_annotation(rng), random_annotation(rng)
    alignment = valid_alignment(first, second)
    expected = [valid_frames(first, second, i) for i in range(len(frame_labels(first)))]
    assert alignment.alignable.tolist() == [i for i, frames in enumerate(expected) if frames]
    for row, frame in enumerate(alignment.alignable):
        assert alignment.position[row][alignment.valid[row]].tolist() == expected[frame]
        assert alignment.earliest[row] == min(expected[frame])
        assert alignment.latest[row] == max(expected[frame])
    shared = set(first["step"]) - {"SIL"}
    assert alignment.alignable_other.tolist() == [label in shared for label in frame_labels(second)]


def test_a_video_is_aligned_with_itself():
    video = annotation(("a", 5), ("SIL", 2), ("b", 1), ("c", 4))
    alignment = valid_alignment(video, video)
    np.testing.assert_array_equal(alignment.earliest, alignment.alignable)
    np.testing.assert_array_equal(alignment.latest, alignment.alignable)


def test_segments_stretch_from_end_to_end_and_a_single_frame_meets_the_middle():
    alignment = valid_alignment(annotation(("a", 3), ("b", 1)), annotation(("b", 5), ("a", 5)))
    assert alignment.earliest.tolist() == [5, 7, 9, 2]


def test_nothing_is_alignable_without_a_common_action():
    alignment = valid_alignment(annotation(("a", 3), ("SIL", 2)), annotation(("b", 4), ("SIL", 1)))
    assert len(alignment.alignable) == 0
    assert not alignment.alignable_other.any()
    assert len(alignment.earliest) == len(alignment.latest) == 0
