"""The whole way: conventions, rates, lengths, labels, and files that this project's own reader can't take otherwise."""

import json
import logging
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.utils.annotation.forms import FORMS
from tests.utils.video.clips import picture, write_clip
from utils.annotation import importer
from utils.annotation.importing import Imported, ImportOptions, import_annotation
from utils.annotation.readers import ReadOptions
from utils.annotation.recording import Convention, Recording
from utils.annotation.timeline import FrameSegment, Rules, lay_out
from utils.annotation.writing import annotation_of, split_of
from utils.data.annotation import read_annotation
from utils.data.segments import BACKGROUND
from utils.errors import ConfigError, DataError
from utils.video import extract

ROOT = Path(__file__).resolve().parents[3]


def table(path, rows, header="label,start,end"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def features(folder, **lengths):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for name, length in lengths.items():
        np.save(folder / f"{name}.npy", generator.normal(size=(length, 8)).astype(np.float32))
    return folder


def pieces(source, unit="frames", rules=None, **options):
    """(label, start, end) of the one recording."""
    options.setdefault("length", "last")
    options.setdefault("ends", "exclusive" if unit == "frames" else None)
    options = ImportOptions(ReadOptions(unit=unit), rules=rules or Rules(unlabelled="background"), **options)
    (timeline,) = import_annotation(source, "table", "task", options).timelines
    return [tuple(piece) for piece in timeline.pieces]


def refusal(source, unit="frames", **options):
    options.setdefault("ends", "exclusive" if unit == "frames" else None)
    with pytest.raises(DataError) as caught:
        import_annotation(source, "table", "task", ImportOptions(ReadOptions(unit=unit), **options))
    return "\n".join(caught.value.problems)


class TestConventions:
    def test_ends_and_first_frame(self, tmp_path):
        path = table(tmp_path / "a.csv", ["a,1,10", "b,11,20"])
        both = [("a", 0, 10), ("b", 10, 20)]
        assert pieces(path, ends="inclusive", first_frame=1) == both
        assert pieces(path, ends="inclusive") == [("background", 0, 1), ("a", 1, 11), ("b", 11, 21)]
        assert pieces(path, first_frame=1) == [("a", 0, 9), ("background", 9, 10), ("b", 10, 19)]

    def test_gaps_and_overlaps_of_one_frame_name_the_likely_cause(self, tmp_path):
        path = table(tmp_path / "a.csv", ["a,0,10", "b,11,20", "c,21,30"])
        assert "--ends inclusive" in refusal(path, length="last")
        path = table(tmp_path / "b.csv", ["a,0,10", "b,10,20", "c,20,30"])
        assert "--ends exclusive" in refusal(path, length="last", ends="inclusive")
        path = table(tmp_path / "c.csv", ["a,0,10", "b,10,20"])
        assert "--first-frame 0" in refusal(path, length="last", first_frame=1)

    def test_the_ends_of_frame_numbers_in_a_table_must_be_said(self, tmp_path):
        path = table(tmp_path / "a.csv", ["a,0,10", "b,11,20"])
        assert "--ends inclusive" in refusal(path, ends=None)

    @pytest.mark.parametrize(("rows", "options", "expected"), [
        (["a,0,10", "b,11,20", "c,21,30"], {}, "every gap is one frame"),
        (["a,0,10", "b,10,20", "c,20,30"], {"ends": "inclusive"}, "every overlap is one frame"),
        (["a,1,10", "b,10,20"], {}, "are frames counted from 1?"),
    ])  # fmt: skip
    def test_a_rule_does_not_hide_that_a_convention_may_be_wrong(self, tmp_path, rows, options, expected):
        path = table(tmp_path / "a.csv", rows)
        rules = Rules("cut", "background")
        options = ImportOptions(
            ReadOptions(unit="frames"), length="last", rules=rules, **{"ends": "exclusive", **options}
        )
        assert expected in "\n".join(import_annotation(path, "table", "task", options).notes)

    def test_a_boundary_becomes_the_nearest_between_two_frames(self, tmp_path):
        path = table(tmp_path / "a.csv", ["a,0,1.04", "b,1.04,1.96", "c,1.96,3.05"])
        assert pieces(path, "seconds", frame_rate=Fraction(10)) == [("a", 0, 10), ("b", 10, 20), ("c", 20, 31)]

    def test_milliseconds_and_broken_rates(self, tmp_path):
        path = table(tmp_path / "a.csv", ["a,0,1001", "b,1001,2002"])
        rate = Fraction(30000, 1001)
        assert pieces(path, "milliseconds", frame_rate=rate) == [("a", 0, 30), ("b", 30, 60)]

    def test_frame_numbers_at_another_rate(self, tmp_path):
        path = table(tmp_path / "a.csv", ["a,0,50", "b,50,125"])
        rates = {"annotation_rate": Fraction(25), "frame_rate": Fraction(1)}
        assert pieces(path, **rates) == [("a", 0, 2), ("b", 2, 5)]
        assert pieces(path, frame_rate=Fraction(1)) == [("a", 0, 50), ("b", 50, 125)]

    def test_seconds_need_the_rate_of_the_features(self, tmp_path):
        path = table(tmp_path / "a.csv", ["a,0,50"])
        assert "--frame-rate" in refusal(path, "seconds", length="last")
        assert "are seconds" in refusal(path, "seconds", frame_rate=Fraction(1), length="last", ends="inclusive")

    def test_an_annotation_numbered_in_a_longer_recording(self, tmp_path):
        path = table(tmp_path / "a.csv", ["attach,10000,10400", "screw,10400,10999"])
        folder = features(tmp_path / "features", a=1000)
        assert pieces(path, features=folder, offset="10000") == [("attach", 0, 400), ("screw", 400, 1000)]
        offsets = tmp_path / "offsets.csv"
        offsets.write_text("recording,offset\na,10000\n")
        assert pieces(path, features=folder, offset=str(offsets))[0] == ("attach", 0, 400)
        assert "--offset" in refusal(path, features=folder)
        assert "does not name it" in refusal(
            path, features=folder, offset=str(table(tmp_path / "o.csv", ["b,1"], "recording,offset"))
        )


class TestLengths:
    def test_a_tail_is_a_question(self, tmp_path):
        path = table(tmp_path / "a.csv", ["a,0,50", "b,50,99"])
        assert "the length of 1 recordings is not known" in refusal(path)
        assert "--unlabelled background" in refusal(path, features=features(tmp_path / "f", a=150))
        found = pieces(path, features=tmp_path / "f")
        assert found == [("a", 0, 50), ("b", 50, 99), ("background", 99, 150)]
        assert pieces(path, length="150") == found
        lengths = tmp_path / "lengths.csv"
        lengths.write_text("recording,length\na,150\n")
        assert pieces(path, length=str(lengths)) == found

    def test_an_end_after_the_recording_is_cut_by_rule_alone(self, tmp_path):
        path = table(tmp_path / "a.csv", ["a,0,500", "b,500,1000", "c,1150,1300"])
        folder = features(tmp_path / "f", a=1000)
        assert "--outside cut" in refusal(path, features=folder)
        rules = Rules(outside="cut")
        assert pieces(path, features=folder, rules=rules) == [("a", 0, 500), ("b", 500, 1000)]

    def test_another_rate_is_suspected_where_all_recordings_agree(self, tmp_path):
        for number, end in enumerate((250, 500)):
            table(tmp_path / "s" / f"v{number}.csv", [f"a,0,{end // 2}", f"b,{end // 2},{end}"])
        folder = features(tmp_path / "f", v0=10, v1=20)
        assert "is it at another rate?" in refusal(tmp_path / "s", features=folder)

    def test_features_first_is_found_out_and_used(self, tmp_path):
        folder = tmp_path / "f"
        folder.mkdir()
        for name, length in (("a", 30), ("b", 40)):
            np.save(folder / f"{name}.npy", np.zeros((8, length), np.float32))
            table(tmp_path / "s" / f"{name}.csv", [f"x,0,{length}"])
        options = ImportOptions(ReadOptions(unit="frames"), ends="exclusive", features=folder)
        imported = import_annotation(tmp_path / "s", "table", "task", options)
        assert imported.features.layout == "features_first"
        assert [timeline.length for timeline in imported.timelines] == [30, 40]

    def test_recordings_without_features(self, tmp_path):
        for name in ("kitchen_1", "kitchen_2"):
            table(tmp_path / "s" / f"{name}.csv", ["x,0,10"])
        folder = features(tmp_path / "f", kitchen_1=10, kitchen_3=10)
        assert "holds no kitchen_2.npy; did you mean 'kitchen_" in refusal(tmp_path / "s", features=folder)
        options = ImportOptions(ReadOptions(unit="frames"), ends="exclusive", features=folder, only_with_features=True)
        imported = import_annotation(tmp_path / "s", "table", "task", options)
        assert (imported.without_features, imported.unused_features) == (["kitchen_2"], ["kitchen_3"])


class TestLabels:
    def test_numbers_are_refused_named_or_taken(self, tmp_path):
        path = table(tmp_path / "a.csv", ["0,0,10", "1,10,20"])
        assert "--names FILE" in refusal(path, length="last")
        names = tmp_path / "names.txt"
        names.write_text("0 boil\n1 stir milk\n")
        assert pieces(path, names=names) == [("boil", 0, 10), ("stir milk", 10, 20)]
        assert "the label '0' means background in the default settings" in refusal(
            path, length="last", number_labels=True
        )
        assert pieces(path, number_labels=True, background=("0",)) == [("0", 0, 10), ("1", 10, 20)]

    @pytest.mark.parametrize("label", ["Null", "G0"])
    def test_what_the_defaults_take_for_background_must_be_said(self, tmp_path, label):
        path = table(tmp_path / "a.csv", [f"{label},0,10", "a,10,20"])
        assert f"--background {label}" in refusal(path, length="last")

    def test_near_misses_of_background_are_pointed_out(self, tmp_path):
        path = table(tmp_path / "a.csv", ["BG,0,10", "No action,10,20", "Pour,20,30", "pour,30,40"])
        options = ImportOptions(ReadOptions(unit="frames"), ends="exclusive", length="last")
        notes = "\n".join(import_annotation(path, "table", "task", options).notes)
        assert "'BG' is taken as an action" in notes
        assert "'No action' is taken as an action" in notes
        assert "'Pour', 'pour' are taken as different actions" in notes

    def test_renaming_merges_and_says_what_it_did_not_find(self, tmp_path):
        path = table(tmp_path / "a.csv", ["cut tomato,0,10", "cut cheese,10,20", "mix,20,30"])
        pairs = tmp_path / "pairs.csv"
        pairs.write_text("cut tomato,cut\ncut cheese,cut\npeel,cut\n")
        assert pieces(path, rename=pairs) == [("cut", 0, 10), ("cut", 10, 20), ("mix", 20, 30)]
        options = ImportOptions(ReadOptions(unit="frames"), ends="exclusive", length="last", rename=pairs)
        assert any("'peel'" in note for note in import_annotation(path, "table", "t", options).notes)
        pairs.write_text("mix,cut\nmix,stir\n")
        assert "is renamed twice" in refusal(path, length="last", rename=pairs)

    def test_dropped_labels(self, tmp_path):
        path = table(tmp_path / "a.csv", ["a,0,10", "talks,2,4", "b,10,20"])
        assert pieces(path, drop=("talks",)) == [("a", 0, 10), ("b", 10, 20)]
        assert "--drop names 'walks'" in refusal(path, length="last", drop=("walks",))
        assert "did you mean 'talks'?" in refusal(path, length="last", background=("walks",))


class TestNames:
    def test_a_name_must_be_unique_and_plain(self, tmp_path):
        path = table(tmp_path / "a.csv", ["x/1.mp4,a,0,10", "y/1.mp4,a,0,10"], "video,label,start,end")
        assert "the recording occurs twice" in refusal(path, length="last")
        options = ImportOptions(ReadOptions(unit="frames"), ends="exclusive", length="last", name_pattern=r"^(\w)/")
        imported = import_annotation(path, "table", "task", options)
        assert [recording.name for recording in imported.recordings] == ["x", "y"]
        path = table(tmp_path / "a.csv", ["..,a,0,10"], "video,label,start,end")
        assert "leaves the data folder" in refusal(path, length="last")

    def test_the_task_by_a_pattern(self, tmp_path):
        path = table(tmp_path / "S1_Cheese_C1.csv", ["a,0,10"])
        options = ImportOptions(
            ReadOptions(unit="frames"), ends="exclusive", length="last", task_pattern="_([A-Za-z]+)_"
        )
        assert import_annotation(path, "table", "t", options).recordings[0].task == "Cheese"
        assert "finds no task" in refusal(path, length="last", task_pattern="_([0-9]+)_")


def test_splits_of_a_file(tmp_path):
    for name in ("a", "b", "c"):
        table(tmp_path / "s" / f"{name}.csv", ["x,0,10"])
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"train": ["a.mp4", "z"], "validation": ["b"], "extra": []}))
    options = ImportOptions(ReadOptions(unit="frames"), ends="exclusive", length="last", splits=path)
    imported = import_annotation(tmp_path / "s", "table", "task", options)
    assert [recording.split for recording in imported.recordings] == ["train", "val", None]
    assert split_of(imported) == {"train": ["a"], "val": ["b"], "test": []}
    assert any("names 1 recordings that are not here (z)" in note for note in imported.notes)
    path.write_text(json.dumps({"train": ["a"], "test": ["a"]}))
    assert "is in 'train' and again in 'test'" in refusal(tmp_path / "s", length="last", splits=path)


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(1, 12)), min_size=1, max_size=5),
        min_size=1, max_size=4,
    ),
    st.integers(1, 60),
)  # fmt: skip
def test_the_written_annotation_is_read_as_it_was_meant(tmp_path_factory, videos, length):
    """Whatever the segments, this project's reader sees the same label in every frame: no form of ends is mistaken."""
    rules = Rules("last", "background", "cut", minimum_length=1)
    recordings, timelines = [], []
    for number, segments in enumerate(videos):
        frames = [FrameSegment(label, start, start + count) for label, start, count in segments]
        timelines.append(lay_out(frames, length, rules))
        recordings.append(Recording(f"v{number}", [], Convention("frames"), Path("a"), "task"))
    imported = Imported(recordings, timelines, [], None, 0, [], [], [])
    path = tmp_path_factory.mktemp("written") / "a.json"
    path.write_text(json.dumps(annotation_of(imported)))
    for video, timeline in zip(read_annotation(path).videos, timelines, strict=True):
        times = video.time_dict
        read = [
            step
            for step, start, end in zip(times["step"], times["start_frame"], times["end_frame"], strict=True)
            for _ in range(start, end + 1)
        ]
        meant = [piece.label for piece in timeline.pieces for _ in range(piece.start, piece.end)]
        assert read == [BACKGROUND if label == "background" else label for label in meant]


