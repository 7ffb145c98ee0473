"""Messages for problems without a rule: one for each kind, with the option to give and a likely cause."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from utils.annotation.recording import EXCLUSIVE, FRAMES, INCLUSIVE, Recording
from utils.annotation.timeline import Timeline, Trouble
from utils.errors import place

EXAMPLES_SHOWN = 3
ANSWERS = {
    "overlap": "--overlap cut, first, last, longest or split",
    "lead-in": "--unlabelled background",
    "gap": "--unlabelled background",
    "tail": "--unlabelled background",
    "before": "--outside cut, or --offset",
    "beyond": "--outside cut, or --offset",
    "short": "--minimum-length 1 drops such segments",
    "endless": "--without-end drop, or next, which lets each last until the next begins",
    "reversed": "an end after its start",
    "empty": "a frame at least",
}
MEANING = {
    "overlap": "segments overlap",
    "lead-in": "frames before the first segment have no label",
    "gap": "frames between segments have no label",
    "tail": "frames after the last segment have no label",
    "before": "segments begin before their recording",
    "beyond": "segments end after their recording",
    "short": "segments cover no frame",
    "endless": "segments have no end",
    "reversed": "segments end before they begin",
    "empty": "recordings have no frame",
}


def explain_troubles(recordings: Sequence[Recording], timelines: Sequence[Timeline]) -> list[str]:
    """One sentence per kind of trouble: how often, in how many recordings, examples, and the option to give.

    Args:
        recordings: the recordings as read.
        timelines: their timelines, in the same order.
    """
    found: dict[str, list[tuple[Recording, Trouble]]] = defaultdict(list)
    for recording, timeline in zip(recordings, timelines, strict=False):
        for trouble in timeline.troubles:
            found[trouble.kind].append((recording, trouble))
    return [_explained(kind, found[kind], timelines) for kind in MEANING if kind in found]


def suspicions(recordings: Sequence[Recording], timelines: Sequence[Timeline]) -> list[str]:
    """One sentence for each case in which a rule was applied, but a wrong convention is the likely cause."""
    found: dict[str, list[tuple[Recording, Trouble]]] = defaultdict(list)
    for recording, timeline in zip(recordings, timelines, strict=True):
        for trouble in timeline.answered:
            found[trouble.kind].append((recording, trouble))
    causes = [_likely_cause(kind, cases, timelines) for kind, cases in found.items()]
    return [cause for cause in causes if cause]


def _explained(kind: str, cases: list[tuple[Recording, Trouble]], timelines: Sequence[Timeline]) -> str:
    videos = len({recording.name for recording, _ in cases})
    examples = "; ".join(
        f"{place(recording.file.name, recording.task, recording.name)}{trouble.words}"
        for recording, trouble in cases[:EXAMPLES_SHOWN]
    )
    more = f"; and {len(cases) - EXAMPLES_SHOWN} more" if len(cases) > EXAMPLES_SHOWN else ""
    hint = _likely_cause(kind, cases, timelines)
    return (
        f"{MEANING[kind]}: {len(cases)} times in {videos} recordings ({examples}{more}); expected {ANSWERS[kind]}"
        f"{f' ({hint})' if hint else ''}"
    )


def _likely_cause(kind: str, cases: list[tuple[Recording, Trouble]], timelines: Sequence[Timeline]) -> str:
    """A likely cause, or '' if there is no hint of one."""
    convention = cases[0][0].convention
    in_frames = convention.unit == FRAMES
    single = all(trouble.frames == 1 for _, trouble in cases)
    if kind == "gap" and single and in_frames and convention.ends == EXCLUSIVE:
        return "every gap is one frame: are the ends inclusive? --ends inclusive"
    if kind == "overlap" and single and in_frames and convention.ends == INCLUSIVE:
        return "every overlap is one frame: are the ends exclusive? --ends exclusive"
    if kind == "before" and single and in_frames and convention.first_frame == 1:
        return "by one frame each: are frames counted from 0? --first-frame 0"
    if kind == "lead-in" and single and in_frames and convention.first_frame == 0 and len(cases) == len(timelines):
        return "every recording begins with one frame without a label: are frames counted from 1? --first-frame 1"
    if kind in ("beyond", "tail"):
        # Frames that the annotation covers, divided by the frames of the features, if equal for all recordings.
        covered = [timeline.length and timeline.reach / timeline.length for timeline in timelines]
        if len(covered) > 1 and min(covered) > 0 and max(covered) < 1.05 * min(covered) and not 0.8 < covered[0] < 1.25:
            return (
                f"the annotation covers about {covered[0]:.3g} times the frames of the features in every recording: "
                f"is it at another rate? --frame-rate and --annotation-rate"
            )
    return ""
