"""Each format in its public form, and its odd cases. The files are in public_forms/, written by hand."""

import json
from fractions import Fraction

import numpy as np
import pytest

from tests.utils.annotation.forms import FORMS, problems_of, read, segments_of
from utils.annotation.readers import READERS
from utils.annotation.readers.names import media_name
from utils.annotation.recording import EXCLUSIVE, INCLUSIVE, SECONDS


def write(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize("name", READERS)
def test_every_reader_says_what_its_format_is_and_where_that_is_known_from(name):
    if name in ("table", "unlabelled"):
        return
    module = __import__(READERS[name].code.partition(":")[0], fromlist=["read"])
    assert "Source:" in module.__doc__
    assert "xclusive" in module.__doc__ or "inclusive" in module.__doc__ or "a line a frame" in module.__doc__


class TestTable:
    def test_columns_of_any_name(self):
        columns = {"video": "clip", "label": "action", "start": "from", "end": "to", "task": "recipe", "split": "part"}
        found = read("table", FORMS / "table" / "steps.csv", columns=columns, unit="clock")
        assert list(found) == ["videos/P01.mp4", "videos/P02.mp4", "videos/P03.mp4"]
        recording = found["videos/P03.mp4"]
        assert segments_of(recording) == [("boil", 1, 8), ("BG", 8, 10), ("stir", 10, 15.5)]
        assert (recording.task, recording.split, recording.convention.unit) == ("tea", "test", SECONDS)

    @pytest.mark.parametrize(("name", "text"), [
        ("a.csv", "label,start,end\nboil,0,1.5\n"),
        ("a.csv", "﻿label;start;end\r\nboil;0;1.5\r\n"),
        ("a.tsv", "start\tend\tlabel\n0\t1.5\tboil\n\n"),
        ("a.csv", 'label,start,duration\n"boil",0,1.5\n'),
        ("a.jsonl", '{"label": "boil", "start": 0, "end": 1.5}\n\n'),
        ("a.json", '[{"label": "boil", "start": "0", "end": 1.5}]'),
    ])  # fmt: skip
    def test_forms_of_a_table(self, tmp_path, name, text):
        recording = read("table", write(tmp_path / name, text), unit="seconds")[name]
        assert segments_of(recording) == [("boil", 0, 1.5)]

    def test_utf_16_and_other_encodings(self, tmp_path):
        path = write(tmp_path / "a.csv", "label,start,end\ngießen,0,1\n", "utf-16")
        assert segments_of(read("table", path, unit="seconds")["a.csv"]) == [("gießen", 0, 1)]
        path = write(tmp_path / "b.csv", "label,start,end\ngießen,0,1\n", "latin-1")
        assert "--encoding" in problems_of("table", path, unit="seconds")[0]
        assert segments_of(read("table", path, unit="seconds", encoding="latin-1")["b.csv"]) == [("gießen", 0, 1)]

    def test_an_end_that_is_missing_is_none(self, tmp_path):
        path = write(tmp_path / "a.csv", "label,start,end\nboil,0,\n")
        assert segments_of(read("table", path, unit="frames")["a.csv"]) == [("boil", 0, None)]

    @pytest.mark.parametrize(("text", "expected"), [
        ("label,start,end\nboil,x,2\n", "line 2: the start is 'x'"),
        ("label,start,end\nboil,NaN,2\n", "line 2: the start is 'NaN'"),
        ("label,start,end\n,0,2\n", "line 2: has no label"),
        ("label,start,end\nboil,0,2,3\n", "line 2: 4 cells; expected 3"),
        ("action,start,end\nboil,0,2\n", "has no column 'label'"),
        ("label,label,start\na,b,0\n", "the column 'label' occurs twice"),
        ("label,start,end\n", "holds a header and nothing else"),
        ("", "is empty"),
        ('label,start\n"boil,0\n', "cannot be read as a table"),
        ("label,start\nboil\0,0\n", "is not text"),
        ("label,start,split\nboil,0,holdout\n", "the split is 'holdout'"),
        ("video,label,start,task\na,boil,0,tea\na,boil,1,soup\n", "video 'a' has the task 'soup', and 'tea' before"),
    ])  # fmt: skip
    def test_problems_name_the_line(self, tmp_path, text, expected):
        path = write(tmp_path / "a.csv", text)
        problems = problems_of("table", path, unit="seconds")
        assert len(problems) == 1
        assert expected in problems[0]
        assert problems[0].startswith(str(path))

    def test_a_table_without_a_header(self, tmp_path):
        path = write(tmp_path / "a.csv", "0,1.5,boil\n1.5,3,pour\n")
        columns = {"start": "1", "end": "2", "label": "3"}
        recording = read("table", path, unit="seconds", columns=columns, header=False)["a.csv"]
        assert segments_of(recording) == [("boil", 0, 1.5), ("pour", 1.5, 3)]

    def test_the_unit_must_be_said(self):
        assert "expected --unit" in problems_of("table", FORMS / "table" / "steps.csv")[0]

    @pytest.mark.parametrize("text", ["{", "[1]", '{"label": "a", "label": "b"}', "[" * 100000, "7"])
    def test_damaged_json(self, tmp_path, text):
        assert problems_of("table", write(tmp_path / "a.json", text), unit="seconds")


class TestElan:
    def test_slots_out_of_order_an_offset_of_the_media_and_an_empty_annotation(self):
        found = read("elan", FORMS / "elan", tier="Steps")
        recording = found["P01"]
        assert segments_of(recording) == [("pour", 6.48, 13), ("boil", 1, 6.48)]
        assert any("1 annotations without a text" in note for note in recording.notes)

    def test_a_dependent_tier_has_the_times_of_its_parent(self):
        recording = read("elan", FORMS / "elan", tier="Steps, German")["P01"]
        assert segments_of(recording) == [("kochen", 1, 6.48), ("gießen", 6.48, 13)]

    def test_a_tier_must_be_named_where_there_are_several(self):
        (problem,) = problems_of("elan", FORMS / "elan")
        assert "has several tiers" in problem
        assert "has no tier 'steps'" in problems_of("elan", FORMS / "elan", tier="steps")[0]

    @pytest.mark.parametrize(("change", "expected"), [
        (('TIME_VALUE="12000"', 'TIME_VALUE="1e5x"'), "time slot 'ts1' is '1e5x'"),
        (('TIME_VALUE="12000"', ""), "annotation 'a1' of tier 'Steps' has the time slot 'ts1', which has no time"),
        (('ANNOTATION_REF="a2"', 'ANNOTATION_REF="a4"'), "annotation 'a4'"),
        (("milliseconds", "NTSC-frames"), "expected milliseconds"),
        (("<TIER ", "<TIER"), "cannot be read as XML"),
        (('encoding="UTF-8"', 'encoding="UTV-8"'), "cannot be read as XML (unknown encoding"),
        (('encoding="UTF-8"?>', 'encoding="UTF-8"?><!DOCTYPE a [<!ENTITY b "c">]>'), "DOCTYPE"),
    ])  # fmt: skip
    def test_problems_name_the_element(self, tmp_path, change, expected):
        text = (FORMS / "elan" / "P01.eaf").read_text(encoding="utf-8")
        assert change[0] in text
        path = write(tmp_path / "a.eaf", text.replace(*change))
        tier = "Steps, German" if "REF" in change[0] and "ANNOTATION" in change[0] else "Steps"
        assert any(expected in problem for problem in problems_of("elan", path, tier=tier))

    def test_entities_are_refused_before_they_grow(self, tmp_path):
        entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 30))
        bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "ha">{entities}]><x>&e29;</x>'
        assert "DOCTYPE" in problems_of("elan", write(tmp_path / "a.eaf", bomb))[0]


