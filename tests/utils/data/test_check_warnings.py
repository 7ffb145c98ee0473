"""What --check warns of, over whole data sets."""

import json

import numpy as np
import pytest

from tests.real_data import real_data
from tests.utils.data.builders import config_for, entry, write_annotation, write_features
from utils.data.dataset import load_data

FRAMES, WIDTH = 40, 6
LISTS = ["background", "cut", "mix"], [0, 10, 25], [10, 25, 39]
DECLARED = {"SEGMENT_ENDS": "auto", "INTEGER_LABELS": "refuse", "UNLABELLED_TAIL": "refuse"}


def features(number):
    return np.random.default_rng(number).normal(size=(FRAMES, WIDTH)).astype(np.float32)


def write(folder, videos=8, lists=LISTS, edit=None, split=None):
    """A data set of one task; `edit` maps a recording's number and features to what is written."""
    listed = lists if callable(lists) else lambda number: lists
    write_annotation(folder, {"tea": entry(*((f"v{number}", *listed(number)) for number in range(videos)))})
    for number in range(videos):
        array = features(number)
        write_features(folder, f"v{number}", array if edit is None else edit(number, array))
    if split is not None:
        (folder / "split.json").write_text(json.dumps(split))
    return folder


def warnings(folder, **settings):
    return list(load_data(config_for(folder, **DECLARED, **settings), with_warnings=True).warnings)


def test_a_sound_data_set_has_none_and_without_the_check_none_are_looked_for(tmp_path):
    folder = write(tmp_path / "sound")
    assert warnings(folder) == []
    odd = write(tmp_path / "odd", edit=lambda number, array: np.ones_like(array))
    assert load_data(config_for(odd, **DECLARED)).warnings == ()


@pytest.mark.parametrize("layout", ["frames_first", "features_first"])
@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda number, array: array * (1e6 if number == 2 else 1), "another scale than those of the others in 'v2'"),
        (lambda number, array: np.clip(array * 50 + 128, 0, 255) if number == 2 else array, "another scale"),
        (lambda number, array: array / (1000 if number == 7 else 1), "in 'v7' (times 0.0009"),
        (lambda number, array: np.ones_like(array) if number == 3 else array, "never change in recording 'v3'"),
        (lambda number, array: np.ones_like(array), "never change in 8 recordings ('v0', 'v1', 'v2', ...)"),
        (lambda number, array: features(1) if number == 5 else array, "with the same features: 'v1', 'v5'"),
        (lambda number, array: array + (8 if number == 6 else 0), "unlike those of the others in recording 'v6'"),
        (lambda number, array: array * (np.arange(WIDTH) != 4), "1 of 6 features have the same value everywhere: 4"),
        (lambda number, array: array[:, [0, 1, 2, 3, 1, 0]], "2 of 6 features are copies of another: 4, 5"),
    ],
)
def test_features_that_are_probably_wrong(tmp_path, edit, words, layout):
    turn = (lambda array: array.T) if layout == "features_first" else (lambda array: array)
    folder = write(tmp_path / "odd", edit=lambda number, array: turn(edit(number, array)).astype(np.float32))
    found = warnings(folder, FEATURE_LAYOUT=layout, TRAIN_SPLIT=(0.5, 0.5))
    assert [words in warning for warning in found].count(True) == 1, found


@pytest.mark.parametrize(("factor", "expected"), [(1e6, 1), (1e-6, 1), (1, 0)])
def test_values_far_from_one_ask_for_standardisation(tmp_path, factor, expected):
    folder = write(tmp_path / "large", edit=lambda number, array: (array * factor).astype(np.float32))
    assert ["STANDARDIZE = True" in warning for warning in warnings(folder)].count(True) == expected
    assert warnings(folder, STANDARDIZE=True) == []


