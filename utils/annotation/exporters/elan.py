"""ELAN: `<recording>.eaf` (EAF 3.0) with the tiers 'steps' and 'progress', times in milliseconds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from utils.annotation.exporters import ExportOptions, Outline, require_steps, tenths
from utils.annotation.timeline import Piece
from utils.files import atomic_write

TYPE = "default-lt"


def write(outlines: Sequence[Outline], folder: Path, options: ExportOptions) -> list[Path]:
    """One file a recording; its media is expected beside it."""
    require_steps([outline for outline in outlines if outline.progress is None])
    paths = []
    for outline in outlines:
        tiers = {"steps": outline.pieces, "progress": tenths(outline.progress or ())}
        root = _document(outline.name + options.media_suffix, tiers, options)
        ElementTree.indent(root)
        content = io.BytesIO()
        ElementTree.ElementTree(root).write(content, encoding="UTF-8", xml_declaration=True)
        paths.append(folder / f"{outline.name}.eaf")
        with atomic_write(paths[-1]) as temporary:
            temporary.write_bytes(content.getvalue())
    return paths


def _document(media: str, tiers: dict[str, Sequence[Piece]], options: ExportOptions) -> ElementTree.Element:
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT", AUTHOR="", DATE="2000-01-01T00:00:00+00:00", FORMAT="3.0", VERSION="3.0"
    )
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    ElementTree.SubElement(
        header, "MEDIA_DESCRIPTOR", MEDIA_URL=media, MIME_TYPE="video/mp4", RELATIVE_MEDIA_URL=f"./{media}"
    )
    order = ElementTree.SubElement(root, "TIME_ORDER")
    # Separate time slots for each annotation, so that moving a boundary in ELAN moves no other annotation.
    edges = [
        (frame, tier, number, side)
        for tier, pieces in tiers.items()
        for number, piece in enumerate(pieces)
        for side, frame in enumerate((piece.start, piece.end))
    ]
    slots: dict[tuple[str, int, int], str] = {}
    for frame, *edge in sorted(edges):
        slots[tuple(edge)] = f"ts{len(slots) + 1}"
        time = str(options.milliseconds(frame))
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slots[tuple(edge)], TIME_VALUE=time)
    count = 0
    for name, pieces in tiers.items():
        if not pieces:
            continue
        tier = ElementTree.SubElement(root, "TIER", LINGUISTIC_TYPE_REF=TYPE, TIER_ID=name)
        for number, piece in enumerate(pieces):
            count += 1
            annotation = ElementTree.SubElement(
                ElementTree.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", ANNOTATION_ID=f"a{count}",
                TIME_SLOT_REF1=slots[name, number, 0], TIME_SLOT_REF2=slots[name, number, 1],
            )  # fmt: skip
            ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = piece.label
    ElementTree.SubElement(
        root, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID=TYPE, TIME_ALIGNABLE="true"
    )
    return root
