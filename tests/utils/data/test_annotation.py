import json
import os
import pickle

import pytest

from tests.real_data import real_data
from tests.utils.data.builders import assert_valid, entry, simple_video, write_annotation
from utils.data.annotation import handle_problem, read_annotation
from utils.errors import DataError


def test_a_file_is_read_in_order(tmp_path):
    path = write_annotation(
        tmp_path / "set",
        {"tea": entry(simple_video("v2"), simple_video("v1", 20)), "ça va": entry(simple_video("été"))},
    )
    annotation = read_annotation(path)
    assert annotation.tasks == ("tea", "ça va")
    assert [(video.task, video.handle, video.number_of_frames) for video in annotation.videos] == [
        ("tea", "v2", 10), ("tea", "v1", 20), ("ça va", "été", 10),
    ]  # fmt: skip
    assert annotation.videos[0].time_dict == {
        "step": ["cut", "mix"], "start_frame": [0, 4], "end_frame": [3, 9], "name": "v2",
    }  # fmt: skip
    assert annotation.all_handles == {"v1", "v2", "été"}


def test_unselected_tasks_are_not_validated(tmp_path):
    path = write_annotation(
        tmp_path / "set", {"good": entry(simple_video("v1")), "bad": {"handles": ["v2"], "hdl_actions": []}}
    )
    annotation = read_annotation(path, tasks=("good",))
    assert annotation.tasks == ("good",)
    with pytest.raises(DataError, match="task 'bad'"):
        read_annotation(path)


def test_an_unknown_task_names_the_nearest(tmp_path):
    path = write_annotation(tmp_path / "set", {"Pizza.egtea": entry(simple_video("v1"))})
    with pytest.raises(DataError, match=r"'Piza.egtea'.*did you mean 'Pizza.egtea'"):
        read_annotation(path, tasks=("Piza.egtea",))


def test_background_labels_are_the_callers(tmp_path):
    path = write_annotation(tmp_path / "set", {"t": entry(("v", ["idle", "0"], [0, 4], [4, 9]))})
    assert read_annotation(path).videos[0].time_dict["step"] == ["idle", "SIL"]
    assert read_annotation(path, background_labels=("idle",)).videos[0].time_dict["step"] == ["SIL", "0"]
    # The rest of the project takes these two for background in any case.
    path = write_annotation(tmp_path / "set", {"t": entry(("v", ["background", "SIL"], [0, 4], [4, 9]))})
    assert read_annotation(path, background_labels=()).videos[0].time_dict["step"] == ["SIL", "SIL"]


def test_labels_are_kept_as_the_file_writes_them(tmp_path):
    path = write_annotation(tmp_path / "set", {"t": entry(("v", ["idle", "0"], [2, 6], [4, 9]))})
    (video,) = read_annotation(path).videos
    assert video.time_dict["step"] == ["SIL", "idle", "SIL", "SIL"]
    assert video.labels == (None, "idle", None, "0")


def test_problems_name_file_task_video_and_segment_and_are_all_there(tmp_path):
    path = write_annotation(
        tmp_path / "set",
        {
            "unequal": {**entry(simple_video("v1")), "hdl_actions": [["a"], ["b"]]},
            "missing": {"handles": [], "hdl_actions": [], "hdl_start_times": []},
            "list": [],
            "videos": entry(
                ("overlap", ["a", "b", "c"], [0, 4, 6], [4, 9, 12]),
                ("empty", [], [], []),
                ("../outside", ["a"], [0], [4]),
            ),
        },
    )
    with pytest.raises(DataError) as caught:
        read_annotation(path)
    expected = [
        "task 'unequal': lists of unequal length: 1 handles, 2 hdl_actions",
        "task 'missing': 'hdl_end_times' is missing",
        "task 'list': is a list; expected an object",
        "task 'videos', video 'overlap', segment 2: starts at frame 6",
        "task 'videos', video 'empty': the list of actions is empty",
        "task 'videos', video '../outside': the handle leaves the data folder",
    ]
    assert len(caught.value.problems) == len(expected)
    for problem, words in zip(caught.value.problems, expected, strict=True):
        assert problem.startswith(f"{path}: {words}")
        assert problem in str(caught.value)


def test_many_problems_of_one_kind_are_one_line_with_the_first_and_their_number(tmp_path):
    videos = [(f"v{i}", [], [], []) for i in range(33)] + [(f"w{i}", ["a"], [0], [1.5 + i]) for i in range(4)]
    path = write_annotation(tmp_path / "set", {"t": entry(*videos, ("x", ["a"], [3], [1]))})
    with pytest.raises(DataError, match="38 problems") as caught:
        read_annotation(path)
    assert len(caught.value.problems) == 38
    assert isinstance(caught.value, ValueError)
    heading, *lines = str(caught.value).splitlines()
    assert heading == "38 problems in the data:"
    assert len(lines) == 3
    assert "video 'v0': the list of actions is empty" in lines[0]
    assert lines[0].endswith("(the first of 33 such problems)")
    assert "'w0', segment 0: the end is 1.5" in lines[1]
    assert lines[1].endswith("(the first of 4 such problems)")
    assert "'x', segment 0: ends at frame 1, before its start 3" in lines[2]
    assert "such problems" not in lines[2]


