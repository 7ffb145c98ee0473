"""The formats that can be read: each is one small file beside this one, and a line in the table.

A reader is a function `read(source, options, problems)` that returns `Recording`s. It knows the form of its format and
nothing else: times stay exact and as the file counts them, and what is wrong is appended to `problems`, with file and
line. Units, ends, overlaps and gaps are dealt with once, after it. Its docstring says what its format's conventions
are and where that is known from. Readers are imported when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from utils.annotation.recording import Recording
from utils.registry import choice_of, code_of


@dataclass(frozen=True)
class ReadOptions:
    """What a user may have to say for a file to be understood; each reader uses some of it.

    Attributes:
        columns: names of columns by what they hold: 'video', 'label', 'start', 'end', 'task', 'split', 'length'.
        unit: of the times of a list of segments, one of `times.UNITS`; '' where it wasn't said.
        tier: name of a tier, of a label track or of a control of an annotation tool; '' where there is one only.
        level: which level of nested steps; '' for the format's own choice.
        subject: whose behaviour, of BORIS; '' for everybody's.
        name_by: what names a recording, where a format has two ways; '' for the format's own choice.
        header: whether the first line of a table names its columns; if not, they are called 1, 2, ...
        split: number of a split, where a format has several.
        encoding: of text files; None means UTF-8.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    tier: str = ""
    level: str = ""
    subject: str = ""
    name_by: str = ""
    header: bool = True
    split: int | None = None
    encoding: str | None = None


class Reader(NamedTuple):
    """A format that can be read.

    Attributes:
        code: where its function is, as `module:name`.
        words: what it is, for `--help`.
    """

    code: str
    words: str


_HERE = "utils.annotation.readers"
READERS: dict[str, Reader] = {
    "table": Reader(f"{_HERE}.table:read", "a list of segments: CSV, TSV, JSON lines; any names of columns"),
    "elan": Reader(f"{_HERE}.elan:read", "ELAN .eaf"),
    "boris": Reader(f"{_HERE}.boris:read", "BORIS: .boris project"),
    "boris_export": Reader(f"{_HERE}.boris_export:read", "BORIS: tabular or aggregated events, CSV or TSV"),
    "audacity": Reader(f"{_HERE}.audacity:read", "Audacity label tracks, .txt"),
    "subtitles": Reader(f"{_HERE}.subtitles:read", "WebVTT .vtt and SubRip .srt"),
    "textgrid": Reader(f"{_HERE}.textgrid:read", "Praat .TextGrid"),
    "via": Reader(f"{_HERE}.via:read", "VIA 3, CSV"),
    "label_studio": Reader(f"{_HERE}.label_studio:read", "Label Studio, JSON"),
    "cvat": Reader(f"{_HERE}.cvat:read", "CVAT for video or for images 1.1, XML"),
    "mstcn": Reader(f"{_HERE}.mstcn:read", "the layout of MS-TCN: groundTruth/, a label a frame"),
    "label_arrays": Reader(f"{_HERE}.label_arrays:read", "a .npy a recording: a label's number, or one-hot, a frame"),
    "breakfast_coarse": Reader(f"{_HERE}.breakfast_coarse:read", "Breakfast, lines such as '1-30 SIL'"),
    "cholec80": Reader(f"{_HERE}.cholec80:read", "Cholec80 phases, lines 'Frame Phase'"),
    "jigsaws": Reader(f"{_HERE}.jigsaws:read", "JIGSAWS transcriptions, lines 'start end gesture'"),
    "epic_kitchens": Reader(f"{_HERE}.epic_kitchens:read", "EPIC-KITCHENS-100, CSV"),
    "goalstep": Reader(f"{_HERE}.goalstep:read", "Ego4D Goal-Step, JSON"),
    "captaincook4d": Reader(f"{_HERE}.captaincook4d:read", "CaptainCook4D, step annotations, JSON"),
    "coin": Reader(f"{_HERE}.activitynet:read", "COIN and others in the form of ActivityNet, JSON"),
    "crosstask": Reader(f"{_HERE}.crosstask:read", "CrossTask, the folder crosstask_release"),
    "egoprocel": Reader(f"{_HERE}.egoprocel:read", "EgoProceL, CSV files in folders"),
    "egoper": Reader(f"{_HERE}.egoper:read", "EgoPER, annotation.json"),
    "assembly101": Reader(f"{_HERE}.assembly101:read", "Assembly101, coarse labels"),
    "ikea_asm": Reader(f"{_HERE}.ikea_asm:read", "IKEA ASM, gt_segments.json"),
    "lerobot": Reader(f"{_HERE}.lerobot:read", "LeRobot version 3, sub-tasks of the episodes (needs pyarrow)"),
    "unlabelled": Reader(f"{_HERE}.unlabelled:read", "nothing but features: each recording is one segment"),
}

Read = Callable[[Path, ReadOptions, list[str]], list[Recording]]


def reader_of(name: str) -> Read:
    """The function of a format, imported now.

    Raises:
        ConfigError: there is no such format.
    """
    return code_of(choice_of(READERS, name, "--format").code)
