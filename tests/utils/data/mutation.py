"""Damage to files, drawn by hypothesis, and how much of it to try."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

from hypothesis import HealthCheck, currently_in_test_context, event, settings
from hypothesis import strategies as st

# The same few cases at every run; `python -m tests.fuzz_readers --cases 20000` tries more, and others each time.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
# The deadline is what tells a hang from a slow test: no case takes more than a few milliseconds of work.
fuzzing = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=60_000,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,
    ],
)


# What became of the cases: (test, outcome) -> how many; `tests.fuzz_readers` prints it.
OUTCOMES: Counter[tuple[str, str]] = Counter()


def note(outcome: str) -> None:
    """Counts a case of the running test, as 'loaded' or 'refused'."""
    if currently_in_test_context():
        event(outcome)
    OUTCOMES[os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0], outcome] += 1


@st.composite
def mutated(draw, content: bytes, head: int = 0) -> bytes:
    """The content with one to four places changed: overwritten, cut out, doubled, moved, or cut off.

    With `head`, half of the places are in the first `head` bytes, where a format keeps its header. The places
    come from a generator of their own: hypothesis would try the beginning of the file over and over.
    """
    random = Random(draw(st.integers(0, 2**64 - 1)))
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        limit = min(len(data), head) if head and random.random() < 0.5 else len(data)
        start = random.randrange(max(1, limit))
        length = random.randint(1, 8)
        kind = random.choice(("overwrite", "token", "token", "flip", "delete", "double", "swap", "truncate"))
        if kind == "overwrite":
            data[start : start + length] = random.randbytes(length)
        elif kind == "token":
            token = random.choice(TOKENS)
            # In place of as many bytes, of other ones, or between two.
            data[start : start + random.choice((len(token), length, 0))] = token
        elif kind == "flip" and data:
            data[start] ^= 1 << random.randrange(8)
        elif kind == "delete":
            del data[start : start + random.choice((1, length, 64))]
        elif kind == "double":
            data[start:start] = data[start : start + random.choice((1, length, 64))]
        elif kind == "swap":
            other = random.randrange(max(1, len(data)))
            first, second = data[start : start + length], data[other : other + length]
            data[start : start + length], data[other : other + length] = second, first
        elif kind == "truncate" and random.random() < 0.3:
            del data[start:]
    return bytes(data)


odd_numbers = st.sampled_from([
    -(10**20), -(2**31), -1, 0, 1, 2, 3, 7, 2**31, 2**53, 10**30, 10**400, -0.0, 0.5, 1.0, 1.5, 1e-300, 1e300,
    float("nan"), float("inf"), float("-inf"),
]) | st.integers(-5, 5) | st.floats()  # fmt: skip
odd_text = st.sampled_from(
    ["", "a", "auto", "cpu", "cuda:9999999999", "video", "per_frame", "resnet50", "..", "/", "a/b", "\0", "\ud800",
     "été", "a\nb", "x" * 5000]
) | st.text(max_size=5)  # fmt: skip
# Plain values of every kind, most of them out of place wherever they are put.
odd_plain_values = st.recursive(
    st.none() | st.booleans() | odd_numbers | odd_text,
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(odd_text | st.integers(-2, 2), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip

# What a mutation puts in whole, because single bytes seldom add up to it.
TOKENS = (
    b"-1", b"1e400", b"-0", b"0.5", b"1.0", b"NaN", b"Infinity", b"null", b"true", b"[]", b"{}", b'""',
    b'"a"', b"9" * 30, b"9007199254740993", b"[[", b"]]", b",", b",,", b":", b'"', b"\\u0000", b"\\ud800",
    b"\xff", b"\x00", b"../", b"/etc/passwd", b"\n", b"\r\n", b"SIL", b"0", b"2147483648", b"(", b")",
    b"'<f8'", b"'|O'", b"'>i2'", b"True", b"False", b"1e5",
    b"\xff" * 4, b"\xff" * 8, b"\x00\x00\x80\x7f" * 3, b"\x00\x7c" * 6,
)  # fmt: skip
