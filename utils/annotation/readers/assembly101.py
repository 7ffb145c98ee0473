"""Assembly101, coarse: coarse_labels/ with `assembly_<sequence>.txt`, lines 'start<TAB>end<TAB>action'.

Frames at 30 frames/s from 0, ends exclusive: an action begins where the one before ends. Each file is a recording, and
its first word, 'assembly' or 'disassembly', the task. Where coarse_splits/ lies beside the folder, it gives the split.
Fine-grained labels are a table: --format table. Source: the README files of assembly-101/assembly101-annotations.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.names import media_name
from utils.annotation.recording import FRAMES, Convention, Recording, Segment
from utils.annotation.source_files import read_lines, source_paths
from utils.errors import place, shown

CONVENTION = Convention(FRAMES, frame_rate=Fraction(30))
SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The sequences of one file, of coarse_labels/ or of the folder that holds it."""
    root = source if (source / "coarse_labels").is_dir() else source.parent
    labels = root / "coarse_labels" if root is source else source
    splits = _splits(root / "coarse_splits", problems)
    recordings = []
    for path in source_paths(labels, (".txt",), problems):
        segments = []
        for number, line in read_lines(path, problems, options.encoding):
            parts = line.split("\t")
            if len(parts) < 3 or not (parts[0].isdecimal() and parts[1].isdecimal()) or not parts[2].strip():
                problems.append(
                    f"{place(path)}line {number}: is {shown(line)}; expected start, end and action with tabs"
                )
            else:
                start, end = Fraction(parts[0]), Fraction(parts[1])
                segments.append(Segment(parts[2].strip(), start, end, f"line {number}"))
        name = media_name(path.name)
        task = name.partition("_")[0]
        recordings.append(Recording(name, segments, CONVENTION, path, task, split=splits.get(name)))
    return recordings


def _splits(folder: Path, problems: list[str]) -> dict[str, str]:
    homes: dict[str, str] = {}
    for path in sorted(folder.glob("*_coarse_*.txt")):
        split = SPLITS.get(path.name.partition("_")[0])
        for number, line in read_lines(path, problems):
            name = media_name(line.split("\t")[0])
            if split is not None and homes.setdefault(name, split) != split:
                problems.append(f"{place(path)}line {number}: {shown(name)} is in {homes[name]!r} already")
    return homes
