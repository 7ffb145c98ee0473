"""Small inputs that were read wrongly, or refused without a way out, and what must become of each."""

import json
import logging

import numpy as np
import pytest

import multitask_train
import predict
from tests.conftest import ROOT
from tests.prediction_runs import small_config, write_checkpoint
from tests.utils.data.builders import config_for, entry, write_annotation, write_features
from utils.annotation.importer import main as import_annotation
from utils.command import run_command
from utils.data.dataset import load_data
from utils.data.mstcn import main as convert
from utils.errors import BAD_INPUT, FAILED
from utils.prediction.predictor import ProgressPredictor

WIDTH = 8


@pytest.fixture
def check(tmp_path, monkeypatch, caplog, capsys):
    """Writes four videos alike, runs --check; returns the exit code and all that was said."""
    monkeypatch.setattr("utils.command.interrupt_on_sigterm", lambda: None)  # this process's handlers stay

    def run(frames, actions, starts, ends, *settings, videos=4, edit=None, command="--check"):
        caplog.clear()
        folder = tmp_path / "data" / "small"
        write_annotation(folder, {"tea": entry(*((f"v{i}", actions, starts, ends) for i in range(videos)))})
        for number in range(videos):
            length = frames(number) if callable(frames) else frames
            array = np.random.default_rng(number).normal(size=(length, WIDTH)).astype(np.float32)
            write_features(folder, f"v{number}", array if edit is None else edit(array))
        arguments = [
            "--config", str(ROOT / "configs" / "demo.py"), f"--config.DATASET_PATH={tmp_path / 'data'}",
            "--config.DATASET_NAME=small", f"--config.OUTPUT_FOLDER={tmp_path / 'output'}", "--config.DEVICE=cpu",
            "--config.FIT_PROGRESS=False", *(f"--config.{setting}" for setting in settings),
            *([command] if command else []),
        ]  # fmt: skip
        code = run_command(multitask_train.main, ["train", *arguments])
        return code, capsys.readouterr().out + "\n".join(caplog.messages)

    return run


def segments(tmp_path, *settings, frames):
    """The segments of the first video as loaded with these settings."""
    data = load_data(config_for(tmp_path / "data" / "small", **dict(settings)))
    times = data.train[0][1]
    assert times["end_frame"][-1] == frames - 1
    return list(zip(times["step"], times["start_frame"], times["end_frame"], strict=True))


EXCLUSIVE = ("SEGMENT_ENDS", "exclusive")
TAIL = ("UNLABELLED_TAIL", "background")


class TestEndsOfSegments:
    def test_1_exclusive_ends_with_gaps_of_one_frame(self, check, tmp_path):
        lists = 40, ["a", "b", "c", "d"], [0, 11, 21, 30], [10, 20, 30, 39]
        code, said = check(*lists)
        assert code == BAD_INPUT
        assert "'a' [0, 10] is frames 0 to 9 if ends are exclusive, 0 to 10 if inclusive" in said
        assert "SEGMENT_ENDS = 'exclusive'" in said
        assert check(*lists, "SEGMENT_ENDS=exclusive")[0] == 0
        assert segments(tmp_path, EXCLUSIVE, frames=40) == [
            ("a", 0, 9), ("SIL", 10, 10), ("b", 11, 19), ("SIL", 20, 20), ("c", 21, 29), ("d", 30, 39),
        ]  # fmt: skip

    def test_2_the_same_where_every_boundary_looks_inclusive_is_said_and_can_be_declared(self, check, tmp_path):
        lists = 30, ["a", "b", "c"], [0, 11, 21], [10, 20, 29]
        code, said = check(*lists)
        assert code == 0
        assert "segment ends are read as inclusive, since at each of 8 boundaries" in said
        assert "if gaps of one frame are meant: SEGMENT_ENDS = 'exclusive'" in said
        code, said = check(*lists, "SEGMENT_ENDS=exclusive")
        assert code == 0
        assert "6.7%" in said
        assert segments(tmp_path, EXCLUSIVE, frames=30) == [
            ("a", 0, 9), ("SIL", 10, 10), ("b", 11, 19), ("SIL", 20, 20), ("c", 21, 29),
        ]  # fmt: skip