class TestBoris:
    def test_states_are_paired_points_have_no_end_and_the_offset_is_taken_off(self):
        found = read("boris", FORMS / "boris" / "kitchen.boris")
        assert sorted(segments_of(found["P01"])) == [("boil", 2, 8.52), ("looks up", 4.1, None), ("pour", 8.52, 14.96)]
        assert found["P01"].length == Fraction("14.96")
        assert segments_of(found["P02"]) == [("boil", 0, 9), ("pour", 9, 12)]

    def test_named_by_the_observation(self):
        assert list(read("boris", FORMS / "boris", name_by="observation")) == ["observation 1", "observation 2"]
        assert problems_of("boris", FORMS / "boris", name_by="date")

    def test_other_subjects_are_left_out_and_counted(self):
        found = read("boris", FORMS / "boris" / "kitchen.boris", subject="guest")
        assert found["P01"].segments == []
        assert "5 events of other subjects" in found["P01"].notes[0]

    def test_a_state_that_never_ends_and_a_behaviour_that_is_not_in_the_ethogram(self, tmp_path):
        project = json.loads((FORMS / "boris" / "kitchen.boris").read_text())
        events = project["observations"]["observation 1"]["events"]
        del events[1]
        events[1][2] = "look up"
        path = write(tmp_path / "a.boris", json.dumps(project))
        problems = problems_of("boris", path)
        assert any("'boil' begins at 2 s and never ends" in problem for problem in problems)
        assert any("did you mean 'looks up'?" in problem for problem in problems)

    def test_tabular_and_aggregated_exports(self):
        found = read("boris_export", FORMS / "boris_export")
        assert sorted(segments_of(found["P01"])) == [("boil", 2, 8.52), ("looks up", 4.1, None), ("pour", 8.52, 14.96)]
        assert found["P01"].length == Fraction("14.96")
        assert segments_of(found["P02"]) == [("boil", 0, 9), ("looks up", 3.12, None), ("pour", 9, 12)]

    def test_a_stop_without_a_start(self, tmp_path):
        text = (FORMS / "boris_export" / "tabular.tsv").read_text().replace("START", "STOP", 1)
        (problem,) = problems_of("boris_export", write(tmp_path / "a.tsv", text))
        assert "line 9: STOP of 'boil'; expected START and STOP in turn" in problem

    def test_another_table(self, tmp_path):
        assert "expected 'Behavior'" in problems_of("boris_export", write(tmp_path / "a.csv", "a,b\n1,2\n"))[0]


