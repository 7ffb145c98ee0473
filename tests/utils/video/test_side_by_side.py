import numpy as np
import pytest

from tests.utils.video.videos import timed
from utils.errors import DataError
from utils.video.side_by_side import GAP, side_by_side


def flat(levels, shape=(24, 24, 3)):
    return timed([np.full(shape, level, np.uint8) for level in levels])


def shown(pairs, first=range(0, 100, 10), second=range(200, 100, -10), height=24, **shapes):
    pictures = side_by_side(
        iter(flat(first, *shapes.get("first", ()))), iter(flat(second)), np.array(pairs), ["a", "b"], [1.0, 1.0], height
    )
    return list(pictures)


def test_each_frame_stands_beside_its_match_also_where_it_goes_back():
    pictures = shown([(0, 3), (2, 1), (3, 1), (9, 9)])
    assert len(pictures) == 4
    left = [picture[5, picture.shape[1] // 4].tolist() for picture in pictures]
    right = [picture[5, 3 * picture.shape[1] // 4].tolist() for picture in pictures]
    assert np.abs(np.array(left)[:, 0] - [0, 20, 30, 90]).max() <= 2
    assert np.abs(np.array(right)[:, 0] - [170, 190, 190, 110]).max() <= 2  # compressed in memory


def test_pictures_of_any_shape_have_one_height_and_even_sizes():
    (picture,) = side_by_side(
        flat([9], (240, 100, 3)), flat([9], (50, 200, 3)), np.array([(0, 0)]), ["a" * 99, "b"], [0.0, 1.0], 120
    )
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    assert picture.shape[1] == 2 * 240 + GAP


def test_a_recording_that_ends_too_early_is_named():
    with pytest.raises(DataError, match="b: there is no picture 10, which the alignment names"):
        shown([(0, 10)])
    with pytest.raises(DataError, match="a: 1 of 2 pictures"):
        shown([(0, 0), (10, 1)])
