"""The command that aligns two recordings, as a user runs it."""

import csv

import numpy as np
import pytest

from tests.prediction_runs import WIDTH, recording, small_config, write_checkpoint
from utils.command import run_command
from utils.errors import BAD_INPUT
from utils.metrics import frame_alignment
from utils.prediction import align
from utils.prediction.predictor import ProgressPredictor

SHIFT = 7


def spiral(first, last):
    """Frames of a curve that never comes near itself: frame i is the moment i."""
    moments = np.arange(first, last, dtype=np.float64)
    return np.stack([moments / 10, np.cos(moments / 5), np.sin(moments / 5)], axis=1)


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run_command(align.main, ["align", *map(str, arguments)])


def write(folder, **arrays):
    folder.mkdir(exist_ok=True)
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    return [folder / f"{name}.npy" for name in arrays]


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def frames(rows, method):
    chosen = [row for row in rows if row["method"] == method]
    assert [int(row["frame_a"]) for row in chosen] == list(range(len(chosen)))
    return [int(row["frame_b"]) for row in chosen]


def test_the_methods_are_those_that_there_are():
    assert align.METHODS == frame_alignment.METHODS


class TestKnownShift:
    """A shows moments 7 to 46, B moments 0 to 59: frame i of A is frame i + 7 of B."""

    def test_nearest_neighbours_and_time_warping_find_it(self, command, tmp_path):
        files = write(tmp_path, a=spiral(SHIFT, 47), b=spiral(0, 60))
        assert command(*files) == 0
        rows = table(tmp_path / "alignments" / "a+b.csv")
        assert list(rows[0]) == ["method", "frame_a", "frame_b", "distance"]
        expected = [i + SHIFT for i in range(40)]
        assert frames(rows, "nearest") == expected
        assert frames(rows, "time_warping") == expected
        assert max(float(row["distance"]) for row in rows) < 1e-6
        assert (tmp_path / "alignments" / "a+b.png").read_bytes().startswith(b"\x89PNG")

    def test_one_method_with_seconds(self, command, tmp_path):
        files = write(tmp_path, a=spiral(SHIFT, 47), b=spiral(0, 60))
        assert command(*files, "--method", "nearest", "--frame-rate", "5", "--output", "out") == 0
        rows = table(tmp_path / "out" / "a+b.csv")
        assert {row["method"] for row in rows} == {"nearest"}
        assert rows[3] == {
            "method": "nearest", "frame_a": "3", "frame_b": "10", "distance": "0", "second_a": "0.600",
            "second_b": "2.000",
        }  # fmt: skip

    def test_frames_in_another_order_are_found_by_neighbours_alone(self, command, tmp_path):
        moments = spiral(0, 40)
        swapped = np.concatenate([moments[20:], moments[:20]])
        assert command(*write(tmp_path, a=swapped, b=moments)) == 0
        rows = table(tmp_path / "alignments" / "a+b.csv")
        assert frames(rows, "nearest") == [*range(20, 40), *range(20)]
        warped = frames(rows, "time_warping")
        assert warped == sorted(warped)


@pytest.mark.parametrize("skip_rate", [1, 3])
def test_with_a_checkpoint_its_embeddings_are_aligned(command, tmp_path, skip_rate):
    """A checkpoint without normalisers does, for no progress is read."""
    config = small_config(SKIP_RATE=skip_rate)
    path = write_checkpoint(tmp_path / "run", config, embeddings=False, progress_normalizers=None)
    one, two = (recording(seed, count).numpy() for seed, count in ((1, 30), (2, 41)))
    assert command(*write(tmp_path, a=one, b=two), "--checkpoint", path) == 0
    with_path = write_checkpoint(tmp_path / "other", config, embeddings=False)
    predictor = ProgressPredictor.from_checkpoint(with_path)
    embeddings = [predictor.predict_with_embedding(each)[1][::skip_rate] for each in (one, two)]
    rows = table(tmp_path / "alignments" / "a+b.csv")
    for method in align.METHODS:
        found = frame_alignment.align_frames(*embeddings, method)
        chosen = [row for row in rows if row["method"] == method]
        assert [int(row["frame_a"]) for row in chosen] == [skip_rate * i for i in range(len(found.indices))]
        assert [int(row["frame_b"]) for row in chosen] == [skip_rate * i for i in found.indices]
        np.testing.assert_allclose([float(row["distance"]) for row in chosen], found.distances, rtol=1e-4, atol=1e-5)


class TestOddInput:
    @pytest.mark.parametrize("lengths", [(1, 1), (1, 9), (9, 1)])
    def test_one_frame_is_legal(self, command, tmp_path, lengths):
        assert command(*write(tmp_path, a=spiral(0, lengths[0]), b=spiral(0, lengths[1]))) == 0
        assert len(table(tmp_path / "alignments" / "a+b.csv")) == 2 * lengths[0]

    def test_any_name_and_the_same_name_in_two_folders(self, command, tmp_path):
        name = "mein Vidéo 茶 #1 $x_{$"
        files = [*write(tmp_path / "one", **{name: spiral(0, 5)}), *write(tmp_path / "two", **{name: spiral(0, 6)})]
        assert command(*files) == 0
        written = list((tmp_path / "alignments").iterdir())
        assert sorted(path.suffix for path in written) == [".csv", ".png"]

    def test_other_widths_are_said_with_both_names(self, command, tmp_path, caplog):
        assert command(*write(tmp_path, a=np.zeros((4, 3)), b=np.zeros((4, 5)))) == BAD_INPUT
        assert "a.npy has width 3 and" in caplog.text
        assert "b.npy has width 5" in caplog.text

    def test_all_problems_at_once(self, command, tmp_path, caplog):
        files = write(tmp_path, a=np.full((4, 3), np.nan))
        assert command(*files, tmp_path / "gone.npy") == BAD_INPUT
        assert "2 problems" in caplog.text
        assert "a.npy: holds a value that isn't finite" in caplog.text
        assert "gone.npy: no such feature file" in caplog.text
        assert not (tmp_path / "alignments").exists()

    def test_a_recording_of_another_width_than_the_checkpoint_reads(self, command, tmp_path, caplog):
        path = write_checkpoint(tmp_path / "run")
        assert command(*write(tmp_path, a=np.zeros((9, WIDTH)), b=np.zeros((9, 3))), "--checkpoint", path) == BAD_INPUT
        assert f"b.npy: has shape (9, 3), frames first; expected at least 1 frame of width {WIDTH}" in caplog.text

    @pytest.mark.parametrize(("arguments", "message"), [
        (["--frame-rate", "0"], "above 0"),
        (["--frame-rate", "nan"], "above 0"),
        (["--method", "other"], "invalid choice"),
        (["--folder", "run"], "there is none"),
    ])
    def test_wrong_options(self, command, capsys, arguments, message):
        with pytest.raises(SystemExit) as stopped:
            command("a.npy", "b.npy", *arguments)
        assert stopped.value.code == BAD_INPUT
        assert message in capsys.readouterr().err
