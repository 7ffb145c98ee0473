"""BORIS: one project `steps.boris` with an observation a recording, and `<recording>.tsv` for "Paste events".

Each step is a state event with two lines, one for its beginning and one for its end. The columns that BORIS pastes are
time in seconds, subject, behaviour, modifier and comment, separated by tabs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from utils.annotation.exporters import ExportOptions, Outline, require_steps
from utils.files import write_json, write_text

KEYS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def write(outlines: Sequence[Outline], folder: Path, options: ExportOptions) -> list[Path]:
    """The project and the tables of events."""
    require_steps(outlines)
    labels = list(dict.fromkeys(piece.label for outline in outlines for piece in outline.pieces))
    project: dict[str, Any] = {
        "time_format": "hh:mm:ss", "project_name": "steps", "project_date": "2000-01-01T00:00:00",
        "project_description": "", "project_format_version": "7.0", "subjects_conf": {}, "behavioral_categories": [],
        "coding_map": {}, "converters": {}, "independent_variables": {},
        "behaviors_conf": {str(number): _behaviour(number, label) for number, label in enumerate(labels)},
        "observations": {outline.name: _observation(outline, options) for outline in outlines},
    }  # fmt: skip
    paths = [folder / "steps.boris"]
    write_json(paths[0], project)
    for outline in outlines:
        paths.append(folder / f"{outline.name}.tsv")
        lines = [f"{milliseconds / 1000:.3f}\t\t{label}\t\t" for milliseconds, label in _events(outline, options)]
        write_text(paths[-1], "\n".join(lines) + "\n")
    return paths


def _behaviour(number: int, label: str) -> dict[str, Any]:
    key = KEYS[number] if number < len(KEYS) else ""
    return {
        "type": "State event", "key": key, "code": label, "description": "", "category": "", "modifiers": {},
        "excluded": "", "coding map": "",
    }  # fmt: skip


def _events(outline: Outline, options: ExportOptions) -> list[tuple[int, str]]:
    """Milliseconds and label: each step's beginning and end, in the order of the recording."""
    return [
        (options.milliseconds(frame), piece.label) for piece in outline.pieces for frame in (piece.start, piece.end)
    ]


def _observation(outline: Outline, options: ExportOptions) -> dict[str, Any]:
    media = outline.name + options.media_suffix
    seconds = options.milliseconds(outline.length) / 1000
    return {
        "file": {"1": [media]}, "type": "MEDIA", "date": "2000-01-01T00:00:00", "description": "", "time offset": 0.0,
        "events": [[milliseconds / 1000, "", label, "", ""] for milliseconds, label in _events(outline, options)],
        "independent_variables": {}, "visualize_spectrogram": False, "close_behaviors_between_videos": False,
        "media_info": {
            "length": {media: seconds}, "fps": {media: float(options.video_rate)},
            "hasVideo": {media: True}, "hasAudio": {media: False}, "offset": {"1": 0.0},
        },
    }  # fmt: skip
