"""LeRobot: `progress.parquet`, the progress of each frame over all episodes.

Columns index (frame over all episodes), episode_index, frame_index (int64) and progress_sparse (float32, 0 to 1); the
schema's metadata names the model under reward_model_path. Recordings are episodes in the order of their names, which
must end in the episode's number ('episode_000003'), without a gap from 0, since `index` counts the frames of all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from utils.annotation.exporters import ExportOptions, Outline
from utils.errors import DataError, import_extra
from utils.files import atomic_write

MODEL_KEY = b"reward_model_path"


def write(outlines: Sequence[Outline], folder: Path, options: ExportOptions) -> list[Path]:
    """The one file; see `write_progress`."""
    path = folder / "progress.parquet"
    write_progress(path, outlines, options.model)
    return [path]


def write_progress(path: Path, outlines: Sequence[Outline], model: str) -> None:
    """Writes the progress of all episodes.

    Args:
        path: the Parquet file.
        outlines: the recordings, with progress.
        model: name of the model, for the metadata.

    Raises:
        DataError: a recording without progress, or names that don't number the episodes.
        MissingExtraError: pyarrow isn't installed.
    """
    episodes = _episodes(outlines)
    pyarrow = import_extra("pyarrow", "lerobot", "LeRobot")
    parquet = import_extra("pyarrow.parquet", "lerobot", "LeRobot")

    lengths = [len(outline.progress or ()) for outline in episodes]
    frames = [frame for length in lengths for frame in range(length)]
    columns = {
        "index": pyarrow.array(range(len(frames)), pyarrow.int64()),
        "episode_index": pyarrow.array([n for n, length in enumerate(lengths) for _ in range(length)], pyarrow.int64()),
        "frame_index": pyarrow.array(frames, pyarrow.int64()),
        "progress_sparse": pyarrow.array(
            [value for outline in episodes for value in outline.progress or ()], pyarrow.float32()
        ),
    }
    table = pyarrow.table(columns).replace_schema_metadata({MODEL_KEY: model.encode()})
    with atomic_write(path) as temporary:
        parquet.write_table(table, temporary)


def _episodes(outlines: Sequence[Outline]) -> list[Outline]:
    """The recordings by the number of the episode."""
    problems = []
    numbered: dict[int, Outline] = {}
    for outline in outlines:
        match = re.search(r"(\d{1,9})$", outline.name)
        if match is None:
            problems.append(f"recording {outline.name!r} ends in no number; expected the episode's, as episode_000003")
        elif numbered.setdefault(int(match[1]), outline) is not outline:
            problems.append(f"recording {outline.name!r} has the number of {numbered[int(match[1])].name!r}")
        if not outline.progress:
            problems.append(f"recording {outline.name!r} has no progress; expected the files of predict.py")
        elif not all(math.isfinite(value) and 0 <= value <= 1 for value in outline.progress):
            problems.append(f"recording {outline.name!r} has progress outside 0 to 1")
    missing = sorted(set(range(len(numbered))) - set(numbered))
    if missing and not problems:
        problems.append(f"the episode {missing[0]} is missing; expected all from 0, since frames are counted over all")
    if problems:
        raise DataError(problems)
    return [numbered[number] for number in sorted(numbered)]
