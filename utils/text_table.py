"""Tables of plain text."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]], rule: str = "-") -> str:
    """A table of plain text: the first column to the left, the others to the right.

    Args:
        header: titles of the columns.
        rows: the cells of each row, as many as columns.
        rule: character of the line below the header; '' for no line.
    """
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = [
        "  ".join([first.ljust(widths[0]), *(map(str.rjust, others, widths[1:]))]) for first, *others in lines
    ]
    return "\n".join([texts[0], *([rule * len(texts[0])] if rule else []), *texts[1:]])
