"""Damaged and odd files: either they load and everything that must hold does, or there is one DataError.

python -m tests.fuzz_readers --cases 20000
"""

import contextlib
import json
import warnings
from itertools import groupby

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from tests.real_data import real_data
from tests.utils.data.builders import (
    assert_valid,
    config_for,
    labels_of_frames,
    write_annotation,
    write_features,
    write_folder,
)
from tests.utils.data.mutation import fuzzing, mutated, note
from tests.utils.data.test_mstcn import write_source
from utils.data.annotation import read_annotation
from utils.data.batches import TaskBatchSampler, collate_videos
from utils.data.dataset import load_data
from utils.data.features import FeatureFormat, read_features, scan_features
from utils.data.mstcn import convert_mstcn
from utils.data.splits import read_split_file
from utils.errors import DataError

BACKGROUND = ("SIL", "background", "0", "Null", "G0")


def check_error(error):
    """An error that is of use: every problem is named, and the text can be written anywhere."""
    note("refused")
    assert error.problems
    assert all(problem and len(problem) < 2000 for problem in error.problems)
    str(error).encode()


def check_annotation(path, tasks=()):
    """Reads an annotation; what is accepted is compared with the file by what both conventions agree on."""
    try:
        annotation = read_annotation(path, tasks)
    except DataError as error:
        check_error(error)
        return None
    note("loaded")
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    videos = {(video.task, video.handle): video for video in annotation.videos}
    assert len(videos) == len(annotation.videos)
    for task in annotation.tasks:
        entry = content[task]
        lists = (entry[key] for key in ("handles", "hdl_actions", "hdl_start_times", "hdl_end_times"))
        for handle, actions, starts, ends in zip(*lists, strict=True):
            time_dict = videos.pop((task, handle)).time_dict
            assert_valid(time_dict, ends[-1] + 1)
            assert time_dict["name"] == handle
            json.dumps([task, time_dict], ensure_ascii=False).encode()
            assert "/" not in handle
            spans = dict(
                zip(time_dict["start_frame"], zip(time_dict["step"], time_dict["end_frame"], strict=True),
                    strict=True)
            )  # fmt: skip
            assert set(starts) <= set(spans)
            for action, start, end in zip(actions, starts, ends, strict=True):
                step, last = spans[start]
                assert step == ("SIL" if str(action) in BACKGROUND else str(action))
                assert last in (end, end - 1)
            # What stands between the file's segments is background.
            assert all(spans[start][0] == "SIL" for start in set(spans) - set(starts))
    assert not videos
    return annotation


labels = st.sampled_from(["a", "b", "0", "SIL", "切る", "a b", 7]) | st.text(max_size=4)
frames = st.integers(0, 60)
odd_values = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(-3, 10**25), st.text(max_size=3), st.just([]),
    st.just({}),
)  # fmt: skip


@st.composite
def video_lists(draw):
    """(actions, starts, ends) of one video: mostly right in one convention, sometimes with something odd."""
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=8))
    gaps = draw(st.lists(st.sampled_from([0, 0, 0, 1, 2, 5]), min_size=len(lengths), max_size=len(lengths)))
    half_open = draw(st.booleans())
    starts, ends, cursor = [], [], 0
    for gap, length in zip(gaps, lengths, strict=True):
        starts.append(cursor + gap)
        cursor += gap + length
        ends.append(cursor - (not half_open))
    ends[-1] = cursor - 1
    actions = draw(st.lists(labels, min_size=len(lengths), max_size=len(lengths)))
    lists = [actions, starts, ends]
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        values = draw(st.sampled_from(lists))
        position = draw(st.integers(0, len(values) - 1)) if values else 0
        kind = draw(st.sampled_from(["replace", "shift", "insert", "remove"]))
        if kind == "shift" and values and isinstance(values[position], int):
            values[position] += draw(st.integers(-2, 2))
        elif kind == "insert":
            values.insert(position, draw(odd_values))
        elif kind == "remove" and values:
            del values[position]
        elif values:
            values[position] = draw(odd_values | frames)
    return lists


names = st.sampled_from(["v0", "v1", "v2", "v3", "été", "第二", "..", "a/b", "C:x", ""])
handles = names | st.text(max_size=3) | odd_values


@st.composite
def annotations(draw):
    content = {}
    for task in draw(st.lists(st.text(max_size=3) | st.just("tea"), min_size=1, max_size=3)):
        videos = draw(st.lists(st.tuples(handles, video_lists()), max_size=3))
        content[task] = {
            "handles": [handle for handle, _ in videos],
            "hdl_actions": [lists[0] for _, lists in videos],
            "hdl_start_times": [lists[1] for _, lists in videos],
            "hdl_end_times": [lists[2] for _, lists in videos],
        }
        if draw(st.integers(0, 9)) == 0:
            key = draw(st.sampled_from(sorted(content[task])))
            content[task][key] = draw(odd_values)
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzing")