class TestCommand:
    def run(self, *arguments):
        return importer.main([str(argument) for argument in arguments])

    def test_nothing_is_written_where_there_is_a_problem(self, tmp_path):
        path = table(tmp_path / "a.csv", ["a,5,10", "b,8,20"])
        with pytest.raises(DataError) as caught:
            self.run(
                path,
                tmp_path / "data" / "x",
                "--format",
                "table",
                "--unit",
                "frames",
                "--ends",
                "exclusive",
                "--length",
                "last",
            )
        assert len(caught.value.problems) == 1
        assert not (tmp_path / "data").exists()

    def test_an_unknown_format_names_the_nearest(self, tmp_path):
        with pytest.raises(ConfigError, match="did you mean 'elan'"):
            self.run(tmp_path, tmp_path / "x", "--format", "elam")

    def test_a_split_of_another_import_is_not_left_behind(self, tmp_path):
        arguments = ("--format", "table", "--unit", "frames", "--ends", "exclusive", "--length", "last")
        path = table(tmp_path / "a.csv", ["a,0,10"])
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "split.json").write_text("{}")
        with pytest.raises(DataError, match="is left over from another import"):
            self.run(path, tmp_path / "x", *arguments)

    def test_a_configuration_that_is_there_is_kept(self, tmp_path, capsys):
        arguments = ("--format", "table", "--unit", "frames", "--ends", "exclusive", "--length", "last")
        path = table(tmp_path / "a.csv", ["a,0,10"])
        self.run(path, tmp_path / "x", *arguments)
        config = tmp_path / "x" / "x.py"
        config.write_text(config.read_text() + "# mine\n")
        self.run(path, tmp_path / "x", *arguments)
        assert "# mine" in config.read_text()
        assert "kept" in capsys.readouterr().out

    def test_names_that_would_be_code_stay_text(self, tmp_path):
        path = table(tmp_path / 'a"""; import os.csv', ["a,0,10"])
        self.run(
            path,
            tmp_path / "x",
            "--format",
            "table",
            "--unit",
            "frames",
            "--ends",
            "exclusive",
            "--length",
            "last",
            "--background",
            "a",
        )
        compile((tmp_path / "x" / "x.py").read_text(), "x.py", "exec")
        assert "import os" not in (tmp_path / "x" / "x.py").read_text().partition('"""\n\nfrom')[2]

    @pytest.mark.parametrize("bad", [
        ("--frame-rate", "0"), ("--columns", "video"), ("--task-pattern", "("), ("--task-pattern", "a"),
        ("--minimum-length", "-1"), ("--overlap", "merge"),
    ])  # fmt: skip
    def test_options_that_can_not_be(self, tmp_path, bad):
        with pytest.raises(SystemExit) as caught:
            self.run(tmp_path, tmp_path / "x", "--format", "table", *bad)
        assert caught.value.code == 2


