"""Out and in again: steps that are exported and imported are the same, for each format that is a tool's."""

import json
import re
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from utils.annotation import exporter
from utils.annotation.exporters import EXPORTERS, ExportOptions, Outline, exporter_of, tenths
from utils.annotation.exporting import outlines_of_annotation, outlines_of_predictions, with_progress
from utils.annotation.importing import ImportOptions, import_annotation
from utils.annotation.readers import ReadOptions
from utils.annotation.timeline import Piece
from utils.errors import ConfigError, DataError

# The exporter's name, then how the importer reads what it wrote: format, file, and what must be said.
BACK = {
    "elan": ("elan", "", ReadOptions(tier="steps")),
    "boris": ("boris", "steps.boris", ReadOptions()),
    "webvtt": ("subtitles", "", ReadOptions()),
    "label_studio": ("label_studio", "tasks.json", ReadOptions(level="predictions")),
}
labels = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=8).filter(
    lambda text: text == text.strip() and len(text.splitlines()) == 1 and text not in ("0", "Null", "G0", "SIL")
)
rates = st.sampled_from(
    [Fraction(1), Fraction(5), Fraction("29.97"), Fraction(30000, 1001), Fraction(60), Fraction(240)]
)


@st.composite
def outlines(draw):
    """A few recordings whose steps cover each frame once."""
    result = []
    for number in range(draw(st.integers(1, 3))):
        pieces, start = [], 0
        for label, count in draw(st.lists(st.tuples(labels, st.integers(1, 400)), min_size=1, max_size=6)):
            pieces.append(Piece(label, start, start + count))
            start += count
        result.append(Outline(f"P{number}", pieces, start))
    return result


def imported(name, folder, rate, video_rate=None):
    format_name, file, read = BACK[name]
    used = ImportOptions(read, rate, video_rate, length="last", number_labels=True)
    found = import_annotation(folder / file if file else folder, format_name, "task", used)
    return {
        recording.name: timeline.pieces for recording, timeline in zip(found.recordings, found.timelines, strict=True)
    }


@pytest.mark.parametrize("name", BACK)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(recordings=outlines(), rate=rates, faster=st.sampled_from([1, 2, Fraction(5, 3)]))
def test_a_round_trip_loses_nothing(name, tmp_path_factory, recordings, rate, faster):
    folder = tmp_path_factory.mktemp("out")
    video_rate = rate * faster
    exporter_of(name)(recordings, folder, ExportOptions(rate, video_rate))
    expected = {outline.name: outline.pieces for outline in recordings}
    assert imported(name, folder, rate, video_rate if name == "label_studio" else None) == expected


def test_progress_by_tenths():
    assert tenths([0.0, 0.05, 0.1, 0.55, 0.999, 1.0]) == [
        Piece("0 %", 0, 2), Piece("10 %", 2, 3), Piece("50 %", 3, 4), Piece("90 %", 4, 5), Piece("100 %", 5, 6),
    ]  # fmt: skip
    assert tenths([number / 10 for number in range(10)]) == [
        Piece(f"{n}0 %" if n else "0 %", n, n + 1) for n in range(10)
    ]


def test_progress_alone_can_be_looked_at(tmp_path):
    outline = Outline("P1", [], 4, [0.0, 0.3, 0.6, 1.0])
    options = ExportOptions(Fraction(2), Fraction(2))
    (path,) = exporter_of("webvtt")([outline], tmp_path, options)
    assert path.name == "P1.progress.vtt"
    assert "00:00:00.500 --> 00:00:01.000\n30 %" in path.read_text()
    exporter_of("elan")([outline], tmp_path, options)
    found = import_annotation(
        tmp_path / "P1.eaf", "elan", "t", ImportOptions(ReadOptions(tier="progress"), Fraction(2), length="last")
    )
    assert [piece.label for piece in found.timelines[0].pieces] == ["0 %", "30 %", "60 %", "100 %"]


