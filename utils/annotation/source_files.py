"""Reads files of other programs: text, tables, JSON and XML; problems are collected, with file and line.

Nothing in a file is executed, and no file can make reading very slow or large: XML that declares entities is refused,
numbers have a largest size, and text is decoded strictly.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

from utils.errors import DataError, place, shown

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Row(NamedTuple):
    """A line of a table: its number in the file, and its cells by the names of the columns."""

    line: int
    cells: dict[str, Any]


def source_paths(source: Path, suffixes: Sequence[str], problems: list[str]) -> list[Path]:
    """The file itself, or the files of a folder that end in one of the suffixes, in the order of their names.

    Hidden files, such as '._x.csv', which some systems add, are skipped. A missing source and a folder without such
    files are problems.
    """
    if not source.exists():
        problems.append(f"{place(source)}no such file or folder")
        return []
    if not source.is_dir():
        return [source]
    wanted = tuple(suffix.lower() for suffix in suffixes)
    found = sorted(
        path for path in source.rglob("*")
        if path.name.lower().endswith(wanted) and not path.name.startswith(".") and path.is_file()
    )  # fmt: skip
    if not found:
        problems.append(f"{place(source)}holds no {' or '.join(suffixes)} file")
    return found


def read_text(path: Path, problems: list[str], encoding: str | None = None) -> str | None:
    """The text of a file; if it can't be read, None and a problem.

    UTF-8, with or without a byte order mark, or UTF-16 with one, unless another encoding is given.
    """
    try:
        if not path.is_file():
            raise ValueError("no such file" if not path.exists() else "it is not a regular file")
        content = path.read_bytes()
        marked = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), None)
        text = content.decode(marked or encoding or "utf-8")
        if "\0" in text:
            raise ValueError("it is not text")
    except UnicodeDecodeError as error:
        problems.append(
            f"{place(path)}is not {encoding or 'UTF-8'} (at byte {error.start}); save it as UTF-8, or name its "
            f"encoding by --encoding"
        )
        return None
    except (OSError, ValueError, LookupError) as error:
        problems.append(f"{place(path)}cannot be read as text ({error})")
        return None
    if not text.strip():
        problems.append(f"{place(path)}is empty")
        return None
    return text


def read_lines(path: Path, problems: list[str], encoding: str | None = None) -> list[tuple[int, str]]:
    """The lines of a text file that aren't blank, with their numbers from 1, without the white space around them."""
    text = read_text(path, problems, encoding)
    lines = enumerate(text.splitlines() if text is not None else (), 1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def delimiter_of(line: str) -> str:
    """The separator of a table's columns, found in its first line: a tab, a semicolon or a comma."""
    counts = {character: line.count(character) for character in "\t;,"}
    return max(counts, key=counts.__getitem__) if any(counts.values()) else ","


def split_table(text: str, delimiter: str) -> Iterable[tuple[int, list[str]]]:
    """The rows of a table as (line number, cells); blank rows are skipped.

    Raises:
        DataError: a quote that isn't closed, or a cell of more than 100,000 characters.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise DataError(f"cannot be read as a table, near line {reader.line_num + 1} ({error})") from error


def read_table(
    path: Path, problems: list[str], encoding: str | None = None, columns: Sequence[str] = (), header: bool = True
) -> list[Row]:
    """The rows of a CSV or TSV file (comma, semicolon or tab).

    Args:
        path: the file.
        problems: what is wrong is appended here.
        encoding: of the file; None means UTF-8.
        columns: names of the columns of a file without a header; by default its first line names them.
        header: whether the first line names the columns; if not, and they have no names, they are '1', '2', ...
    """
    text = read_text(path, problems, encoding)
    if text is None:
        return []
    rows: list[Row] = []
    names = list(columns)
    try:
        for line, cells in split_table(text, delimiter_of(text.lstrip().partition("\n")[0])):
            if not names and not header:
                names = [str(number) for number in range(1, len(cells) + 1)]
            if not names:
                names = cells
                repeated = [name for name, count in Counter(names).items() if count > 1 and name]
                if repeated:
                    problems.append(f"{place(path)}line {line}: the column {repeated[0]!r} occurs twice")
                    return []
            elif len(cells) > len(names) and any(cells[len(names) :]):
                problems.append(f"{place(path)}line {line}: {len(cells)} cells; expected {len(names)}")
            else:
                rows.append(Row(line, dict(zip(names, cells + [""] * (len(names) - len(cells)), strict=False))))
    except DataError as error:
        problems.append(f"{place(path)}{error}")
        return []
    if not rows and not problems:
        problems.append(f"{place(path)}holds a header and nothing else")
    return rows


def read_json(path: Path, problems: list[str]) -> Any:
    """The content of a JSON file, or None if it can't be read.

    A number with a decimal point is returned as text, so that it isn't rounded. NaN is text too: it is refused as a
    time, and ignored elsewhere.
    """
    text = read_text(path, problems)
    return None if text is None else parse_json(text, str(place(path)), problems)


def parse_json(text: str, where: str, problems: list[str]) -> Any:
    """What JSON text holds, as `read_json` gives it; `where` begins the sentence of a problem."""

    def refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            (repeated, _), *_ = Counter(key for key, _ in pairs).most_common(1)
            raise ValueError(f"the key {shown(repeated)} occurs twice in one object")
        return content

    try:
        return json.loads(text, parse_float=str, parse_constant=str, object_pairs_hook=refuse_repeated_keys)
    except (ValueError, RecursionError) as error:
        problems.append(f"{where}cannot be read as JSON ({error})")
        return None


def read_xml(path: Path, problems: list[str]) -> ElementTree.Element | None:
    """The outermost element of an XML file, or None if it can't be read.

    A file with a document type declaration is refused before anything in it is expanded: it can declare entities that
    grow without limit or name other files. No annotation tool writes such a declaration.
    """

    def refuse(*_: object) -> None:
        raise ValueError("it has a document type declaration (DOCTYPE), which is not read, for safety")

    try:
        if not path.is_file():
            raise ValueError("no such file" if not path.exists() else "it is not a regular file")
        content = path.read_bytes()
        if not content.strip():
            raise ValueError("it is empty")
        scanner = expat.ParserCreate()
        scanner.StartDoctypeDeclHandler = refuse
        scanner.Parse(content, True)
        return ElementTree.fromstring(content)
    except (OSError, ValueError, LookupError, expat.ExpatError, ElementTree.ParseError) as error:
        problems.append(f"{place(path)}cannot be read as XML ({error})")
        return None


class Fields:
    """Typed look-ups in a JSON object of another program; a missing value is a problem.

    Args:
        content: the object, or another value in its place.
        where: the beginning of a problem's sentence.
        problems: problems are appended here.
    """

    def __init__(self, content: Any, where: str, problems: list[str]):
        self.where, self.problems = where, problems
        self.readable = isinstance(content, dict)
        self.content: dict[str, Any] = content if self.readable else {}
        if not self.readable:
            problems.append(f"{where}is {shown(content)}; expected an object")

    def _typed(self, key: str, kind: type, words: str) -> Any:
        value = self.content.get(key)
        if isinstance(value, kind) and not isinstance(value, bool):
            return value
        if self.readable:
            found = f"is {shown(value)}" if key in self.content else "is missing"
            self.problems.append(f"{self.where}{key!r} {found}; expected {words}")
        return kind()

    def text(self, key: str) -> str:
        """Text; '' if it is missing."""
        return self._typed(key, str, "text")

    def items(self, key: str) -> list:
        """A list; empty if it is missing."""
        return self._typed(key, list, "a list")

    def mapping(self, key: str) -> dict:
        """An object; empty if it is missing."""
        return self._typed(key, dict, "an object")


def read_object(path: Path, problems: list[str]) -> Fields | None:
    """The JSON object in a file, or None if it can't be read."""
    content = read_json(path, problems)
    return None if content is None else Fields(content, place(path), problems)


def raise_problems(problems: Sequence[str]) -> None:
    """Raises an error with all problems, if there are any.

    Raises:
        DataError: there are problems.
    """
    if problems:
        raise DataError(list(dict.fromkeys(problems)))