class TestLengths:
    def test_3_a_tail(self, check, tmp_path):
        lists = 150, ["a", "b"], [0, 60], [50, 99]
        code, said = check(*lists)
        assert code == BAD_INPUT
        assert "the last 50 frames are in no segment: UNLABELLED_TAIL = 'background'" in said
        assert "proportional" not in said
        code, said = check(*lists, "UNLABELLED_TAIL=background")
        assert code == 0
        assert "(no label)" in said
        assert segments(tmp_path, TAIL, frames=150) == [("a", 0, 49), ("SIL", 50, 59), ("b", 60, 99), ("SIL", 100, 149)]

    def test_4_an_annotation_with_an_offset(self, check):
        code, said = check(1000, ["a", "b"], [10000, 10400], [10400, 10999])
        assert code == BAD_INPUT
        assert "starts at frame 10000, after the last frame: is it numbered in a longer recording?" in said
        assert "proportional" not in said

    def test_5_segments_after_the_end(self, check):
        code, said = check(1000, ["a", "b", "c"], [0, 500, 1150], [500, 1000, 1300])
        assert code == BAD_INPUT
        assert "segments end after the recording" in said
        assert "proportional" not in said
        code, said = check(1000, ["a", "b"], [0, 1002], [1002, 1008])
        assert code == BAD_INPUT
        assert "1000 frames of features, but the last segment starts at frame 1002" in said


class TestLabels:
    def test_6_numbers_as_labels(self, check):
        lists = 40, [0, 1, 2, 3], [0, 10, 20, 30], [10, 20, 30, 39]
        code, said = check(*lists)
        assert code == BAD_INPUT
        assert "the action is the number 0; expected a label, as text" in said
        code, said = check(*lists, "INTEGER_LABELS=take")
        assert code == 0
        assert [line.split() for line in said.splitlines() if line.startswith("0 ")] == [
            ["0", "25.0%", "4", "4", "background"]
        ]

    def test_6_numbers_as_labels_of_frames(self, tmp_path, caplog):
        source = tmp_path / "source"
        for part in ("groundTruth", "features"):
            (source / part).mkdir(parents=True)
        (source / "mapping.txt").write_text("0 0\n7 7\n10 10\n24 24\n")
        for handle in ("v0", "v1"):
            (source / "groundTruth" / f"{handle}.txt").write_text("10\n7\n0\n24\n" * 3)
            np.save(source / "features" / f"{handle}.npy", np.zeros((WIDTH, 12), np.float32))
        convert([str(source), str(tmp_path / "out")])
        assert "background by the default settings: '0'" in caplog.text

    @pytest.mark.parametrize("name", ["BG", "Background", "bg", "none"])
    def test_7_another_name_of_background(self, check, name):
        code, said = check(40, [name, "a"], [0, 20], [20, 39])
        assert code == 0
        assert f"the name looks like background: {name!r} (add it to BACKGROUND_LABELS)" in said


class TestFeatures:
    def test_8_fifty_transposed_files(self, check):
        code, said = check(
            lambda number: 40 + number, ["a", "b"], [0, 20], [20, 39], videos=50,
            edit=lambda array: np.ascontiguousarray(array.T),
        )  # fmt: skip
        assert code == BAD_INPUT
        assert "all 50 files have 8 frames, but 50 different widths" in said
        assert "FEATURE_LAYOUT = 'features_first'" in said
        assert "a frame has shape" not in said

    def test_9_no_success_without_a_step(self, check, tmp_path):
        code, said = check(
            40, ["a", "b", "c"], [0, 12, 25], [12, 25, 39], "LOSS_TYPE.GTCC=False", "LOSS_TYPE.tcc=True",
            "TCC_ORIGINAL_PARAMS.normalization=none",  # embeddings of one length would have finite losses
            "NUM_EPOCHS=2", "MAX_BAD_STEPS=1000", edit=lambda array: array * np.float32(1e18), command=None,
        )  # fmt: skip
        assert code == FAILED
        assert "steps were skipped because loss or gradient were not finite" in said
        assert "STANDARDIZE = True" in said
        assert "New best" not in said
        assert not list((tmp_path / "output").rglob("best*.pt"))

    def test_15_nothing_to_learn(self, check):
        code, said = check(40, ["background"], [0], [39])
        assert code == 0
        assert "warning: all frames are background: there is nothing to learn" in said
        code, said = check(40, ["a", "b"], [0, 20], [20, 39], edit=np.ones_like)
        assert code == 0
        assert "warning: the features never change in 4 recordings" in said