def test_the_first_twenty_kinds_of_problems_are_shown_and_all_counted():
    problems = [f"file {letter * 3}: is {letter * 5}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    with pytest.raises(DataError, match="26 problems in the data, the first 20 kinds of them") as caught:
        raise DataError(problems)
    assert len(caught.value.problems) == 26
    assert "is ttttt" in str(caught.value)
    assert "is uuuuu" not in str(caught.value)


def test_the_error_survives_pickling():
    error = pickle.loads(pickle.dumps(DataError(["one", "two"])))
    assert error.problems == ("one", "two")
    assert str(error) == str(DataError(["one", "two"]))


def test_duplicate_handles_are_refused_within_and_across_tasks(tmp_path):
    path = write_annotation(
        tmp_path / "set",
        {"a": entry(simple_video("v1"), simple_video("v1")), "b": entry(simple_video("v1"))},
    )
    with pytest.raises(DataError, match="2 problems") as caught:
        read_annotation(path)
    assert all("'v1'" in problem and "twice" in problem for problem in caught.value.problems)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"a": 1}garbage', b"\xff\xfe\x00", b"[" * 100_000, b"[1, 2]", b'"text"', b"null", b"{}",
     b'{"a": {}, "a": {}}'],
)  # fmt: skip
def test_an_unreadable_file_is_one_clear_error(tmp_path, content):
    path = tmp_path / "set.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"set\.json"):
        read_annotation(path)


def test_a_byte_order_mark_is_no_obstacle(tmp_path):
    path = write_annotation(tmp_path / "set", {"t": entry(simple_video("v"))})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_annotation(path).tasks == ("t",)


@pytest.mark.parametrize(
    "content",
    [
        '{"t": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"t": ' + '{"a": ' * 100_000 + "1" + "}" * 100_001,
        '{"t\\ud800": {}}',
        json.dumps({"t": entry(("v", ["a\ud800"], [0], [4]))}),
        json.dumps({"t": entry(("v", ["a"], [0], [10**4000]))}),
        json.dumps({"t": entry(("v", ["a"], [0], [4]))}).replace("[4]", "[" + "9" * 5000 + "]"),
        json.dumps({"t": entry(("v", ["a"], [0], [2**53]))}),
        json.dumps({"t": entry(("v", ["a"], [0], [float("inf")]))}),
        json.dumps({"t": entry(("v", ["a"], [0], [float("nan")]))}),
        json.dumps({"t": entry(("v", ["a"], [0], [1e300]))}),
        json.dumps({"t": entry(("v", ["a"], [0], [True]))}),
        json.dumps({"t": entry((["v"] * 9999, ["a"], [0], [4]))}),
        '{"t": {"handles": ["v"], "handles": ["w"]}}',
    ],
)
def test_hostile_content_is_one_short_error(tmp_path, content):
    path = tmp_path / "set.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"set\.json") as caught:
        read_annotation(path)
    assert len(caught.value.problems) == 1
    assert len(str(caught.value)) < 500 + len(str(path))


def test_an_object_with_many_equal_keys_is_refused_at_once(tmp_path):
    path = tmp_path / "set.json"
    path.write_text("{" + ", ".join(f'"{key % 50_000}": 1' for key in range(100_000)) + "}")
    with pytest.raises(DataError, match="occurs twice"):
        read_annotation(path)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "set.json")
    with pytest.raises(DataError, match="not a regular file"):
        read_annotation(tmp_path / "set.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.json: no such file"):
        read_annotation(tmp_path / "nowhere.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_annotation(tmp_path)


@pytest.mark.parametrize(
    "handle",
    [
        "..",
        ".",
        "",
        "../x",
        "a/b",
        "/etc/x",
        "a\\b",
        "..\\x",
        "C:x",
        "C:\\x",
        "a/",
        "a\0b",
        "a\ud800",
        3,
        None,
        ["x"],
    ],
)
def test_handles_that_leave_the_folder_are_refused(handle):
    assert handle_problem(handle) is not None


@pytest.mark.parametrize("handle", ["01-1", "S1_Tea.C1", "a..b", "...", "with space", "视频", "12:30"])
def test_plain_handles_are_fine(handle):
    assert handle_problem(handle) is None


def test_real_egoprocel_reads_but_for_the_tasks_of_several_cameras():
    path = real_data("egoprocel") / "egoprocel.json"
    with pytest.raises(DataError, match="5 problems") as caught:
        read_annotation(path)
    assert all(".cmu'" in problem and "unequal" in problem for problem in caught.value.problems)

    content = json.loads(path.read_text())
    tasks = [task for task in content if not task.endswith(".cmu")]
    annotation = read_annotation(path, tasks)
    assert len(annotation.tasks) == 11
    for video in annotation.videos:
        assert_valid(video.time_dict)
        entry_of_task = content[video.task]
        index = entry_of_task["handles"].index(video.handle)
        assert video.number_of_frames == entry_of_task["hdl_end_times"][index][-1] + 1
        labels = ["SIL" if label == "0" else label for label in entry_of_task["hdl_actions"][index]]
        assert video.time_dict["step"] == labels
