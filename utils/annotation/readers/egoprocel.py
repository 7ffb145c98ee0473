"""EgoProceL: `<video>.csv` in folders, without a header: start, end, key step.

Seconds, ends exclusive. The key step is text that begins with its number ('3 crack egg', in EGTEA '3. crack egg'),
which is kept; frames without a key step are background. The folder is the task, passing over a folder of one person's
videos ('S07_Brownie_Video'). Source: the set's download README and the code of Sid2697/EgoProceL that reads it.
"""

from __future__ import annotations

from pathlib import Path

from utils.annotation.readers import ReadOptions
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import read_table, source_paths
from utils.annotation.times import exact_number
from utils.errors import DataError, place

ENDING = ".egoprocel.ann"


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The videos of a file or a folder."""
    recordings = []
    for path in source_paths(source, (".csv",), problems):
        segments = []
        for line, cells in read_table(path, problems, options.encoding, ("start", "end", "step")):
            here = f"{place(path)}line {line}: "
            try:
                start, end = exact_number(cells["start"]), exact_number(cells["end"])
            except DataError as error:
                problems.append(f"{here}the time {error}")
                continue
            if not cells["step"]:
                problems.append(f"{here}has no key step")
                continue
            segments.append(Segment(cells["step"], start, end, f"line {line}"))
        folders = path.parent.relative_to(source).parts if source.is_dir() else ()
        folders = tuple(folder for folder in folders if not folder.endswith("_Video"))
        task = folders[-1] if folders else None
        recordings.append(Recording(path.stem.removesuffix(ENDING), segments, Convention(SECONDS), path, task))
    return recordings
