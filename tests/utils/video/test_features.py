"""Features of videos: sampling, motion, cameras, and the same bytes however they are computed."""

import numpy as np
import pytest

from tests.utils.video.clips import STEP, picture, write_clip
from utils.errors import DataError
from utils.video.encoders import make_encoder
from utils.video.features import FeatureMaker, encoder_of, feature_rows, feature_shape, kind_of


class Mean:
    """The mean grey value, in steps of `clips.picture`: a picture's number."""

    description, name, size, resize, shape, with_motion = "mean", "mean", (8, 8), "stretch", (1,), False

    def __init__(self):
        self.calls = 0

    def encode(self, pixels):
        self.calls += len(pixels)
        return (pixels.reshape(len(pixels), -1).mean(1, keepdims=True) / STEP).astype(np.float32)


def rows_of(*paths, rate=10, motion=False, threads=1, encoder=None):
    return np.stack(list(feature_rows(paths, encoder or Mean(), rate, motion, threads)))


def test_a_row_a_sample(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 12, rate=10)
    np.testing.assert_allclose(rows_of(clip)[:, 0], np.arange(12), atol=0.2)
    np.testing.assert_allclose(rows_of(clip, rate=5)[:, 0], np.arange(0, 12, 2), atol=0.2)


def test_motion_is_the_difference_to_the_row_before(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [picture(number) for number in (0, 1, 4, 4, 2)])
    plain, motion = rows_of(clip), rows_of(clip, motion=True)
    assert feature_shape(Mean(), motion=True) == (2,)
    np.testing.assert_array_equal(motion[:, :1], plain)
    np.testing.assert_array_equal(motion[:, 1:], np.diff(plain, axis=0, prepend=plain[:1]))


@pytest.mark.parametrize("threads", [2, 5])
@pytest.mark.parametrize("rate", [5, 10, 30])
def test_the_same_bytes_for_any_number_of_threads(tmp_path, threads, rate):
    clip = write_clip(tmp_path / "a.mp4", 20)
    encoder = make_encoder("pixels")
    one, several = (rows_of(clip, rate=rate, motion=True, threads=n, encoder=encoder) for n in (1, threads))
    assert one.tobytes() == several.tobytes()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_picture_that_lasts_for_several_samples_is_encoded_once(tmp_path, threads):
    encoder = Mean()
    clip = write_clip(tmp_path / "a.mp4", 6, rate=2)
    rows = rows_of(clip, rate=20, threads=threads, encoder=encoder)
    assert len(rows) == 60
    assert encoder.calls == 6


def test_cameras_are_concatenated_and_the_longer_one_cut(tmp_path):
    first = write_clip(tmp_path / "a.mp4", 12)
    second = write_clip(tmp_path / "b.mp4", [picture(20 - number) for number in range(14)])
    rows = rows_of(first, second, motion=True)
    assert rows.shape == (12, 4)
    np.testing.assert_allclose(rows[:, 0], np.arange(12), atol=0.2)
    np.testing.assert_allclose(rows[:, 2], 20 - np.arange(12), atol=0.2)
    assert feature_shape(Mean(), True, 2) == (4,)


@pytest.mark.parametrize("swapped", [False, True])
def test_cameras_of_different_lengths_are_refused(tmp_path, swapped):
    paths = [write_clip(tmp_path / "short.mp4", 10), write_clip(tmp_path / "long.mp4", 20)]
    with pytest.raises(DataError, match=r"long.mp4: has 20 frames .*short.mp4 has 10"):
        rows_of(*(paths[::-1] if swapped else paths))


def test_a_live_maker_gives_the_rows_of_the_file(tmp_path):
    from utils.video.decoding import read_pictures

    clip = write_clip(tmp_path / "a.mp4", 10)
    encoder = make_encoder("pixels")
    maker = FeatureMaker(encoder)
    live = np.stack([maker.add(one.pixels) for one in read_pictures(clip, 10, encoder.size)])
    assert live.tobytes() == rows_of(clip, encoder=encoder).tobytes()
    assert maker.shape == live.shape[1:] == (512,)  # pixels always come with their differences


def test_features_of_another_encoder_are_refused():
    kind = kind_of(make_encoder("pixels"), 10)
    assert kind.motion
    assert encoder_of(kind).name == kind.encoder_name
    with pytest.raises(DataError, match="pixels 8x8 stretch here; expected pixels 16x16 stretch"):
        encoder_of(kind, "pixels,size=8")
