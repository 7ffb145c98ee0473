import itertools

from hypothesis import given
from hypothesis import strategies as st

from utils.files import LONGEST_PART, safe_name

NAMES = st.text(max_size=80) | st.text("ab_-.+~ /", max_size=4)


@given(st.lists(st.lists(NAMES, max_size=3).map(tuple), max_size=20, unique=True))
def test_different_names_never_share_a_file(names):
    made = [safe_name("progress", *parts) for parts in names]
    assert len(set(made)) == len(made)
    for name in made:
        assert "/" not in name
        assert "\0" not in name
        assert len(name.encode()) <= 3 * LONGEST_PART + 20


def test_plain_names_stay_as_they_are_and_the_others_stay_readable():
    assert safe_name("progress", "make_tea", "P01-R03.v2") == "progress+make_tea+P01-R03.v2"
    assert safe_name("茶を入れる") == "茶を入れる"
    assert safe_name("make tea").startswith("make-tea~")
    assert safe_name("x" * 100).startswith("x" * 20)


def test_names_that_differ_in_punctuation_or_in_where_they_are_cut():
    names = ["a b", "a-b", "a/b", "a  b", "a_b", "", " ", "-", "x" * 61, "x" * 62, "é" * 40, "é" * 41, "\ud800"]
    assert len({safe_name(name) for name in names}) == len(names)
    pairs = list(itertools.product(("a", "a+b", "a_b", ""), ("c", "b+c", "b_c", "")))
    assert len({safe_name(*pair) for pair in pairs}) == len(pairs)
