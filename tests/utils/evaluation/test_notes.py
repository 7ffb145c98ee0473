import json

import pytest

from utils.errors import DataError
from utils.evaluation.notes import KNOWS_THE_END, Note, NoteKind
from utils.evaluation.results import Result, read_results, save_results

NOTES = tuple(Note(kind, f"text of {kind.value}; with <marks> of its own") for kind in NoteKind)


def result(notes):
    return Result("KT", "clock", "tea", 0.5, None, None, 1, notes, {"video": 0.5})


def test_every_note_comes_back_as_it_was(tmp_path):
    results = [result(NOTES), result(())]
    save_results(tmp_path, results, {})
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert read_results(content) == results
    assert content["results"][0]["note"] == "; ".join(note.text for note in NOTES) == results[0].note
    assert results[0].note in (tmp_path / "KT.csv").read_text()


def test_a_file_of_before_holds_the_text_alone():
    row = result((KNOWS_THE_END, Note(NoteKind.NO_INTERVAL, "no interval: few"))).as_row()
    (read,) = read_results({"results": [{**row, "values": {"video": 0.5}}]})
    assert read.note == row["note"] == "knows the end; no interval: few"
    assert read.notes == (KNOWS_THE_END, Note(NoteKind.OTHER, "no interval: few"))
    (read,) = read_results({"results": [{**row, "note": "", "values": {}}]})
    assert read.notes == ()


@pytest.mark.parametrize("notes", [[{"kind": "rumour", "text": "x"}], [{"kind": "other"}], ["other"], "other", 5])
def test_what_is_no_note_is_refused(notes):
    row = {**result(()).as_row(), "notes": notes, "values": {}}
    with pytest.raises((ValueError, KeyError, TypeError)):
        read_results({"results": [row]})


def test_figures_of_a_metric_that_the_table_lacks_are_refused_by_name():
    row = {**result(()).as_row(), "metric": "gap", "values": {}}
    with pytest.raises(DataError, match="figures of 'gap'; the table of metrics has OPE_video_online"):
        read_results({"results": [row]})
