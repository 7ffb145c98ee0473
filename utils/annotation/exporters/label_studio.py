"""Label Studio: `tasks.json` with the steps as pre-annotations, and `labels.xml`, the labelling interface for them.

Regions are TimelineLabels of the video: frames of the video from 1, ends inclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from utils.annotation.conversion import nearest
from utils.annotation.exporters import ExportOptions, Outline, require_steps
from utils.annotation.timeline import Piece
from utils.errors import DataError
from utils.files import write_json, write_text

CONTROL, MEDIA = "steps", "video"


def write(outlines: Sequence[Outline], folder: Path, options: ExportOptions) -> list[Path]:
    """The tasks, and the interface to paste into the project's settings.

    Raises:
        DataError: the videos have fewer frames than the features, so that boundaries would be lost.
    """
    require_steps(outlines)
    if options.video_rate < options.frame_rate:
        raise DataError(
            f"the videos have {float(options.video_rate):g} frames/s, the features {float(options.frame_rate):g}; "
            f"expected no fewer, since the tool counts the video's frames and would move boundaries (--video-rate)"
        )
    tasks = [
        {
            "data": {MEDIA: outline.name + options.media_suffix},
            "predictions": [
                {
                    "model_version": options.model or "steps",
                    "result": [_region(number, piece, options) for number, piece in enumerate(outline.pieces)],
                }
            ],
        }
        for outline in outlines
    ]
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Video", name=MEDIA, value=f"${MEDIA}", frameRate=f"{float(options.video_rate):g}")
    control = ElementTree.SubElement(view, "TimelineLabels", name=CONTROL, toName=MEDIA)
    for label in dict.fromkeys(piece.label for outline in outlines for piece in outline.pieces):
        ElementTree.SubElement(control, "Label", value=label)
    ElementTree.indent(view)
    paths = [folder / "tasks.json", folder / "labels.xml"]
    write_json(paths[0], tasks)
    write_text(paths[1], ElementTree.tostring(view, encoding="unicode") + "\n")
    return paths


def _region(number: int, piece: Piece, options: ExportOptions) -> dict:
    scale = options.video_rate / options.frame_rate
    span = {"start": nearest(piece.start * scale) + 1, "end": nearest(piece.end * scale)}
    return {
        "id": f"step{number}", "from_name": CONTROL, "to_name": MEDIA, "type": "timelinelabels",
        "value": {"ranges": [span], "timelinelabels": [piece.label]},
    }  # fmt: skip