@fuzzing
@given(annotations())
@example({"t": {"handles": ["v"], "hdl_actions": [["a"]], "hdl_start_times": [[0]], "hdl_end_times": [[0]]}})
def test_annotations_near_right_ones(folder, content):
    path = folder / "near.json"
    path.write_text(json.dumps(content))
    check_annotation(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@fuzzing
@given(json_values | st.dictionaries(st.text(), json_values))
def test_any_json(folder, content):
    path = folder / "any.json"
    path.write_text(json.dumps(content))
    check_annotation(path)
    with contextlib.suppress(DataError):
        read_split_file(path, {"v0"})


@pytest.fixture(scope="module", params=["salads50", "gtea", "openpack_actions", "egoprocel"])
def real_annotation(request):
    """The first video or two of each of a few tasks of a real file, short enough to change often."""
    path = real_data(request.param) / f"{request.param}.json"
    content = {
        task: {key: values[:2] for key, values in entry.items()}
        for task, entry in list(json.loads(path.read_text()).items())[-2:]
    }
    return json.dumps(content).encode()


@fuzzing
@given(st.data())
def test_changed_real_annotations(folder, real_annotation, data):
    path = folder / "real.json"
    path.write_bytes(data.draw(mutated(real_annotation)))
    check_annotation(path)


def npy_bytes(array, folder):
    path = folder / "source.npy"
    np.save(path, array)
    return path.read_bytes()


ARRAYS = [
    np.arange(24, dtype=np.float32).reshape(8, 3),
    np.asfortranarray(np.arange(24, dtype=np.float64).reshape(8, 3)),
    np.arange(24, dtype=">i2").reshape(8, 3),
    np.zeros((3, 2, 2, 1), np.float16),
]


@fuzzing
@given(st.data())
def test_changed_feature_files(folder, data):
    array = data.draw(st.sampled_from(ARRAYS))
    source = npy_bytes(array, folder)
    path = folder / "v.npy"
    path.write_bytes(data.draw(mutated(source, head=128)))
    file_format = FeatureFormat(
        rank=array.ndim,
        features_first=array.ndim == 2 and data.draw(st.booleans()),
        skip_rate=data.draw(st.integers(1, 3)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            scan = scan_features(path, file_format, with_moments=data.draw(st.booleans()))
        except DataError as error:
            check_error(error)
            return
        result = read_features(path, file_format)
    note("loaded")
    # NumPy's own way to read it must come to the same numbers.
    expected = np.load(path, allow_pickle=False)
    if file_format.features_first:
        expected = expected.T
    assert (scan.file_frames, scan.shape) == (len(expected), expected.shape[1:])
    expected = expected[:: file_format.skip_rate].astype(np.float32)
    assert np.isfinite(expected).all()
    assert (scan.frames, *scan.shape) == expected.shape
    assert torch.equal(result, torch.from_numpy(np.ascontiguousarray(expected)))


def handles_of(dataset):
    return [video.handle for video in dataset.videos]


SPLIT = {"split": "1", "train": ["v0", "v1", "v2"], "val": ["v3"], "test": ["v4", "v5"]}


@fuzzing
@given(st.data())
def test_changed_splits(folder, data):
    path = folder / "split.json"
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(mutated(json.dumps(SPLIT).encode())))
    else:
        lists = st.lists(st.sampled_from([f"v{i}" for i in range(6)]), max_size=4)
        content = {name: data.draw(lists) for name in ("train", "val", "test")}
        for _ in range(data.draw(st.sampled_from([0, 0, 0, 1]))):
            name = data.draw(st.sampled_from(sorted(content)))
            content[name] = data.draw(odd_values | st.just([*content[name], data.draw(odd_values)]))
        path.write_text(json.dumps(content))
    known = {f"v{number}" for number in range(6)}
    try:
        found = read_split_file(path, known)
    except DataError as error:
        check_error(error)
        return
    note("loaded")
    placed = [handle for part in found.values() for handle in part]
    assert len(placed) == len(set(placed))
    assert set(placed) <= known
    content = json.loads(path.read_text(encoding="utf-8-sig"))
    assert found == {name: content[name] for name in found}
    assert {"train", "test"} <= set(found)


@fuzzing
@given(st.data())
def test_whole_data_sets_with_damaged_files(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("sets") / "kitchen"
    names = [f"v{number}" for number in range(6)]
    split = {"train": names[:4], "test": names[4:]} if data.draw(st.booleans()) else None
    write_folder(folder, {"tea": names}, split=split)
    content = json.loads((folder / "kitchen.json").read_text())
    content["tea"]["hdl_actions"][0] = ["a", "b", "0", "a", "c"]
    content["tea"]["hdl_start_times"][0] = [0, 1, 2, 7, 8]
    content["tea"]["hdl_end_times"][0] = [1, 2, 7, 8, 9]
    write_annotation(folder, content)
    victims = [folder / "kitchen.json", folder / "features" / "v0.npy", folder / "features" / "v5.npy"]
    if split:
        victims.append(folder / "split.json")
    victim = data.draw(st.sampled_from(victims))
    victim.write_bytes(data.draw(mutated(victim.read_bytes(), head=0 if victim.suffix == ".json" else 128)))
    for length in data.draw(st.lists(st.sampled_from([1, 8, 9, 11, 12, 12, 13]), max_size=1)):
        write_features(folder, f"v{length % 4 + 1}", np.ones((length, 3), np.float32))
    config = config_for(
        folder,
        SKIP_RATE=data.draw(st.sampled_from([1, 1, 3])),
        MAX_FRAMES=data.draw(st.sampled_from([0, 2, 5])),
        STANDARDIZE=data.draw(st.booleans()),
        LAZY_LOAD=data.draw(st.booleans()),
        ANNOTATION_SCALING=data.draw(st.sampled_from(["none", "proportional"])),
    )
    try:
        loaded = load_data(config)
    except DataError as error:
        check_error(error)
        return
    note("loaded")
    seen = []
    for dataset in (loaded.train, loaded.val, loaded.test):
        for video, (features, time_dict) in zip(dataset.videos, dataset, strict=True):
            assert features.shape == (video.number_of_frames, loaded.feature_width)
            assert features.dtype == torch.float32
            assert torch.isfinite(features).all()
            assert_valid(time_dict, len(features))
            seen.append(video.handle)
    assert len(set(seen)) == len(seen)
    assert len(loaded.train) >= 2
    view = loaded.train.in_epoch(data.draw(st.integers(0, 99)))
    for batch in TaskBatchSampler(loaded.train, 2, seed=0):
        sequences, times = collate_videos([view[index] for index in batch])
        for sequence, time_dict in zip(sequences, times, strict=True):
            assert_valid(time_dict, len(sequence))
            whole, segments = loaded.train[handles_of(loaded.train).index(time_dict["name"])]
            positions = [int((whole == frame).all(1).nonzero()[0]) for frame in sequence]
            if len(whole.unique(dim=0)) == len(whole):
                labels = labels_of_frames(segments)
                assert labels_of_frames(time_dict) == [labels[position] for position in positions]
            assert 2 <= len(sequence) <= (config["MAX_FRAMES"] or len(sequence))
    loaded.summary().encode()


@fuzzing
@given(st.data())
def test_changed_mstcn_folders(tmp_path_factory, data):
    source = tmp_path_factory.mktemp("mstcn") / "gtea"
    truth, _ = write_source(source, {f"S{number}_Tea_C1": 12 + number for number in range(4)})
    victim = data.draw(st.sampled_from(sorted(path for path in source.rglob("*") if path.is_file())))
    victim.write_bytes(data.draw(mutated(victim.read_bytes(), head=128 if victim.suffix == ".npy" else 0)))
    try:
        conversion = convert_mstcn(source, source.parent / "out", task_pattern="_([A-Za-z]+)_")
        loaded = load_data(config_for(source.parent / "out", BACKGROUND_LABELS=(), **conversion.settings))
    except DataError as error:
        check_error(error)
        return
    note("loaded")
    for dataset in (loaded.train, loaded.val, loaded.test):
        for features, time_dict in dataset:
            assert_valid(time_dict, len(features))
            path = source / "groundTruth" / f"{time_dict['name']}.txt"
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().split("\n")]
            found = labels_of_frames(time_dict)
            expected = ["SIL" if line == "background" else line for line in lines]
            # Where the lengths differ, the end absorbs it, and each segment there keeps at least one frame.
            same = len(lines)
            if len(found) < len(lines):
                same = max(0, len(found) - len(time_dict["step"]))
            assert found[:same] == expected[:same]
            assert time_dict["step"] == [step for step, _ in groupby(expected)]
            if victim.parent.name != "groundTruth":
                assert lines == truth[time_dict["name"]]