class TestPrediction:
    @pytest.fixture
    def predicted(self, tmp_path, monkeypatch, caplog):
        monkeypatch.setattr("utils.command.interrupt_on_sigterm", lambda: None)
        monkeypatch.chdir(tmp_path)
        self.checkpoint = write_checkpoint(tmp_path / "run", small_config())

        def run(*arguments):
            options = ["predict.py", "--checkpoint", str(self.checkpoint), *map(str, arguments)]
            with caplog.at_level(logging.INFO):
                return run_command(predict.main, options), "\n".join(caplog.messages)

        return run

    @pytest.mark.parametrize(
        "change", [lambda x: np.clip(x * 50 + 128, 0, 255).astype(np.uint8), lambda x: x * np.float32(1e6)]
    )
    def test_10_another_scale_is_said(self, predicted, tmp_path, change):
        np.save(tmp_path / "u8.npy", change(np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)))
        code, said = predicted(tmp_path / "u8.npy")
        assert code == 0
        assert "u8.npy: the features are " in said
        assert "standard deviations away from those of the training" in said

    def test_11_hidden_files_of_another_system(self, predicted, tmp_path):
        (tmp_path / "in").mkdir()
        np.save(tmp_path / "in" / "a.npy", np.random.default_rng(0).normal(size=(60, 5)))
        (tmp_path / "in" / "._a.npy").write_text("Mac OS X resource")
        code, _ = predicted(tmp_path / "in")
        assert code == 0
        assert sorted(path.name for path in (tmp_path / "predictions").iterdir()) == ["a.csv", "a.png"]

    def test_12_a_stream_takes_lists(self, predicted):
        features = np.random.default_rng(0).normal(size=(6, 5))
        predictor = ProgressPredictor.from_checkpoint(self.checkpoint)
        stream = predictor.stream()
        given = [progress for frame in features.tolist() for progress in stream.update(frame)]
        assert given == pytest.approx(predictor.predict(features.tolist()), abs=1e-6)


class TestConverter:
    @pytest.fixture
    def source(self, tmp_path):
        for part in ("groundTruth", "features"):
            (tmp_path / "source" / part).mkdir(parents=True)
        (tmp_path / "source" / "mapping.txt").write_text("0 SIL\n1 take\n")
        return tmp_path / "source"

    def refused(self, source, capsys):
        with pytest.raises(SystemExit) as left:
            convert([str(source), str(source.parent / "out")])
        assert left.value.code == BAD_INPUT
        return capsys.readouterr().err

    def test_13_labels_of_another_rate(self, source, capsys):
        for handle in ("v0", "v1"):
            (source / "groundTruth" / f"{handle}.txt").write_text("SIL\n" * 1000 + "take\n" * 1500)
            np.save(source / "features" / f"{handle}.npy", np.zeros((8, 100), np.float32))
        assert "labels of another rate? --scaling proportional" in self.refused(source, capsys)
        convert([str(source), str(source.parent / "out"), "--scaling", "proportional"])
        assert (source.parent / "out" / "out.json").is_file()

    def test_14_segments_instead_of_frames(self, source, capsys):
        (source / "groundTruth" / "v0.txt").write_text("1-30 SIL\n31-60 take\n")
        np.save(source / "features" / "v0.npy", np.zeros((8, 60), np.float32))
        said = self.refused(source, capsys)
        assert "lines such as '1-30 SIL', which are segments" in said
        assert "--format breakfast_coarse" in said


def test_16_actions_at_once(check, tmp_path):
    lists = ["a", "b", "c", "d"], [234, 333, 517, 632], [332, 506, 808, 680]
    code, said = check(900, *lists)
    assert code == BAD_INPUT
    assert "starts at frame 632, but frames up to 808 belong to an earlier segment" in said
    assert "two actions at once? --overlap of utils.annotation.importer chooses one" in said
    rows = [f"v0,{label},{start},{end}" for label, start, end in zip(*lists, strict=True)]
    (tmp_path / "list.csv").write_text("video,label,start,end\n" + "\n".join(rows) + "\n")
    arguments = [
        str(tmp_path / "list.csv"), str(tmp_path / "imported"), "--format", "table", "--unit", "frames", "--ends",
        "inclusive", "--length", "900", "--unlabelled", "background", "--overlap", "cut",
    ]  # fmt: skip
    assert import_annotation(arguments) == 0
    (task,) = json.loads((tmp_path / "imported" / "imported.json").read_text()).values()
    assert task["hdl_actions"] == [["background", "a", "b", "background", "c", "d", "background"]]
