"""ELAN: `.eaf`, XML.

Times are whole milliseconds (TIME_UNITS="milliseconds" is the only unit ELAN writes) of TIME_SLOTs, which stand in any
order and may have no value; an annotation lasts from one slot to another, ends exclusive. An annotation on a dependent
tier (REF_ANNOTATION) has the times of the one that it refers to. TIME_ORIGIN of a MEDIA_DESCRIPTOR is the offset of
the media against the timeline: 0 of the timeline is that many milliseconds into the media, so it is added. Source: the
EAF schema, versions 2.7 to 3.0, and files of public corpora. A recording is named by its first media file.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from xml.etree.ElementTree import Element

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.names import media_name
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import read_xml, source_paths
from utils.annotation.times import exact_number
from utils.errors import DataError, place, shown


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The recordings of one .eaf file or of a folder of them; `options.tier` names the tier of the steps."""
    recordings = [_read_file(path, options, problems) for path in source_paths(source, (".eaf",), problems)]
    return [recording for recording in recordings if recording is not None]


def _read_file(path: Path, options: ReadOptions, problems: list[str]) -> Recording | None:
    root = read_xml(path, problems)
    if root is None:
        return None
    if root.tag != "ANNOTATION_DOCUMENT":
        problems.append(f"{place(path)}begins with <{root.tag}>; expected <ANNOTATION_DOCUMENT>")
        return None
    header = root.find("HEADER")
    units = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if units != "milliseconds":
        problems.append(f"{place(path)}its times are {shown(units)}; expected milliseconds")
        return None
    tier = _tier(path, root, options.tier, problems)
    if tier is None:
        return None
    slots = _slots(path, root, problems)
    annotations = {
        element.get("ANNOTATION_ID", ""): element
        for kind in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION")
        for element in root.iter(kind)
    }
    media = next(root.iter("MEDIA_DESCRIPTOR"), None)
    offset, name = Fraction(0), path.name
    if media is not None:
        name = media.get("RELATIVE_MEDIA_URL") or media.get("MEDIA_URL") or path.name
        try:
            offset = exact_number(media.get("TIME_ORIGIN") or 0)
        except DataError as error:
            problems.append(f"{place(path)}TIME_ORIGIN {error}")
    segments, empty = [], 0
    for annotation in tier.iter():
        if annotation.tag not in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"):
            continue
        label = (annotation.findtext("ANNOTATION_VALUE") or "").strip()
        identity = annotation.get("ANNOTATION_ID", "")
        if not label:
            empty += 1
            continue
        try:
            start, end = _times(annotation, annotations, slots)
        except DataError as error:
            problems.append(f"{place(path)}annotation {identity!r} of tier {tier.get('TIER_ID')!r} {error}")
            continue
        where = f"annotation {identity}"
        segments.append(Segment(label, (start + offset) / 1000, (end + offset) / 1000, where))
    notes = [f"{path.name}: {empty} annotations without a text are left out"] if empty else []
    if offset:
        notes.append(f"{path.name}: times are moved by the media's offset, {offset} ms")
    return Recording(media_name(name), segments, Convention(SECONDS), path, notes=notes)


def _tier(path: Path, root: Element, wanted: str, problems: list[str]) -> Element | None:
    tiers = {tier.get("TIER_ID", ""): tier for tier in root.iter("TIER")}
    filled = [name for name, tier in tiers.items() if tier.find("ANNOTATION") is not None]
    if wanted in tiers:
        return tiers[wanted]
    if not wanted and len(filled) == 1:
        return tiers[filled[0]]
    what = f"has no tier {wanted!r}" if wanted else "has several tiers" if filled else "has no annotation"
    problems.append(f"{place(path)}{what}; expected --tier with one of {shown(list(tiers))}")
    return None


def _slots(path: Path, root: Element, problems: list[str]) -> dict[str, Fraction | None]:
    """Milliseconds of each time slot, None where it has no value."""
    slots: dict[str, Fraction | None] = {}
    for slot in root.iter("TIME_SLOT"):
        identity, value = slot.get("TIME_SLOT_ID", ""), slot.get("TIME_VALUE")
        try:
            slots[identity] = None if value is None else exact_number(value)
        except DataError as error:
            problems.append(f"{place(path)}time slot {identity!r} {error}")
    return slots


def _times(
    annotation: Element, annotations: dict[str, Element], slots: dict[str, Fraction | None]
) -> tuple[Fraction, Fraction]:
    """Start and end in milliseconds, of the annotation or of the one that it depends on."""
    seen: set[str] = set()
    while annotation.tag == "REF_ANNOTATION":
        if annotation.get("PREVIOUS_ANNOTATION"):
            raise DataError("divides its parent without times of its own; choose the parent's tier")
        reference = annotation.get("ANNOTATION_REF", "")
        if reference in seen or reference not in annotations:
            raise DataError(f"refers to {reference!r}, which has no times")
        seen.add(reference)
        annotation = annotations[reference]
    times = []
    for key in ("TIME_SLOT_REF1", "TIME_SLOT_REF2"):
        slot = annotation.get(key, "")
        time = slots.get(slot)
        if time is None:
            raise DataError(f"has the time slot {slot!r}, which has no time")
        times.append(time)
    return times[0], times[1]
