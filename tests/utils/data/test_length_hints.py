import pytest

from utils.data.length_hints import Lengths, common_ratio, length_hints


def hints(*lengths):
    named = {f"v{number}": Lengths(*length) for number, length in enumerate(lengths)}
    different = [name for name, length in named.items() if length.frames != length.annotated]
    return length_hints(named, different)


RATE = "ANNOTATION_SCALING = 'proportional'"
TAIL = "UNLABELLED_TAIL = 'background'"
OFFSET = "numbered in a longer recording"
BEYOND = "segments end after the recording"


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        # (frames of features, annotated frames, first frame of the first segment) of each recording
        ([(50, 100, 0), (75, 150, 0), (101, 200, 0)], RATE),  # half the rate, recordings of several lengths
        ([(1000, 40, 0), (2000, 80, 0)], RATE),  # seconds, features of 25 frames/s
        ([(100, 2500, 0)] * 4, RATE),  # 25 labels a feature: more than any recording holds
        ([(150, 100, 0)] * 4, TAIL),  # alike: the equal ratio shows nothing
        ([(200, 100, 0)] * 4, TAIL),
        ([(150, 100, 0), (400, 180, 0), (230, 220, 5)], TAIL),
        ([(1000, 1301, 0)] * 4, BEYOND),
        ([(1000, 11000, 10000)] * 4, OFFSET),
        ([(1000, 11000, 10000), (900, 21000, 20050)], OFFSET),
        ([(100, 130, 0)], BEYOND),
    ],
)
def test_the_hint_fits_the_cause(lengths, words):
    found = hints(*lengths)
    assert len(found) >= 1
    for hint in found.values():
        assert words in hint
        assert [other for other in (RATE, TAIL, OFFSET, BEYOND) if other in hint] == [words]


def test_a_recording_of_its_own_kind_gets_its_own_hint():
    found = hints((50, 100, 0), (75, 150, 0), (100, 200, 0), (300, 100, 0))
    assert RATE in found["v0"]
    assert TAIL in found["v3"]


def test_one_recording_or_a_ratio_near_one_is_no_rate():
    assert common_ratio([Lengths(50, 100, 0)]) is None
    assert common_ratio([Lengths(95, 100, 0), Lengths(190, 200, 0)]) is None
    assert common_ratio([Lengths(50, 100, 0), Lengths(150, 300, 0)]) == 0.5
