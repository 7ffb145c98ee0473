"""BORIS: a `.boris` project, JSON.

`observations` holds events [time, subject, behaviour, modifiers, comment, ...] in seconds. A state event (by
`behaviors_conf`) has two entries, for its beginning and its end, which are paired for each subject, behaviour and
modifiers in the order of time; a point event has no end. Times include the observation's `time offset`, which is
subtracted. Ends are exclusive. Several media files of one player follow each other on one timeline; such an observation
is one recording. Source: the project files in the tests of BORIS (versions 7 to 9) and its writing of events.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from utils.annotation.readers import ReadOptions
from utils.annotation.readers.names import media_name
from utils.annotation.recording import SECONDS, Convention, Recording, Segment
from utils.annotation.source_files import Fields, read_object, source_paths
from utils.annotation.times import exact_number
from utils.errors import DataError, nearest_name, place, shown

NAME_BY = ("media", "observation")


def read(source: Path, options: ReadOptions, problems: list[str]) -> list[Recording]:
    """The observations of a project; `options.subject` keeps one subject's behaviour, `options.name_by` names them."""
    if options.name_by not in ("", *NAME_BY):
        problems.append(f"--name-by is {options.name_by!r}; expected one of {', '.join(NAME_BY)}")
        return []
    recordings: list[Recording] = []
    for path in source_paths(source, (".boris",), problems):
        project = read_object(path, problems)
        if project is None:
            continue
        states = _state_events(project)
        for name, content in project.mapping("observations").items():
            observation = Fields(content, place(path, None, name), problems)
            if observation.readable:
                recordings += _read_observation(path, name, observation, states, options, problems)
    return recordings


def named_by_media(media: list[str], observation: str, name_by: str) -> str:
    """The name of a recording: its media file's, or the observation's where it has several or none."""
    return media_name(media[0]) if len(media) == 1 and name_by != "observation" else observation


def pair_states(
    events: list[tuple[Fraction, tuple[str, ...], str]], label: str, here: str, problems: list[str]
) -> list[Segment]:
    """Beginnings and ends of one behaviour of one subject, paired in the order of time."""
    events = sorted(events, key=lambda event: event[0])
    if len(events) % 2:
        problems.append(f"{here}{label!r} begins at {float(events[-1][0]):g} s and never ends; expected START and STOP")
    return [
        Segment(label, begin[0], finish[0], begin[2]) for begin, finish in zip(events[::2], events[1::2], strict=False)
    ]


def _state_events(project: Fields) -> dict[str, bool]:
    """Whether each behaviour of the ethogram is a state, which lasts, or a point."""
    states = {}
    for entry in project.mapping("behaviors_conf").values():
        if isinstance(entry, dict) and isinstance(entry.get("code"), str):
            states[entry["code"]] = "state" in str(entry.get("type", "")).lower()
    return states


def _read_observation(
    path: Path, name: str, observation: Fields, states: dict[str, bool], options: ReadOptions, problems: list[str]
) -> list[Recording]:
    here = observation.where
    files = observation.content.get("file")
    media = [str(entry) for entry in files.get("1", [])] if isinstance(files, dict) else []
    try:
        offset = exact_number(observation.content.get("time offset") or 0)
    except DataError as error:
        problems.append(f"{here}the time offset {error}")
        return []
    points: list[Segment] = []
    pairs: dict[tuple[str, str, str], list] = defaultdict(list)
    others = 0
    for number, event in enumerate(observation.items("events")):
        if not isinstance(event, list) or len(event) < 3:
            problems.append(f"{here}event {number} is {shown(event)}; expected [time, subject, behaviour, ...]")
            continue
        subject, behaviour, modifiers = str(event[1]), str(event[2]), str(event[3]) if len(event) > 3 else ""
        if options.subject and subject != options.subject:
            others += 1
            continue
        if behaviour not in states:
            near = nearest_name(behaviour, states)
            hint = f"; did you mean {near!r}?" if near else ""
            problems.append(f"{here}event {number}: the behaviour {behaviour!r} is not in the ethogram{hint}")
            continue
        try:
            time = exact_number(event[0]) - offset
        except DataError as error:
            problems.append(f"{here}event {number}: the time {error}")
            continue
        if states[behaviour]:
            pairs[subject, behaviour, modifiers].append((time, (subject,), f"event {number}"))
        else:
            points.append(Segment(behaviour, time, None, f"event {number}"))
    segments = list(points)
    for (_, behaviour, _), events in pairs.items():
        segments += pair_states(events, behaviour, here, problems)
    if not segments and not others:
        return [Recording(name, [], Convention(SECONDS), path, notes=[f"observation {name!r} holds no event"])]
    notes = [f"observation {name!r}: {others} events of other subjects are left out"] if others else []
    lengths: Any = observation.content.get("media_info", {})
    lengths = lengths.get("length", {}) if isinstance(lengths, dict) else {}
    length = None
    if media and isinstance(lengths, dict) and all(entry in lengths for entry in media):
        try:
            length = sum((exact_number(lengths[entry]) for entry in media), Fraction(0))
        except DataError as error:
            problems.append(f"{here}the length of the media {error}")
    recording = named_by_media(media, name, options.name_by)
    return [Recording(recording, segments, Convention(SECONDS), path, None, length, notes=notes)]
