from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.annotation.times import clock_time, exact_number, parse_rate, parse_time
from utils.errors import DataError


@given(st.decimals(-(10**9), 10**9, allow_nan=False, places=6))
def test_a_decimal_number_is_taken_exactly(number):
    assert exact_number(f"{number:f}") == Fraction(number)


@pytest.mark.parametrize("value", [
    "nan", "NaN", "inf", "-Infinity", "", " ", "1,5", "1_000", "0x10", "1e400", "9" * 30, "1e99", "1/3", None, True,
    [], {},
    "1.2.3", "--1", "1e", float("nan"), float("inf"), 10**13,
])  # fmt: skip
def test_what_is_no_time_is_refused(value):
    with pytest.raises(DataError):
        exact_number(value)


@pytest.mark.parametrize(("text", "seconds"), [
    ("00:00:02.500", Fraction(5, 2)), ("1:02:03", 3723), ("02:03,04", Fraction(12304, 100)),
    ("100:00:00.1", Fraction(3600001, 10)),
])  # fmt: skip
def test_clock_times(text, seconds):
    assert clock_time(text) == seconds


@pytest.mark.parametrize("text", ["5", "00:60:00", "00:00:61", "1:2:3:4", "-00:00:01", "00:00:01.", "aa:bb", None, 5])
def test_what_is_no_clock_time_is_refused(text):
    with pytest.raises(DataError):
        clock_time(text)


def test_units():
    assert parse_time("1500", "milliseconds") == Fraction(3, 2)
    assert parse_time("12.0", "frames") == 12
    with pytest.raises(DataError, match="--unit seconds"):
        parse_time("1.8", "frames")
    with pytest.raises(DataError, match="--unit clock"):
        parse_time("00:01:02", "seconds")


@pytest.mark.parametrize(
    ("text", "rate"), [("25", 25), ("29.97", Fraction(2997, 100)), ("30000/1001", Fraction(30000, 1001))]
)
def test_rates(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["0", "-25", "x", "1/0", "1e9", ""])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(DataError, match="frame rate"):
        parse_rate(text)
