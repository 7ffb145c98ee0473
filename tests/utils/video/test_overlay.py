"""What is drawn on pictures: where, how long, and that it can be read."""

import numpy as np
import pytest
from PIL import ImageColor

from utils.video.decoding import Picture
from utils.video.lettering import EMPTY, FILL, length, shortened
from utils.video.overlay import DOUBT, WARNING, ProgressTrack, overlay, remaining_in_words, shown_size, sure_in_words


def colour_share(picture, colour):
    """Columns in which a colour occurs."""
    return (picture == np.array(ImageColor.getrgb(colour))).all(axis=2).any(axis=0)


def track(progress, **more):
    return ProgressTrack(np.arange(len(progress)) / 10, np.array(progress), **more)


def drawn(found, time=0.0, shape=(120, 160, 3), level=128):
    return next(overlay([Picture(time, np.full(shape, level, np.uint8))], found))


@pytest.mark.parametrize(
    ("size", "shown", "width"),
    [
        ((160, 160), (480, 480), 480), ((1920, 1080), (1280, 720), 1280), ((1080, 1920), (720, 1280), 720),
        ((3840, 2160), (1280, 720), 1280), ((641, 481), (640, 480), 640),
        ((50, 2000), (32, 1280), 480), ((1, 1), (480, 480), 480),
    ],
)  # fmt: skip
def test_small_pictures_are_enlarged_and_large_ones_reduced(size, shown, width):
    assert shown_size(*size) == (shown, width)


def test_the_picture_stays_whole_above_the_panel():
    pixels = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    found = next(overlay([Picture(0.0, pixels)], track([0.5])))
    assert np.array_equal(found[:480], pixels)
    assert found.shape[1] == 640
    assert 520 < len(found) < 640
    assert found[480:].mean() < 60  # the panel is dark


@pytest.mark.parametrize("progress", [0.0, 0.25, 0.5, 1.0])
def test_the_bar_is_as_long_as_progress(progress):
    found = drawn(track([progress]))
    filled = np.flatnonzero(colour_share(found, FILL))
    if progress == 0:
        assert not len(filled)
        return
    empty = np.flatnonzero(colour_share(found, EMPTY))
    last = max(filled.max(), empty.max(initial=0))
    assert (filled.max() - filled.min()) / (last - filled.min()) == pytest.approx(progress, abs=0.02)


def test_a_picture_shows_the_last_frame_at_or_before_its_time():
    found = track([0.0, 0.5, 1.0])
    assert [found.at(time) for time in (-1.0, 0.0, 0.09, 0.1, 0.19, 0.2, 9.0)] == [0, 0, 0, 1, 1, 2, 2]
    pictures = [Picture(time, np.zeros((60, 80, 3), np.uint8)) for time in (0.1, 0.15, 0.2)]
    first, same, later = overlay(pictures, found)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, later)


def test_a_frame_that_should_not_be_believed_is_marked_in_two_ways():
    found = track([0.5, 0.5], out_of_range=["", "unlike training + progress stuck"])
    calm, doubted = drawn(found, 0.0), drawn(found, 0.1)
    for colour in (WARNING, DOUBT):
        assert not colour_share(calm, colour).any()
        assert colour_share(doubted, colour).any()
    assert not colour_share(doubted, FILL).any()


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("shape", [(160, 160, 3), (1280, 96, 3), (720, 1280, 3)])
def test_everything_fits_whatever_is_long(level, shape):
    long = "carry the ring over to the peg while holding it upright\nand slowly " * 3
    found = track(
        [0.87], lower=np.array([0.0]), upper=np.array([1.0]), steps=[long], step_probability=np.array([1.0]),
        remaining=np.array([1e6]), out_of_range=[long],
    )  # fmt: skip
    picture = drawn(found, 0.0, shape, level)
    panel = picture[shown_size(shape[1], shape[0])[0][1] :]
    assert np.ptp(panel[:, :4].reshape(-1, 3), axis=0).max() == 0  # nothing reaches the edges
    assert np.ptp(panel[:, -4:].reshape(-1, 3), axis=0).max() == 0
    assert np.ptp(panel[-2:].reshape(-1, 3), axis=0).max() == 0


def test_what_is_not_known_is_not_shown():
    alone, with_steps = drawn(track([0.5])), drawn(track([0.5], steps=[""]))
    assert len(alone) < len(with_steps)
    gap = track([0.5], lower=np.array([np.nan]), upper=np.array([np.nan]), remaining=np.array([np.nan]))
    assert np.array_equal(drawn(gap), alone)


def test_remaining_time_in_words():
    said = [remaining_in_words(seconds) for seconds in (0.2, 12.4, 99, 125, 4000, 7300, float("nan"))]
    assert said == [
        "about 0 s left", "about 12 s left", "about 99 s left", "about 2 min left", "about 67 min left",
        "about 2 h 2 min left", "",
    ]  # fmt: skip


def test_a_probability_is_never_said_to_be_certain():
    assert [sure_in_words(p) for p in (0.0, 0.924, 0.994, 0.996, 1.0)] == [
        "0 % sure", "92 % sure", "99 % sure", "over 99 % sure", "over 99 % sure",
    ]  # fmt: skip


def test_a_long_text_keeps_its_beginning_and_end():
    text = "carry the ring over to the peg, left side"
    assert shortened(text, 20, 10_000) == text
    short = shortened(text, 20, 200)
    assert length(short, 20) <= 200
    assert short.startswith("carry")
    assert short.endswith("side")
    assert "…" in short
    assert shortened("two\nlines\x00", 20, 10_000) == "two lines\ufffd"
    assert shortened(text, 20, 1) == "…"
