import pytest

from tests.utils.data.builders import config_for, entry, features_of, write_annotation, write_features
from utils.data.annotation import read_annotation
from utils.data.dataset import load_data
from utils.data.segment_ends import read_ends
from utils.errors import DataError

TOUCHING = ["a", "b", "c"], [0, 10, 20], [10, 20, 29]
FOLLOWING = ["a", "b", "c"], [0, 11, 21], [10, 20, 29]
GAPS = ["a", "b", "c"], [0, 12, 23], [10, 20, 29]
MIXED = ["a", "b", "c", "d"], [0, 11, 21, 30], [10, 20, 30, 39]


def video(name, lists):
    return ("tea", name, *lists)


def spans(folder, videos, **settings):
    """Label, first and last frame of every segment of the first video, as loaded."""
    write_annotation(folder, {"tea": entry(*((f"v{number}", *lists) for number, lists in enumerate(videos)))})
    for number, lists in enumerate(videos):
        write_features(folder, f"v{number}", features_of(f"v{number}", lists[2][-1] + 1))
    data = load_data(config_for(folder, **settings), with_warnings=True)
    times = data.train[0][1]
    return list(zip(times["step"], times["start_frame"], times["end_frame"], strict=True)), data


@pytest.mark.parametrize(
    ("lists", "setting", "exclusive"),
    [
        (TOUCHING, "auto", True),
        (FOLLOWING, "auto", False),
        (GAPS, "auto", True),
        (TOUCHING, "inclusive", False),
        (FOLLOWING, "exclusive", True),
        (GAPS, "inclusive", False),
        (MIXED, "exclusive", True),
        (MIXED, "inclusive", False),
        ((["a"], [0], [9]), "auto", True),
    ],
)
def test_auto_takes_what_all_boundaries_show_and_a_declaration_always_holds(lists, setting, exclusive):
    ends = read_ends([video("v", lists)], setting)
    assert ends.are_exclusive(*lists[1:]) is exclusive
    assert ends.problem("file.json") is None


def test_a_segment_of_one_frame_shows_inclusive_ends():
    ends = read_ends([video("v", (["a", "b"], [0, 5], [0, 9]))], "auto")
    assert (ends.exclusive, ends.inclusive) == (0, 1)
    # The last end is inclusive in any case, and shows nothing.
    assert read_ends([video("v", (["a", "b"], [0, 5], [5, 5]))], "auto").inclusive == 0


def test_disagreeing_boundaries_show_both_readings_of_the_first_segment(tmp_path):
    path = write_annotation(tmp_path / "set", {"tea": entry(("v0", *TOUCHING), ("v1", *FOLLOWING))})
    with pytest.raises(DataError) as caught:
        read_annotation(path)
    (problem,) = caught.value.problems
    assert problem.startswith(
        f"{path}: task 'tea', video 'v0', segment 0: 'a' [0, 10] is frames 0 to 9 if ends are exclusive, 0 to 10 if "
        f"inclusive."
    )
    assert "2 boundaries say exclusive, 2 say inclusive" in problem
    assert "in video 'v1', segment 0: 'a' [0, 10]" in problem
    assert "SEGMENT_ENDS = 'exclusive'" in problem
    assert read_annotation(path, segment_ends="exclusive").videos[1].time_dict["start_frame"] == [0, 10, 11, 20, 21]


def test_unselected_tasks_count_too_so_that_a_selection_reads_no_file_otherwise(tmp_path):
    path = write_annotation(tmp_path / "set", {"tea": entry(("v0", *GAPS)), "toast": entry(("v1", *FOLLOWING))})
    for tasks in ((), ("tea",)):
        assert read_annotation(path, tasks).videos[0].time_dict["end_frame"][0] == 10
    assert read_annotation(write_annotation(tmp_path / "only", {"tea": entry(("v0", *GAPS))})).videos[0].time_dict[
        "end_frame"
    ][0] == 9


def test_the_summary_says_how_ends_were_read(tmp_path):
    found, data = spans(tmp_path / "touching", [TOUCHING] * 2, SEGMENT_ENDS="auto")
    assert found == [("a", 0, 9), ("b", 10, 19), ("c", 20, 29)]
    assert "segment ends are read as exclusive, since at each of 4 boundaries" in data.summary()
    found, data = spans(tmp_path / "following", [FOLLOWING] * 2, SEGMENT_ENDS="auto")
    assert found == [("a", 0, 10), ("b", 11, 20), ("c", 21, 29)]
    assert "segment ends are read as inclusive, since at each of 4 boundaries" in data.summary()
    assert "if gaps of one frame are meant: SEGMENT_ENDS = 'exclusive'" in data.summary()
    found, data = spans(tmp_path / "gaps", [GAPS] * 2, SEGMENT_ENDS="auto")
    assert found[0] == ("a", 0, 9)
    assert "but no boundary shows it; as in video 'v0': 'a' [0, 10] is frames 0 to 9" in data.summary()
    found, data = spans(tmp_path / "declared", [MIXED] * 2, SEGMENT_ENDS="exclusive")
    assert found[:4] == [("a", 0, 9), ("SIL", 10, 10), ("b", 11, 19), ("SIL", 20, 20)]
    assert "read as exclusive, as SEGMENT_ENDS declares" in data.summary()
    _, data = spans(tmp_path / "single", [(["a"], [0], [9])] * 2, SEGMENT_ENDS="auto")
    assert "both conventions mean the same" in data.summary()


def test_a_configuration_from_before_the_setting_reads_by_majority_and_says_so_where_it_matters(tmp_path):
    half = ["a", "b", "c"], [0, 10, 21], [10, 20, 29]  # one boundary each
    found, data = spans(tmp_path / "old", [half, TOUCHING])
    assert found == [("a", 0, 9), ("b", 10, 19), ("SIL", 20, 20), ("c", 21, 29)]
    (note,) = data.notes
    assert "exclusive ends at 3 boundaries and inclusive ones at 1; each video is read by its own majority" in note
    _, data = spans(tmp_path / "agreeing", [TOUCHING] * 2)
    assert data.notes == ()
    with pytest.raises(DataError, match="The file shows both"):
        spans(tmp_path / "new", [half, TOUCHING], SEGMENT_ENDS="auto")
