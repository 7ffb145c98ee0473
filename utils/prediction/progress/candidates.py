"""The read-outs among which progress is chosen, each fitted to the same recordings."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from utils.prediction.readouts import PathReadout, Readout, TrainingReference
from utils.prediction.readouts.alignment import AlignmentReadout
from utils.prediction.readouts.chunked import LOWER, MEDIAN, UPPER, ChunkedReadout, Head
from utils.prediction.readouts.chunks import ChunkScale
from utils.prediction.readouts.distribution import quantiles
from utils.prediction.readouts.evidence import fit_evidence, fit_filter
from utils.prediction.readouts.naive import fit_clock, fit_index
from utils.prediction.readouts.neighbours import NeighboursReadout
from utils.prediction.readouts.recording import LabelledRecording
from utils.prediction.readouts.recurrent import fit_recurrent
from utils.tensorops import mean_total_path, path_length

INDEX, CLOCK, PATH, NEIGHBOURS, ALIGNMENT = "index", "clock", "path", "neighbours", "alignment"
FILTER, EVIDENCE, EVIDENCE_AND_FILTER, RECURRENT = "filter", "evidence", "evidence + filter", "recurrent"
BY_FRAME = (INDEX, CLOCK, PATH, NEIGHBOURS, ALIGNMENT)
HEADS = (FILTER, EVIDENCE, EVIDENCE_AND_FILTER, RECURRENT)
COUNTING = (INDEX, CLOCK)
# Heads whose distributions are averaged, by the name of their mean.
MEANS = {
    "mean of evidence": (EVIDENCE, EVIDENCE_AND_FILTER),
    "mean of evidence and recurrent": (EVIDENCE, EVIDENCE_AND_FILTER, RECURRENT),
    "mean of all": (FILTER, EVIDENCE, EVIDENCE_AND_FILTER, RECURRENT),
}
FEWEST_FOR_EVIDENCE = 3  # recordings: some of them must judge what was fitted to others


class Fitted(NamedTuple):
    """Read-outs fitted to the same recordings.

    Attributes:
        scale: how frames become chunks.
        by_frame: read-outs that answer at every frame.
        heads: those that answer once a chunk.
    """

    scale: ChunkScale
    by_frame: dict[str, Readout]
    heads: dict[str, Head]

    def readout(self, name: str) -> Readout | ChunkedReadout:
        """One of them, or a mean of heads, by its name."""
        if name in self.by_frame:
            return self.by_frame[name]
        return ChunkedReadout(self.scale, tuple(self.heads[part] for part in MEANS.get(name, (name,))))

    def names(self) -> list[str]:
        """All of them, and the means that can be made."""
        means = [name for name, parts in MEANS.items() if all(part in self.heads for part in parts)]
        return [*self.by_frame, *self.heads, *means]


def fit_candidates(
    recordings: Sequence[LabelledRecording], scale: ChunkScale, seed: int, names: Sequence[str] | None = None
) -> Fitted:
    """Fits read-outs.

    Args:
        recordings: at least one.
        scale: of their frames.
        seed: of all random choices.
        names: those that are wanted; all that the recordings are enough for if it is None.

    Raises:
        ValueError: there is no read-out of such a name.
    """
    for name in names or ():
        if name not in (*BY_FRAME, *HEADS, *MEANS):
            raise ValueError(f"no read-out {name!r}; expected of {', '.join((*BY_FRAME, *HEADS, *MEANS))}")
    wanted = None if names is None else {part for name in names for part in MEANS.get(name, (name,))}

    def is_wanted(name: str) -> bool:
        return wanted is None or name in wanted

    frames = [recording.frames for recording in recordings]
    progress = [recording.progress for recording in recordings]
    by_frame: dict[str, Readout] = {}
    if is_wanted(INDEX):
        by_frame[INDEX] = fit_index(progress)
    if is_wanted(CLOCK):
        by_frame[CLOCK] = fit_clock(progress)
    scaled = [scale.scaled(values) for values in frames] if any(map(is_wanted, (PATH, NEIGHBOURS, ALIGNMENT))) else []
    if is_wanted(PATH):
        by_frame[PATH] = ScaledReadout(scale, PathReadout(mean_total_path(map(path_length, scaled))))
    for name, kind in ((NEIGHBOURS, NeighboursReadout), (ALIGNMENT, AlignmentReadout)):
        if is_wanted(name):
            by_frame[name] = ScaledReadout(scale, kind(TrainingReference(scaled, progress, kind.most_frames)))
    heads: dict[str, Head] = {}
    long_enough = sum(len(recording) >= scale.length for recording in recordings)
    if long_enough >= FEWEST_FOR_EVIDENCE:
        if is_wanted(FILTER):
            heads[FILTER] = fit_filter(recordings, scale)
        with_forest = forest_can_be_grown()
        if is_wanted(EVIDENCE) and with_forest:
            heads[EVIDENCE] = fit_evidence(recordings, scale, seed=seed)
        if is_wanted(EVIDENCE_AND_FILTER) and with_forest:
            heads[EVIDENCE_AND_FILTER] = fit_evidence(recordings, scale, with_position=True, seed=seed)
        if is_wanted(RECURRENT):
            heads[RECURRENT] = fit_recurrent(recordings, scale, seed)
    return Fitted(scale, by_frame, {name: head for name, head in heads.items() if is_wanted(name)})


def forest_can_be_grown() -> bool:
    """Whether the library that grows forests is installed."""
    return importlib.util.find_spec("sklearn") is not None


class ScaledReadout(NamedTuple):
    """A read-out of frames that are scaled as those of chunks are, so that no channel counts more than another."""

    scale: ChunkScale
    readout: Readout

    def start(self) -> _ScaledState:
        return _ScaledState(self)


class _ScaledState:
    def __init__(self, scaled: ScaledReadout):
        self._scale, self._state = scaled.scale, scaled.readout.start()

    def update(self, embedding: np.ndarray) -> np.ndarray:
        return self._state.update(self._scale.scaled(embedding))


def read_all(fitted: Fitted, frames: np.ndarray) -> dict[str, np.ndarray]:
    """Quantiles .1, .5 and .9 of progress at every frame of a recording by every read-out, (T, 3) each.

    A head is run once, also where a mean needs it.
    """
    found = {}
    for name, readout in fitted.by_frame.items():
        found[name] = np.repeat(readout.start().update(frames)[:, None], 3, axis=1)
    chunks = fitted.scale.start().update(frames)
    masses = {name: head.start().update(chunks) for name, head in fitted.heads.items()}
    for name in fitted.names()[len(fitted.by_frame) :]:
        state = ChunkedReadout(fitted.scale, ()).start()
        mass = sum(masses[part] for part in MEANS.get(name, (name,)))
        answers = quantiles(mass, (LOWER, MEDIAN, UPPER)) if len(chunks) else np.zeros((0, 3))
        found[name] = state.hold(answers, len(frames))
    return found
