"""The formats that can be read: each is one small file in this folder, and a line in the table.

A reader is a function `read(source, options, problems)` that returns `Recording`s. It only parses its format: times
stay exact and as in the file, and problems are appended to `problems`, with file and line. Units, ends, overlaps and
gaps are handled later, once for all formats. The reader's docstring gives the conventions of its format and their
source. A reader is imported when it is needed.
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
    """Options of the readers; each reader uses some of them.

    Attributes:
        columns: names of columns by their content: 'video', 'label', 'start', 'end', 'task', 'split', 'length'.
        unit: unit of the times of a list of segments, one of `times.UNITS`; '' if it wasn't given.
        tier: name of a tier, of a label track or of a control of an annotation tool; '' if there is only one.
        level: level of nested steps; '': the format's default.
        subject: subject whose behaviour is read (BORIS); '': all subjects.
        name_by: how recordings are named, if a format has two ways; '': the format's default.
        header: whether the first line of a table names its columns; if not, they are called 1, 2, ...
        split: number of a split, if a format has several.
        encoding: encoding of text files; None means UTF-8.
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
        code: its function, as `module:name`.
        words: its description, for `--help`.
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
    "mstcn": Reader(f"{_HERE}.mstcn:read", "the layout of MS-TCN: groundTruth/, a label per frame"),
    "label_arrays": Reader(f"{_HERE}.label_arrays:read", "a .npy per recording: number or one-hot label of each frame"),
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
    "unlabelled": Reader(f"{_HERE}.unlabelled:read", "only features: each recording is one segment"),
}

Read = Callable[[Path, ReadOptions, list[str]], list[Recording]]


def reader_of(name: str) -> Read:
    """The function of a format, imported now.

    Raises:
        ConfigError: there is no such format.
    """
    return code_of(choice_of(READERS, name, "--format"))
