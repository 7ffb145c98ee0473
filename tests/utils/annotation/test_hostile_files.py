"""Damaged files of every format: the whole import either refuses them with its own error, or covers each frame once."""

import shutil
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.utils.annotation.forms import FORMS
from tests.utils.data.mutation import fuzzing, mutated, note
from utils.annotation.importing import ImportOptions, import_annotation
from utils.annotation.readers import READERS, ReadOptions
from utils.annotation.timeline import Rules
from utils.annotation.understood import describe
from utils.annotation.writing import annotation_of, split_of
from utils.errors import DataError

PERMISSIVE = Rules("longest", "background", "cut", "drop", 1)
TIERS = {"elan": "Steps", "textgrid": "steps", "via": "STEP"}
FORMATS = [name for name in READERS if name not in ("lerobot", "unlabelled", "label_arrays")]


def source_of(name):
    folder = FORMS / name
    return folder / "annotation.json" if name == "egoper" else folder


def options_for(name):
    columns = {"video": "clip", "label": "action", "start": "from", "end": "to", "task": "recipe", "split": "part"}
    read = ReadOptions(columns if name == "table" else {}, "clock", TIERS.get(name, ""))
    rate = Fraction(5) if name != "mstcn" else None
    return ImportOptions(read, frame_rate=rate, length="last", number_labels=True, rules=PERMISSIVE)


def check(imported):
    annotation = annotation_of(imported)
    assert sum(len(entry["handles"]) for entry in annotation.values()) == len(imported.recordings)
    for timeline in imported.timelines:
        assert timeline.pieces[0].start == 0
        assert timeline.pieces[-1].end == timeline.length
        assert all(a.end == b.start for a, b in zip(timeline.pieces, timeline.pieces[1:], strict=False))
        assert all(piece.end > piece.start for piece in timeline.pieces)


@pytest.mark.parametrize("name", FORMATS)
@fuzzing
@given(st.data())
def test_a_damaged_file_is_refused_or_read_whole(name, tmp_path, data):
    original = source_of(name)
    folder = tmp_path / "source"
    if not folder.exists():
        shutil.copytree(original.parent if original.is_file() else original, folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(paths))
    whole = path.read_bytes()
    path.write_bytes(data.draw(mutated(whole)))
    options = options_for(name)
    try:
        imported = import_annotation(folder / original.name if original.is_file() else folder, name, "task", options)
        note("loaded")
        check(imported)
        describe(imported, name, options)
        split_of(imported)
    except DataError:
        note("refused")
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"\x00" * 40, b"{}", b"[]", b"<a/>", "Lärm\n".encode("latin-1")]
)
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "mstcn"])  # where any text is a label
def test_a_file_of_another_kind_is_refused(name, content, tmp_path):
    suffixes = (".csv", ".tsv", ".json", ".jsonl", ".eaf", ".boris", ".txt", ".vtt", ".srt", ".TextGrid", ".xml")
    for folder in ("", "annotations", "coarse_labels"):
        for suffix in suffixes:
            path = tmp_path / folder / f"video01-step_annotations{suffix}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    with pytest.raises(DataError):
        import_annotation(tmp_path, name, "task", options_for(name))
