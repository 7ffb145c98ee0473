import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.data.splits import read_split_file, split_task
from utils.errors import DataError

shares = st.floats(0, 1, allow_nan=False)


def names(count):
    return [f"v{number}" for number in range(count)]


@given(st.integers(0, 60), shares, shares)
def test_dealing_out_keeps_the_file_order_and_loses_nothing(count, train_share, validation_share):
    split = split_task(names(count), None, (train_share, validation_share), 0.1)
    assert list(split.train + split.val + split.test) == names(count)
    assert split.unlisted == ()
    assert len(split.train) >= min(count, 2)
    if count >= 3 and train_share < 1 and validation_share < 1:
        assert split.test
    if count >= 4 and train_share < 0.5 and 0 < validation_share < 1:
        assert split.val


@pytest.mark.parametrize(
    ("count", "train_split", "expected"),
    [
        (20, (0.65, 0.5), (13, 4, 3)),
        (16, (0.65, 0.5), (10, 3, 3)),
        (50, (0.7, 1 / 3), (35, 5, 10)),
        (10, (0.8, 0.0), (8, 0, 2)),
        (10, (0.8, 1.0), (8, 2, 0)),
        (3, (0.9, 0.5), (2, 0, 1)),
        (2, (0.65, 0.5), (2, 0, 0)),
        (1, (0.65, 0.5), (1, 0, 0)),
        (5, (1.0, 0.5), (5, 0, 0)),
    ],
)
def test_sizes_of_the_splits(count, train_split, expected):
    split = split_task(names(count), None, train_split, 0.1)
    assert (len(split.train), len(split.val), len(split.test)) == expected


def test_listed_splits_count_and_the_last_training_videos_validate():
    listed = {"train": ["v3", "v0", "v2", "other", "v5"], "test": ["v1"]}
    split = split_task(names(7), listed, (0.5, 0.5), 0.25)
    assert split.train == ("v3", "v0", "v2")
    assert split.val == ("v5",)
    assert split.test == ("v1",)
    assert split.unlisted == ("v4", "v6")


def test_a_listed_validation_split_is_taken_as_it_is():
    listed = {"train": ["v0", "v1", "v2"], "val": [], "test": ["v3"]}
    assert split_task(names(4), listed, (0.5, 0.5), 0.5).val == ()


@pytest.mark.parametrize(
    ("training", "fraction", "validation"), [(3, 0.1, 1), (2, 0.5, 0), (40, 0.15, 6), (9, 0, 0)]
)
def test_validation_leaves_two_training_videos(training, fraction, validation):
    split = split_task(names(training), {"train": names(training), "test": []}, (0.5, 0.5), fraction)
    assert len(split.val) == validation
    assert split.train + split.val == tuple(names(training))


def write(tmp_path, content):
    path = tmp_path / "split.json"
    path.write_text(json.dumps(content))
    return path


def test_no_split_file_is_no_split(tmp_path):
    assert read_split_file(tmp_path / "split.json", {"v0"}) is None


def test_a_split_file_is_read_and_other_keys_ignored(tmp_path):
    path = write(tmp_path, {"split": "1", "train": ["v1", "v0"], "test": []})
    assert read_split_file(path, {"v0", "v1"}) == {"train": ["v1", "v0"], "test": []}


def test_everything_wrong_with_a_split_file_is_listed(tmp_path):
    path = write(tmp_path, {"train": ["v0", "v1", "v1"], "val": ["v0", "vv0"], "test": "v0"})
    with pytest.raises(DataError) as caught:
        read_split_file(path, {"v0", "v1"})
    problems = caught.value.problems
    assert len(problems) == 4
    assert "'v1' is in 'train' and again in 'train'" in problems[0]
    assert "'v0' is in 'train' and again in 'val'" in problems[1]
    assert "unknown video 'vv0'; did you mean 'v0'" in problems[2]
    assert "'test' is a str" in problems[3]
    with pytest.raises(DataError, match="'train' is missing"):
        read_split_file(write(tmp_path, {"test": []}), {"v0"})


def test_thousands_of_unknown_names_are_refused_at_once(tmp_path):
    path = write(tmp_path, {"train": [f"w{number}" for number in range(20_000)], "test": ["x" * 10**6]})
    with pytest.raises(DataError, match="20001 problems"):
        read_split_file(path, {f"v{number}" for number in range(2000)})