@pytest.mark.parametrize("name", BACK)
def test_a_label_that_would_come_back_otherwise_is_refused(name, tmp_path):
    outline = Outline("P1", [Piece(" a", 0, 5)], 5)
    with pytest.raises(DataError, match="white space"):
        exporter_of(name)([outline], tmp_path, ExportOptions(Fraction(5), Fraction(5)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["elan", "boris", "webvtt"])
def test_frames_that_milliseconds_can_not_tell_apart(name, tmp_path):
    outline = Outline("P1", [Piece("a", 0, 5)], 5)
    with pytest.raises(DataError, match="milliseconds"):
        exporter_of(name)([outline], tmp_path, ExportOptions(Fraction(1000), Fraction(1000)))


def test_videos_with_fewer_frames_than_the_features(tmp_path):
    outline = Outline("P1", [Piece("a", 0, 5)], 5)
    with pytest.raises(DataError, match="would move boundaries"):
        exporter_of("label_studio")([outline], tmp_path, ExportOptions(Fraction(30), Fraction(25)))


def test_no_two_annotations_of_elan_share_a_time_slot(tmp_path):
    outline = Outline("P1", [Piece("a", 0, 5), Piece("b", 5, 8)], 8, [0.0] * 5 + [1.0] * 3)
    (path,) = exporter_of("elan")([outline], tmp_path, ExportOptions(Fraction(10), Fraction(10)))
    text = path.read_text()
    used = re.findall(r'TIME_SLOT_REF\d="(\w+)"', text)
    assert len(used) == len(set(used)) == 8
    times = [int(time) for time in re.findall(r'TIME_VALUE="(\d+)"', text)]
    assert times == sorted(times)


def test_the_table_of_events_that_boris_pastes(tmp_path):
    outline = Outline("P1", [Piece("a", 0, 5), Piece("b", 5, 8)], 8)
    exporter_of("boris")([outline], tmp_path, ExportOptions(Fraction(10), Fraction(10)))
    assert (tmp_path / "P1.tsv").read_text() == "0.000\t\ta\t\t\n0.500\t\ta\t\t\n0.500\t\tb\t\t\n0.800\t\tb\t\t\n"


class TestSources:
    def test_an_annotation_keeps_its_labels(self, tmp_path):
        content = {"tea": {
            "handles": ["P1"], "hdl_actions": [["SIL", "0", "boil"]], "hdl_start_times": [[0, 2, 5]],
            "hdl_end_times": [[2, 4, 9]],
        }}  # fmt: skip
        path = tmp_path / "a.json"
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match="The file shows both"):
            outlines_of_annotation(path)
        (outline,) = outlines_of_annotation(path, segment_ends="exclusive")
        assert outline.pieces == [
            Piece("background", 0, 2), Piece("0", 2, 4), Piece("background", 4, 5), Piece("boil", 5, 10),
        ]  # fmt: skip

    def test_predictions_with_and_without_steps(self, tmp_path):
        (tmp_path / "P1.csv").write_text("frame,progress\n0,0.0\n1,0.5\n")
        (tmp_path / "P2.csv").write_text("frame,progress,step\n0,0.0,boil\n1,0.5,pour\n2,1,pour\n")
        first, second = outlines_of_predictions(tmp_path)
        assert (first.pieces, first.progress) == ([], [0.0, 0.5])
        assert second.pieces == [Piece("boil", 0, 1), Piece("pour", 1, 3)]
        steps = [Outline("P1", [Piece("a", 0, 2)], 2)]
        assert with_progress(steps, [first])[0].progress == [0.0, 0.5]
        with pytest.raises(DataError, match="2 frames, its prediction 3"):
            with_progress(steps, [Outline("P1", [], 3, [0, 0, 0])])
        with pytest.raises(DataError, match="no prediction of 'P1'"):
            with_progress(steps, [second])

    @pytest.mark.parametrize("text", [
        "frame,progress\n1,0.0\n", "frame,progress\n0,nan\n", "frame,value\n0,1\n", "",
        "frame,progress,step\n0,0,a\n1,0,\n",
    ])  # fmt: skip
    def test_damaged_predictions(self, tmp_path, text):
        (tmp_path / "P1.csv").write_text(text)
        with pytest.raises(DataError):
            outlines_of_predictions(tmp_path)

    def test_the_command(self, tmp_path, capsys):
        (tmp_path / "P1.csv").write_text("frame,progress,step\n0,0.0,boil\n1,0.5,pour\n")
        arguments = [str(tmp_path), str(tmp_path / "out"), "--format", "elan", "--frame-rate", "10"]
        assert exporter.main(arguments) == 0
        assert capsys.readouterr().out == f"wrote {tmp_path / 'out' / 'P1.eaf'}\n"
        with pytest.raises(ConfigError, match="did you mean"):
            exporter.main([*arguments[:3], "boriss", *arguments[4:]])
        assert set(EXPORTERS) == {*BACK, "lerobot"}
