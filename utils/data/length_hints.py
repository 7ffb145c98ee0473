"""Why annotation and features differ in length: a likely cause for each recording, and the setting that fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

SAME_RATIO = 0.02  # largest relative difference of two ratios that count as the same
MOST = 0.6  # share of the recordings that must have the same ratio
# Below this ratio of the longest and the shortest annotation, equal ratios show nothing: all recordings are alike.
VARIED_LENGTHS = 1.2
NEAR_ONE = 0.1


class Lengths(NamedTuple):
    """Of one recording: frames of the features, frames that are annotated, and the first frame of its first segment."""

    frames: int
    annotated: int
    first_start: int

    @property
    def ratio(self) -> float:
        """Frames of the features for each annotated frame."""
        return self.frames / self.annotated


def common_ratio(lengths: Sequence[Lengths]) -> float | None:
    """Frames of features for each annotated frame, if most recordings agree on it and it isn't about 1.

    Only a ratio shared by recordings of different lengths shows another rate. If all are about equally long, an
    unlabelled tail or a late end gives the same ratio too; a whole number of annotated frames for each frame of the
    features is then still a sign of another rate, because the annotation covers far more than a recording can hold.
    """
    ratios = sorted(length.ratio for length in lengths)
    if len(ratios) < 2:
        return None
    middle = ratios[len(ratios) // 2]
    agreeing = [length for length in lengths if abs(length.ratio - middle) <= SAME_RATIO * middle]
    if len(agreeing) < max(2, MOST * len(ratios)) or abs(middle - 1) <= NEAR_ONE:
        return None
    if any(length.first_start >= length.frames for length in agreeing):
        return None  # the annotation is numbered in a longer recording
    annotated = [length.annotated for length in agreeing]
    varied = max(annotated) >= VARIED_LENGTHS * min(annotated)
    whole = round(1 / middle)
    return middle if varied or (whole >= 2 and abs(whole * middle - 1) <= SAME_RATIO) else None


def length_hints(lengths: Mapping[str, Lengths], different: Sequence[str]) -> dict[str, str]:
    """A hint for each recording whose lengths differ by too much.

    Args:
        lengths: of every recording, by name.
        different: those that differ.
    """
    ratio = common_ratio(list(lengths.values()))
    return {name: _hint(lengths[name], ratio) for name in different}


def _hint(length: Lengths, ratio: float | None) -> str:
    if length.first_start >= length.frames:
        return (
            f"; its first segment starts at frame {length.first_start}, after the last frame: is it numbered in a "
            f"longer recording? Subtract the number of the first frame (--offset of utils.annotation.importer)"
        )
    if ratio is not None and abs(length.ratio - ratio) <= SAME_RATIO * ratio:
        return (
            f"; most recordings have {ratio:.3g} frames of features for each annotated one: are the features of "
            f"another rate? ANNOTATION_SCALING = 'proportional' rescales the annotation"
        )
    if length.frames > length.annotated:
        return (
            f"; the last {length.frames - length.annotated} frames are in no segment: UNLABELLED_TAIL = 'background' "
            f"makes them background"
        )
    return (
        "; segments end after the recording: cut them (--outside cut of utils.annotation.importer), or is the file of "
        "features another recording's?"
    )
