"""Which recordings are meant: files, and the files in folders."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.data.array_file import SUFFIXES_IN_FOLDERS, of_one_format
from utils.errors import DataError
from utils.video.recordings import is_video

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """A recording's file.

    Attributes:
        name: of its results, without a suffix; below a folder, its path from there.
        path: the file.
        in_folder: it was found in a folder, and not named by the user.
    """

    name: str
    path: Path
    in_folder: bool


def find_recordings(paths: Sequence[str], recursive: bool = False) -> list[Found]:
    """The files that are meant, those of a folder in the order of their names.

    In a folder, hidden files are skipped, and so are those of other formats where there are files of an earlier one of
    `SUFFIXES_IN_FOLDERS`: predictions in CSV beside features, for example. Where there are no features, videos are
    taken.

    Args:
        paths: files and folders.
        recursive: also folders inside folders.

    Raises:
        DataError: a path that isn't there, a folder without feature files, or two files of the same name, whose results
            would overwrite each other.
    """
    found: list[Found] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(Found(path.stem, path, in_folder=False))
            continue
        files = _files_in(path, recursive)
        if not files:
            deeper = any(_of_known_format(file) for file in path.rglob("*")) and not recursive
            hint = "; its folders hold some: --recursive reads them" if deeper else ""
            raise DataError(f"{path} holds no file of features ({', '.join(SUFFIXES_IN_FOLDERS)}) and no video{hint}")
        found += [Found(file.relative_to(path).with_suffix("").as_posix(), file, in_folder=True) for file in files]
    by_name: dict[str, Found] = {}
    for each in found:
        other = by_name.setdefault(each.name, each)
        if other is not each:
            raise DataError(f"{other.path} and {each.path} would be written to the same {each.name}.csv; rename one")
    return found


def _files_in(folder: Path, recursive: bool) -> list[Path]:
    candidates = [
        path for path in (folder.rglob("*") if recursive else folder.glob("*"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]  # fmt: skip
    files = of_one_format(candidates, SUFFIXES_IN_FOLDERS)
    if not files:
        return sorted(path for path in candidates if is_video(path) and path.is_file())
    others = sum(map(_of_known_format, candidates)) - len(files)
    if others:
        logger.info("%s: %d files that are not %s are not read", folder, others, files[0].suffix)
    return files


def _of_known_format(path: Path) -> bool:
    return (path.suffix.lower() in SUFFIXES_IN_FOLDERS or is_video(path)) and path.is_file()