def test_audacity_spectral_lines_and_point_labels():
    recording = read("audacity", FORMS / "audacity")["P01"]
    assert segments_of(recording) == [("boil", 1.5, 6), ("pour", 6, 11.25), ("looks up", 8, None)]


def test_audacity_with_decimal_commas(tmp_path):
    path = write(tmp_path / "P01.txt", "1,5\t2,25\tboil\n")
    assert segments_of(read("audacity", path)["P01"]) == [("boil", 1.5, 2.25)]
    assert "expected start, end and label" in problems_of("audacity", write(tmp_path / "b.txt", "boil 1 2\n"))[0]


class TestSubtitles:
    def test_notes_styles_names_settings_and_tags_are_passed_over(self):
        found = read("subtitles", FORMS / "subtitles")
        assert segments_of(found["P01"]) == [("boil & wait", 2, 8.5), ("pour", 8.5, 12)]
        assert segments_of(found["P02"]) == [("boil & wait", 0, 5.4), ("pour", 5.4, 11)]

    @pytest.mark.parametrize(("text", "expected"), [
        ("00:01.000 --> 00:02.000\na\n", "expected WEBVTT"),
        ("WEBVTT\n\n00:01.000 --> later\na\n", "line 3: the time is 'later'"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n\n", "line 3: the cue has no text"),
    ])  # fmt: skip
    def test_problems_name_the_line(self, tmp_path, text, expected):
        assert expected in problems_of("subtitles", write(tmp_path / "a.vtt", text))[0]


class TestTextGrid:
    def test_both_forms_utf_16_quotes_and_empty_intervals(self):
        found = read("textgrid", FORMS / "textgrid", tier="steps")
        assert segments_of(found["P01"]) == [('boil, "gently"', 2.25, 9), ("pour", 9, 15.5)]
        assert segments_of(found["P02"]) == [('boil, "gently"', 0, 7.5), ("pour", 7.5, 12)]
        assert [recording.length for recording in found.values()] == [Fraction("15.5"), 12]

    def test_points_have_no_end(self, tmp_path):
        (tmp_path / "P01.TextGrid").write_bytes((FORMS / "textgrid" / "P01.TextGrid").read_bytes())
        assert segments_of(read("textgrid", tmp_path, tier="glances")["P01"]) == [("looks up", 4.1, None)]
        assert "has several tiers" in problems_of("textgrid", tmp_path)[0]

    @pytest.mark.parametrize("cut", [20, 60, 90, 110, 125])
    def test_a_file_that_is_cut_off(self, tmp_path, cut):
        text = (FORMS / "textgrid" / "P02.TextGrid").read_text()[:cut]
        assert len(problems_of("textgrid", write(tmp_path / "a.TextGrid", text))) == 1


def test_via_options_still_frames_and_rows_without_times():
    recording = read("via", FORMS / "via", tier="STEP")["P01.mp4"]
    assert segments_of(recording) == [("boil", 1.124, 5.31493), ("pour", 5.31493, 9.8)]
    assert "2 rows" in recording.notes[0]
    notes = read("via", FORMS / "via", tier="NOTE")["P01.mp4"]
    assert segments_of(notes) == [("spills", 5.31493, 9.8), ("cup", 2.41892, None)]
    assert "has several attributes" in problems_of("via", FORMS / "via")[0]


class TestLabelStudio:
    def test_full_and_short_exports_count_frames_from_1_to_the_last(self):
        found = read("label_studio", FORMS / "label_studio")
        assert [media_name(name) for name in found] == ["P01", "P02"]
        first, second = found.values()
        assert segments_of(first) == [("boil", 1, 61), ("pour", 62, 120)]
        assert segments_of(second) == [("boil", 1, 45), ("pour", 46, 110)]
        assert (first.convention.ends, first.convention.first_frame) == (INCLUSIVE, 1)

    def test_audio_labels_are_seconds(self, tmp_path):
        region = {
            "from_name": "label",
            "type": "labels",
            "value": {"start": 0.5, "end": 2.25, "channel": 0, "labels": ["a"]},
        }
        task = {"data": {"audio": "a.wav"}, "annotations": [{"result": [region]}]}
        recording = read("label_studio", write(tmp_path / "a.json", json.dumps([task])))["a.wav"]
        assert recording.convention.unit == SECONDS
        assert segments_of(recording) == [("a", 0.5, 2.25)]

    def test_two_annotators_need_one_that_counts(self, tmp_path):
        def annotation(label, **marks):
            value = {"ranges": [{"start": 1, "end": 9}], "timelinelabels": [label]}
            return {"result": [{"from_name": "s", "type": "timelinelabels", "value": value}], **marks}

        task = {"data": {"video": "a.mp4"}, "annotations": [annotation("x"), annotation("y")]}
        path = write(tmp_path / "a.json", json.dumps([task]))
        assert "has 2 annotations" in problems_of("label_studio", path)[0]
        task["annotations"][1]["ground_truth"] = True
        path = write(tmp_path / "a.json", json.dumps([task]))
        assert segments_of(read("label_studio", path)["a.mp4"]) == [("y", 1, 9)]


class TestCvat:
    def test_tracks_end_where_they_are_outside_or_with_the_task(self):
        recording = read("cvat", FORMS / "cvat")["P01.mp4"]
        assert segments_of(recording) == [("boil", 5, 31), ("pour", 31, 60)]
        assert recording.length == 60

    def test_tags_of_successive_frames_are_one_segment(self, tmp_path):
        images = "".join(
            f'<image id="{frame}" name="f{frame}"><tag label="{label}" source="manual"></tag></image>'
            for frame, label in [(0, "a"), (5, "a"), (10, "b"), (20, "b")]
        )
        meta = "<meta><task><name>P02</name><size>5</size><frame_filter>step=5</frame_filter></task></meta>"
        path = write(tmp_path / "a.xml", f"<annotations>{meta}{images}</annotations>")
        assert segments_of(read("cvat", path)["P02"]) == [("a", 0, 10), ("b", 10, 15), ("b", 20, 25)]

    def test_a_frame_that_is_no_number(self, tmp_path):
        text = (FORMS / "cvat" / "annotations.xml").read_text().replace('frame="5"', 'frame="-5"')
        assert "expected a frame number" in problems_of("cvat", write(tmp_path / "a.xml", text))[0]


class TestMstcn:
    def test_numbers_get_the_names_of_a_mapping_whose_columns_are_swapped(self):
        found = read("mstcn", FORMS / "mstcn")
        assert segments_of(found["P01"]) == [("SIL", 0, 2), ("boil", 2, 5), ("pour", 5, 7)]
        assert {name: recording.split for name, recording in found.items()} == {
            "P01": "train", "P02": "train", "P03": "test",
        }  # fmt: skip
        assert found["P03"].length == 6

    def test_names_without_a_mapping_and_folders_as_tasks(self, tmp_path):
        write(tmp_path / "groundTruth" / "tea" / "P1.txt", "a\na\nb\n")
        write(tmp_path / "groundTruth" / "soup" / "P2.txt", "SIL\r\nb\r\n")
        write(tmp_path / "groundTruth" / "._P2.txt", "\0\0")
        found = read("mstcn", tmp_path)
        assert {name: recording.task for name, recording in found.items()} == {"P1": "tea", "P2": "soup"}
        assert segments_of(found["P2"]) == [("SIL", 0, 1), ("b", 1, 2)]

    def test_one_layout_an_activity(self, tmp_path):
        for task in ("coffee", "milk"):
            write(tmp_path / task / "groundTruth" / f"P_{task}.txt", "a\nb\n")
        assert {r.name: r.task for r in read("mstcn", tmp_path).values()} == {"P_coffee": "coffee", "P_milk": "milk"}

    @pytest.mark.parametrize(("lines", "mapping", "expected"), [
        ("a\n\nb\n", None, "line 2 is empty"),
        ("1-30 SIL\n", None, "--format breakfast_coarse"),
        ("pour_cereal\n", "0 pour_cereals\n", "did you mean 'pour_cereals'?"),
        ("7\n", "0 SIL\n1 a\n", "does not name the label '7'"),
        ("a\n", "0 a\nb\n", "expected a number and a name on every line"),
        ("0\n", "0 a\n0 b\n", "the number 0 occurs twice"),
    ])  # fmt: skip
    def test_problems(self, tmp_path, lines, mapping, expected):
        write(tmp_path / "groundTruth" / "P1.txt", lines)
        if mapping is not None:
            write(tmp_path / "mapping.txt", mapping)
        assert any(expected in problem for problem in problems_of("mstcn", tmp_path))

    @pytest.mark.parametrize("mapping", ["0,SIL\n1,stir milk\n", "0\tSIL\n1\tstir milk\n", "SIL 0\nstir milk 1\n"])
    def test_forms_of_a_mapping(self, tmp_path, mapping):
        write(tmp_path / "groundTruth" / "P1.txt", "0\n1\n")
        write(tmp_path / "mapping.txt", mapping)
        assert [label for label, *_ in segments_of(read("mstcn", tmp_path)["P1"])] == ["SIL", "stir milk"]


class TestLabelArrays:
    def test_numbers_and_one_hot(self, tmp_path):
        np.save(tmp_path / "a.npy", np.array([0, 0, 2, 2, 2]))
        np.save(tmp_path / "b.npy", np.eye(3, dtype=np.float32)[[1, 1, 0]])
        found = read("label_arrays", tmp_path)
        assert segments_of(found["a"]) == [("0", 0, 2), ("2", 2, 5)]
        assert segments_of(found["b"]) == [("1", 0, 2), ("0", 2, 3)]
        assert found["b"].length == 3

    @pytest.mark.parametrize(("array", "expected"), [
        (np.ones((3, 2)), "frame 0 has 2 labels"), (np.zeros((3, 2)), "frame 0 has 0 labels"),
        (np.array([0, 0.5]), "frame 1 is no whole number"), (np.array([0, np.nan]), "frame 1 is no whole number"),
        (np.zeros((2, 2, 2)), "has shape (2, 2, 2)"), (np.array(["a"]), "expected (frames,)"),
        (np.array([]), "shape (0,)"),
        (np.array([None]), "cannot be read as labels"),
    ])  # fmt: skip
    def test_other_arrays(self, tmp_path, array, expected):
        np.save(tmp_path / "a.npy", array)
        (problem,) = problems_of("label_arrays", tmp_path)
        assert expected in problem


def test_breakfast_counts_from_1_and_includes_the_end():
    found = read("breakfast_coarse", FORMS / "breakfast_coarse")
    recording = found["P03_cam01_P03_cereals"]
    assert segments_of(recording)[:2] == [("SIL", 1, 30), ("take_bowl", 31, 150)]
    assert recording.task == "cereals"
    assert (recording.convention.ends, recording.convention.first_frame, recording.convention.frame_rate) == (
        INCLUSIVE, 1, 15,
    )  # fmt: skip


class TestCholec80:
    def test_runs_of_phases(self):
        recording = read("cholec80", FORMS / "cholec80")["video01"]
        assert segments_of(recording) == [
            ("Preparation", 0, 100), ("CalotTriangleDissection", 100, 230), ("ClippingCutting", 230, 300),
            ("GallbladderDissection", 300, 375),
        ]  # fmt: skip
        assert recording.length == 375

    def test_every_25th_frame_only(self, tmp_path):
        path = write(tmp_path / "video02-phase.txt", "Frame\tPhase\n0\tA\n25\tA\n50\tB\n")
        assert segments_of(read("cholec80", path)["video02"]) == [("A", 0, 50), ("B", 50, 75)]

    def test_a_hole_in_the_numbering(self, tmp_path):
        path = write(tmp_path / "video02-phase.txt", "0\tA\n1\tA\n4\tB\n")
        assert "line 3" in problems_of("cholec80", path)[0]


def test_jigsaws_tasks_and_the_empty_file(tmp_path):
    found = read("jigsaws", FORMS / "jigsaws")
    assert {name: recording.task for name, recording in found.items()} == {
        "Knot_Tying_B001": "Knot_Tying", "Suturing_B001": "Suturing",
    }  # fmt: skip
    assert segments_of(found["Suturing_B001"]) == [("G1", 80, 158), ("G2", 159, 240), ("G3", 241, 400)]
    assert "is empty" in problems_of("jigsaws", write(tmp_path / "Knot_Tying_H002.txt", ""))[0]


def test_epic_kitchens_levels():
    path = FORMS / "epic_kitchens"
    assert segments_of(read("epic_kitchens", path)["P01_01"])[2] == ("take plate, carefully", 5.9, 8)
    assert segments_of(read("epic_kitchens", path, level="verb_noun")["P01_01"])[1] == ("turn-on light", 4.37, 6.17)
    assert problems_of("epic_kitchens", path, level="verbs")


def test_goalstep_levels(tmp_path):
    recording = read("goalstep", FORMS / "goalstep")["9b58e3ab-7b6d"]
    assert segments_of(recording) == [("Toast bread", 0, 26.99209), ("Make omelette", 25, 58.5)]
    assert (recording.task, recording.split) == ("COOKING:MAKE_OMELET", "train")
    recording = read("goalstep", FORMS / "goalstep", level="substep")["9b58e3ab-7b6d"]
    assert segments_of(recording) == [("Turn on the stovetop", 0, 13.135), ("Toast bread", 13.5, 26.9)]
    test = {"videos": [{"video_uid": "a", "step_segments": [{"step_description": "x"}]}]}
    assert "without times" in problems_of("goalstep", write(tmp_path / "goalstep_test.json", json.dumps(test)))[0]


def test_captaincook_steps_that_were_left_out_are_no_segments():
    found = read("captaincook4d", FORMS / "captaincook4d")
    assert [label for label, *_ in segments_of(found["1_7"])] == [
        "Coat -Coat a 6-oz. ramekin cup", "Microwave the ramekin", "Pour -Pour 1 egg",
    ]  # fmt: skip
    assert {recording.task for recording in found.values()} == {"activity 1"}
    assert any("1 steps that were left out" in note for recording in found.values() for note in recording.notes)


def test_coin_lengths_tasks_and_subsets(tmp_path):
    found = read("coin", FORMS / "coin")
    assert found["LtRSn-ntcLY"].length == Fraction("131.0309")
    assert {recording.split for recording in found.values()} == {"train", "test"}
    content = {"database": {"v": {"annotation": [{"label": "a", "segment": [1]}], "subset": "training"}}}
    assert "annotation 0: the segment is [1]" in problems_of("coin", write(tmp_path / "c.json", json.dumps(content)))[0]


def test_crosstask_steps_are_numbers_from_1():
    found = read("crosstask", FORMS / "crosstask")
    assert segments_of(found["a_b-C1x"]) == [
        ("whisk eggs", 10.5, 22.06), ("dip bread", 25, 31.4), ("fry bread", 30, 44.1),
    ]  # fmt: skip
    assert found["Zq9"].task == "Make Jello Shots"


def test_egoprocel_folders_are_tasks():
    found = read("egoprocel", FORMS / "egoprocel")
    assert {name: recording.task for name, recording in found.items()} == {
        "S07_Brownie_7150991-1431": "Brownie", "01.tent.090617.gopro": "EPIC-Tents",
    }  # fmt: skip
    assert segments_of(found["01.tent.090617.gopro"]) == [("1. unfold tent", 3, 10), ("2. insert poles", 12, 20)]


def test_egoper_numbers_have_the_names_of_the_file(tmp_path):
    found = read("egoper", FORMS / "egoper" / "annotation.json")
    assert [label for label, *_ in segments_of(found["tea_u1_a1_normal_001"])] == [
        "BG", "Take the teabag", "BG", "Pour water",
    ]  # fmt: skip
    content = {"tea": {"segments": [{"video_id": "v", "labels": {"time_stamp": [[0, 1]], "action": [1, 2]}}]}}
    path = write(tmp_path / "annotation.json", json.dumps(content))
    assert "1 time stamps, 2 actions" in problems_of("egoper", path)[0]


def test_assembly101_splits_lie_beside_the_labels():
    for source in (FORMS / "assembly101", FORMS / "assembly101" / "coarse_labels"):
        found = read("assembly101", source)
        assert {recording.task: recording.split for recording in found.values()} == {
            "assembly": "train", "disassembly": "test",
        }  # fmt: skip
    first = next(iter(found.values()))
    assert segments_of(first) == [("attach chassis", 60, 300), ("attempt to screw chassis", 300, 420)]
    assert first.convention.ends == EXCLUSIVE


def test_ikea_asm_furniture_is_the_task():
    found = read("ikea_asm", FORMS / "ikea_asm")
    assert {recording.task for recording in found.values()} == {"Lack_TV_Bench"}
    first = next(iter(found.values()))
    assert (first.convention.ends, first.convention.first_frame) == (INCLUSIVE, 0)


@pytest.mark.parametrize("name", [name for name in READERS if name != "lerobot"])
def test_a_source_that_is_not_there(name, tmp_path):
    problems = problems_of(name, tmp_path / "nothing", unit="seconds")
    assert problems
    assert str(tmp_path / "nothing") in problems[0]
