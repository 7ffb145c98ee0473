"""LeRobot in and out; without pyarrow, the line that installs it."""

import importlib.util
import json
import sys
from fractions import Fraction

import numpy as np
import pytest

from utils.annotation import importer
from utils.annotation.exporters import ExportOptions, Outline, exporter_of
from utils.annotation.readers import ReadOptions, reader_of
from utils.errors import DataError, MissingExtraError

needs_pyarrow = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is an extra")
LENGTHS = (30, 20, 25)


def test_without_pyarrow_the_line_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r'pip install "\.\[lerobot\]"'):
        reader_of("lerobot")(tmp_path, ReadOptions(), [])
    outline = Outline("episode_000000", [], 1, [0.5])
    with pytest.raises(MissingExtraError, match="pyarrow"):
        exporter_of("lerobot")([outline], tmp_path, ExportOptions(Fraction(30), Fraction(30)))


def write_set(folder, levels=("dense",)):
    """A data set of three episodes over two files of frames, in the form of version 3."""
    import pyarrow
    import pyarrow.parquet as parquet

    (folder / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
    (folder / "data" / "chunk-000").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text(json.dumps({"codebase_version": "v3.0", "fps": 30}))
    episodes = {
        "episode_index": [0, 1, 2], "length": list(LENGTHS), "tasks": [["stack the cube"]] * 3,
        "dataset_from_index": [0, 30, 50], "dataset_to_index": [30, 50, 75],
    }  # fmt: skip
    for level in levels:
        episodes[f"{level}_subtask_names"] = [["reach", "grasp"], ["reach", "grasp"], ["reach", "drop", "grasp"]]
        episodes[f"{level}_subtask_start_frames"] = [[0, 12], [0, 8], [0, 10, 10]]
        episodes[f"{level}_subtask_end_frames"] = [[12, 30], [8, 19], [10, 9, 25]]
    parquet.write_table(pyarrow.table(episodes), folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet")
    index = np.concatenate([np.full(length, number) for number, length in enumerate(LENGTHS)])
    state = np.arange(2 * len(index), dtype=np.float32).reshape(-1, 2)
    for number, part in enumerate((slice(0, 40), slice(40, None))):  # an episode runs from one file into the next
        columns = {"episode_index": index[part], "observation.state": list(state[part])}
        parquet.write_table(pyarrow.table(columns), folder / "data" / "chunk-000" / f"file-00{number}.parquet")
    return state


@needs_pyarrow
def test_sub_tasks_and_features_of_a_data_set(tmp_path, capsys):
    state = write_set(tmp_path / "source")
    output = tmp_path / "data" / "robot"
    importer.main([
        str(tmp_path / "source"), str(output), "--format", "lerobot", "--lerobot-features", "observation.state",
    ])  # fmt: skip
    content = json.loads((output / "robot.json").read_text())
    entry = content["stack the cube"]
    assert entry["handles"] == ["episode_000000", "episode_000001", "episode_000002"]
    assert entry["hdl_start_times"] == [[0, 12], [0, 8], [0, 10]]
    assert entry["hdl_end_times"] == [[12, 29], [8, 19], [10, 24]]
    np.testing.assert_array_equal(np.load(output / "features" / "episode_000001.npy"), state[30:50])
    printed = capsys.readouterr().out
    assert "1 sub-tasks that end before they begin" in printed
    assert "frames from 0, ends exclusive, 30 frames/s" in printed


@needs_pyarrow
def test_a_level_must_be_named_where_there_are_several(tmp_path):
    write_set(tmp_path / "both", ("dense", "sparse"))
    problems = []
    reader_of("lerobot")(tmp_path / "both", ReadOptions(), problems)
    assert "--level with one of dense, sparse" in problems[0]
    problems.clear()
    assert len(reader_of("lerobot")(tmp_path / "both", ReadOptions(level="sparse"), problems)) == 3
    write_set(tmp_path / "none", ())
    reader_of("lerobot")(tmp_path / "none", ReadOptions(), problems)
    assert "has no sub-tasks" in problems[0]


@needs_pyarrow
def test_progress_has_the_columns_and_types_that_lerobot_reads(tmp_path):
    import pyarrow.parquet as parquet

    outlines = [Outline("episode_000001", [], 2, [0.25, 1.0]), Outline("episode_000000", [], 3, [0.0, 0.5, 1.0])]
    (path,) = exporter_of("lerobot")(outlines, tmp_path, ExportOptions(Fraction(30), Fraction(30), model="run-003"))
    table = parquet.read_table(path)
    assert {name: str(table.schema.field(name).type) for name in table.column_names} == {
        "index": "int64", "episode_index": "int64", "frame_index": "int64", "progress_sparse": "float",
    }  # fmt: skip
    assert table.to_pydict() == {
        "index": [0, 1, 2, 3, 4], "episode_index": [0, 0, 0, 1, 1], "frame_index": [0, 1, 2, 0, 1],
        "progress_sparse": [0.0, 0.5, 1.0, 0.25, 1.0],
    }  # fmt: skip
    assert table.schema.metadata[b"reward_model_path"] == b"run-003"


@pytest.mark.parametrize(("outlines", "expected"), [
    ([Outline("kitchen", [], 1, [0.5])], "ends in no number"),
    ([Outline("episode_000001", [], 1, [0.5])], "the episode 0 is missing"),
    ([Outline("a_0", [], 1, [0.5]), Outline("b_0", [], 1, [0.5])], "has the number of 'a_0'"),
    ([Outline("episode_000000", [], 1)], "has no progress"),
    ([Outline("episode_000000", [], 1, [1.5])], "outside 0 to 1"),
])  # fmt: skip
def test_what_is_no_progress_of_all_episodes(tmp_path, outlines, expected):
    with pytest.raises(DataError, match=expected):
        exporter_of("lerobot")(outlines, tmp_path, ExportOptions(Fraction(30), Fraction(30)))
