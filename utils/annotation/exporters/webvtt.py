"""WebVTT: `<recording>.vtt` with a cue per step, and `<recording>.progress.vtt` with a cue per tenth of progress."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from utils.annotation.exporters import ExportOptions, Outline, require_steps, tenths
from utils.annotation.timeline import Piece
from utils.files import write_text


def write(outlines: Sequence[Outline], folder: Path, options: ExportOptions) -> list[Path]:
    """One file a recording, or two."""
    require_steps([outline for outline in outlines if outline.progress is None])
    paths = []
    for outline in outlines:
        for ending, pieces in (("", outline.pieces), (".progress", tenths(outline.progress or ()))):
            if pieces:
                paths.append(folder / f"{outline.name}{ending}.vtt")
                write_text(paths[-1], "\n\n".join(["WEBVTT", *(_cue(piece, options) for piece in pieces)]) + "\n")
    return paths


def _cue(piece: Piece, options: ExportOptions) -> str:
    begin, end = (_time(options.milliseconds(frame)) for frame in (piece.start, piece.end))
    return f"{begin} --> {end}\n{escape(piece.label, quote=False)}"


def _time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{rest:03}"