@pytest.mark.parametrize("module", ["importer", "exporter"])
def test_help_is_instant(module):
    """Neither torch nor pyarrow, nor any reader, is loaded for it."""
    program = (
        f"import sys\nfrom utils.annotation import {module}\ntry:\n    {module}.main(['--help'])\nexcept SystemExit:\n"
        "    pass\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stderr.split())
    assert not loaded & {"torch", "pyarrow", "matplotlib", "ml_collections", "utils.annotation.readers.elan"}
    assert "formats:" in done.stdout


def test_features_alone_become_one_segment_a_recording(tmp_path):
    folder = features(tmp_path / "f", a=10, b=20)
    imported = import_annotation(folder, "unlabelled", "assembly", ImportOptions(features=folder))
    assert [[tuple(piece) for piece in timeline.pieces] for timeline in imported.timelines] == [
        [("activity", 0, 10)], [("activity", 0, 20)],
    ]  # fmt: skip


def test_an_import_passes_the_check_of_training(tmp_path):
    """As a user does it: features in a folder of their own, an export of BORIS, and the written configuration."""
    source = tmp_path / "source"
    for number in range(6):
        text = (FORMS / "boris_export" / "aggregated.csv").read_text().replace("P02", f"P1{number}")
        (source / f"P1{number}.csv").parent.mkdir(exist_ok=True)
        (source / f"P1{number}.csv").write_text(text.replace("observation 2", f"observation {number}"))
    folder = features(tmp_path / "i3d", **{f"P1{number}": 130 for number in range(6)})
    output, config = tmp_path / "data" / "kitchen", tmp_path / "kitchen.py"
    importer.main([
        str(source), str(output), "--format", "boris_export", "--features", str(folder), "--frame-rate", "10",
        "--unlabelled", "background", "--without-end", "drop", "--config", str(config),
    ])  # fmt: skip
    result = subprocess.run(
        [sys.executable, str(ROOT / "multitask_train.py"), "--config", str(config), "--check"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    logging.info(result.stderr)
    assert result.returncode == 0, result.stderr
    row = next(line.split() for line in result.stdout.splitlines() if line.startswith("kitchen"))
    assert row[:2] == ["kitchen", "4"]
    assert "features of width 8" in result.stdout


class TestVideos:
    """Steps in seconds, and videos: nobody computes a rate or a length."""

    @pytest.fixture
    def videos(self, tmp_path):
        (tmp_path / "tea" / "videos").mkdir(parents=True)
        for name, frames in (("a", 30), ("b", 45)):
            write_clip(tmp_path / "tea" / "videos" / f"{name}.mp4", [picture(index % 20) for index in range(frames)])
        table(tmp_path / "steps.csv", ["a,cut,0.0,1.5", "a,mix,1.5,3.0", "b,cut,0.5,2.0"], "recording,label,start,end")
        return tmp_path

    def run(self, folder, *options):
        declared = ["--format", "table", "--columns", "video=recording", "--unit", "seconds"]
        importer.main(
            [str(folder / "steps.csv"), str(folder / "tea"), *declared, "--unlabelled", "background", *options]
        )
        return read_annotation(folder / "tea" / "tea.json").videos, (folder / "tea" / "tea.py").read_text()

    def test_lengths_and_rate_of_videos(self, videos):
        (first, second), config = self.run(videos, "--videos", str(videos / "tea" / "videos"))
        assert (first.number_of_frames, second.number_of_frames) == (30, 45)
        assert first.time_dict["end_frame"] == [14, 29]
        assert {key: second.time_dict[key] for key in ("step", "start_frame", "end_frame")} == {
            "step": [BACKGROUND, "cut", BACKGROUND], "start_frame": [0, 5, 20], "end_frame": [4, 19, 44],
        }  # fmt: skip
        assert "CONFIG.FRAME_RATE = 10.0" in config
        assert "VIDEOS_FOLDER" not in config

    def test_another_rate_and_folder(self, videos):
        (videos / "tea" / "videos").rename(videos / "films")
        (first, _), config = self.run(videos, "--videos", str(videos / "films"), "--frame-rate", "4")
        assert first.number_of_frames == 12
        assert "CONFIG.FRAME_RATE = 4.0" in config
        assert "CONFIG.VIDEOS_FOLDER = '../films'" in config

    def test_the_rate_of_features_that_were_made_of_videos(self, videos):
        out = videos / "tea" / "features"
        options = ["--encoder", "pixels,size=2", "--frame-rate", "5"]
        assert extract.main(["extract", str(videos / "tea" / "videos"), str(out), *options]) == 0
        (first, _), config = self.run(videos, "--features", str(out))
        assert first.number_of_frames == 15
        assert first.time_dict["end_frame"] == [7, 14]
        assert "FRAME_RATE" not in config  # the features know it
        with pytest.raises(DataError, match=r"--frame-rate is 10, but .*the features were made at 5 frames/s"):
            self.run(videos, "--features", str(out), "--frame-rate", "10")

    def test_a_video_that_is_missing_and_one_that_is_none(self, videos):
        (videos / "tea" / "videos" / "b.mp4").rename(videos / "tea" / "videos" / "bb.mp4")
        with pytest.raises(DataError, match="holds no video 'b'; did you mean 'bb'"):
            self.run(videos, "--videos", str(videos / "tea" / "videos"))
        (videos / "tea" / "videos" / "bb.mp4").write_bytes(b"none")
        with pytest.raises(DataError, match=r"bb.mp4: can't be opened as a video"):
            self.run(videos, "--videos", str(videos / "tea" / "videos"))
        with pytest.raises(ConfigError, match="expected one of them"):
            self.run(videos, "--videos", str(videos / "tea" / "videos"), "--features", str(videos))