def test_the_test_recordings_are_looked_at_too(tmp_path):
    folder = write(tmp_path / "odd", edit=lambda number, array: array * (1e6 if number == 7 else 1))
    data = load_data(config_for(folder, **DECLARED), with_warnings=True)
    assert [video.handle for video in data.test.videos] == ["v6", "v7"]
    assert any("'v7'" in warning for warning in data.warnings)


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ((["background"], [0], [39]), "all frames are background: there is nothing to learn"),
        ((["cut"], [0], [39]), "no frame is background"),
        ((["BG", "cut"], [0, 10], [10, 39]), "the name looks like background: 'BG'"),
        ((["Background", "cut"], [0, 10], [10, 39]), "the name looks like background: 'Background'"),
        ((["none", "cut"], [0, 10], [10, 39]), "the name looks like background: 'none'"),
        ((["cut", "mix", "SIL"], [0, 1, 39], [1, 39, 39]), "16 segments have one frame: 'cut', 'SIL'"),
        ((["cut", "mix"], [1, 10], [10, 39]), "are frames counted from 1?"),
        (lambda number: LISTS if number else (["SIL"], [0], [39]), "all frames are background in recording 'v0'"),
        (lambda number: LISTS if number else (["pour"], [0], [39]), "in training recordings only: 'pour'"),
        (lambda number: LISTS if number < 7 else (["pour"], [0], [39]), "in no training recording: 'pour'"),
    ],
)
def test_labels_that_are_probably_wrong(tmp_path, lists, words):
    found = warnings(write(tmp_path / "odd", lists=lists))
    assert [words in warning for warning in found].count(True) == 1, found


def test_splits_that_leave_something_out(tmp_path):
    folder = write(tmp_path / "small", videos=4)
    assert any("fewer than 5 recordings: 'tea' (4)" in warning for warning in warnings(folder))
    handles = [f"v{number}" for number in range(8)]
    folder = write(tmp_path / "listed", split={"train": handles, "val": [], "test": []})
    found = warnings(folder)
    assert "no validation recording: 'tea'" in found
    assert "no test recording: 'tea'" in found


def test_the_summary_lists_every_label_with_its_share_and_what_it_counts_as(tmp_path):
    lists = ["0", "cut", "0", "mix"], [2, 10, 16, 25], [10, 16, 25, 39]
    folder = write(tmp_path / "labels", lists=lists)
    summary = load_data(config_for(folder, **DECLARED), with_warnings=True).summary()
    rows = [line.split("  ") for line in summary.splitlines()]
    rows = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert ["0", "42.5%", "16", "8", "background"] in rows
    assert ["cut", "15.0%", "8", "8", "an action"] in rows
    assert ["mix", "37.5%", "8", "8", "an action"] in rows
    assert ["(no label)", "5.0%", "8", "8", "background"] in rows


def test_last_ends_that_are_exclusive_too_are_recognised(tmp_path):
    folder = write(tmp_path / "strict", lists=(["cut", "mix"], [0, 10], [10, 40]))
    cut, strict = load_data(config_for(folder, **DECLARED)).notes
    assert "annotations cut or extended at the end to the length of their features: 8 videos" in cut
    assert "in 8 of 8 videos the last end is one frame after the features: is it exclusive" in strict


def test_a_tail_is_counted_among_the_frames_without_a_label(tmp_path):
    folder = write(tmp_path / "tail", lists=(["cut", "mix"], [0, 10], [10, 19]))
    data = load_data(config_for(folder, **{**DECLARED, "UNLABELLED_TAIL": "background"}), with_warnings=True)
    assert data.train[0][1]["step"] == ["cut", "mix", "SIL"]
    assert data.train[0][1]["end_frame"] == [9, 19, 39]
    assert "became background (UNLABELLED_TAIL): 160 frames in 8 videos, 'v0' first" in data.notes[0]
    assert "(no label)  50.0%" in data.summary()


def test_scaling_shows_before_and_after_and_warns_where_the_rates_differ(tmp_path):
    folder = write(tmp_path / "rates", lists=(["cut", "mix"], [0, 10], [10, 19]))
    data = load_data(config_for(folder, **DECLARED, ANNOTATION_SCALING="proportional"))
    (note,) = data.notes
    assert "8 videos, such as 'v0': cut 0 to 9, mix 10 to 19 became cut 0 to 19, mix 20 to 39" in note

    def lists(number):
        return ["cut", "mix"], [0, 10], [10, 19 + number]

    folder = write(tmp_path / "tails", lists=lists)
    notes = load_data(config_for(folder, **DECLARED, ANNOTATION_SCALING="proportional")).notes
    assert "the videos have from 1.48 to 2 frames of features for each annotated one" in notes[1]


@pytest.mark.parametrize("name", ["gtea", "openpack", "openpack_actions", "salads50", "salads50_accel"])
def test_real_recordings_raise_no_false_alarm_about_features_or_labels(name):
    found = warnings(real_data(name), TRAIN_SPLIT=(0.65, 0.5))
    assert all("one frame" in warning or "fewer than" in warning or "BACKGROUND_LABELS" in warning for warning in found)
