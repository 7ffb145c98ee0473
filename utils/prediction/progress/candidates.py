"""The read-outs among which progress is chosen, each fitted to the same recordings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from utils.prediction.progress.workers import run_all
from utils.prediction.readouts import PathReadout, Readout, TrainingReference
from utils.prediction.readouts.alignment import AlignmentReadout
from utils.prediction.readouts.chunked import LOWER, MEDIAN, UPPER, ChunkedReadout, Head, start_heads
from utils.prediction.readouts.chunks import ChunkScale
from utils.prediction.readouts.distribution import GRID, quantiles
from utils.prediction.readouts.evidence import fit_evidence, fit_filter
from utils.prediction.readouts.naive import fit_clock, fit_index
from utils.prediction.readouts.neighbours import NeighboursReadout
from utils.prediction.readouts.quantile_forest import forest_can_be_grown
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
# What is fitted at the same time.
PARTS = (frozenset({RECURRENT}), frozenset({EVIDENCE}), frozenset({*BY_FRAME, FILTER, EVIDENCE_AND_FILTER}))
KINDS = ("by_frame", "heads")
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
        return [*self.by_frame, *self.heads, *means_of(self.heads)]


def fit_candidates(
    recordings: Sequence[LabelledRecording], scale: ChunkScale, seed: int, names: Sequence[str] | None = None
) -> Fitted:
    """Fits read-outs, several at the same time.

    Args:
        recordings: at least one.
        scale: of their frames.
        seed: of all random choices.
        names: those that are wanted; all that the recordings are enough for if it is None.

    Raises:
        ValueError: there is no read-out of such a name.
    """
    work = [(recordings, scale, seed, part) for part in divided(names)]
    fitted = run_all(fit_part, work, "fitting")
    by_frame, heads = ({name: one for own in fitted for name, one in getattr(own, kind).items()} for kind in KINDS)
    return Fitted(scale, by_frame, {name: heads[name] for name in HEADS if name in heads})


def divided(names: Sequence[str] | None) -> list[frozenset[str]]:
    """Read-outs, and what means are made of, in parts that take about equally long to fit; the longest first.

    Args:
        names: those that are wanted; all if it is None.

    Raises:
        ValueError: there is no read-out of such a name.
    """
    for name in names or ():
        if name not in (*BY_FRAME, *HEADS, *MEANS):
            raise ValueError(f"no read-out {name!r}; expected of {', '.join((*BY_FRAME, *HEADS, *MEANS))}")
    if names is None:
        return list(PARTS)
    wanted = {single for name in names for single in MEANS.get(name, (name,))}
    return [part & wanted for part in PARTS if part & wanted]


def fit_part(
    recordings: Sequence[LabelledRecording], scale: ChunkScale, seed: int, wanted: frozenset[str]
) -> Fitted:
    """Fits the wanted read-outs, of `BY_FRAME` and `HEADS`, for which the recordings are enough."""
    frames = [recording.frames for recording in recordings]
    progress = [recording.progress for recording in recordings]
    by_frame: dict[str, Readout] = {}
    if INDEX in wanted:
        by_frame[INDEX] = fit_index(progress)
    if CLOCK in wanted:
        by_frame[CLOCK] = fit_clock(progress)
    scaled = [scale.scaled(values) for values in frames] if not wanted.isdisjoint((PATH, NEIGHBOURS, ALIGNMENT)) else []
    if PATH in wanted:
        by_frame[PATH] = ScaledReadout(scale, PathReadout(mean_total_path(map(path_length, scaled))))
    for name, kind in ((NEIGHBOURS, NeighboursReadout), (ALIGNMENT, AlignmentReadout)):
        if name in wanted:
            by_frame[name] = ScaledReadout(scale, kind(TrainingReference(scaled, progress, kind.most_frames)))
    heads: dict[str, Head] = {}
    long_enough = sum(len(recording) >= scale.length for recording in recordings)
    if long_enough >= FEWEST_FOR_EVIDENCE:
        position = fit_filter(recordings, scale) if wanted & {FILTER, EVIDENCE_AND_FILTER} else None
        if FILTER in wanted:
            heads[FILTER] = position
        with_forest = forest_can_be_grown()
        if EVIDENCE in wanted and with_forest:
            heads[EVIDENCE] = fit_evidence(recordings, scale, seed=seed)
        if EVIDENCE_AND_FILTER in wanted and with_forest:
            heads[EVIDENCE_AND_FILTER] = fit_evidence(
                recordings, scale, with_position=True, seed=seed, position=position
            )
        if RECURRENT in wanted:
            heads[RECURRENT] = fit_recurrent(recordings, scale, seed)
    return Fitted(scale, by_frame, heads)


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


class Read(NamedTuple):
    """What read-outs say of a recording, before means are taken.

    Attributes:
        by_frame: progress at every frame, (T,) each.
        masses: by head, the distribution of progress after each chunk, (n, 101) each.
    """

    by_frame: dict[str, np.ndarray]
    masses: dict[str, np.ndarray]

    def __or__(self, other: Read) -> Read:
        return Read({**self.by_frame, **other.by_frame}, {**self.masses, **other.masses})


def read_parts(fitted: Fitted, frames: np.ndarray) -> Read:
    """Runs every read-out once over the (T, D) frames of a recording."""
    chunks = fitted.scale.start().update(frames)
    states = start_heads(list(fitted.heads.values()))
    return Read(
        {name: readout.start().update(frames) for name, readout in fitted.by_frame.items()},
        {name: state.update(chunks) for name, state in zip(fitted.heads, states, strict=True)},
    )


def curves_of(read: Read, scale: ChunkScale, length: int) -> dict[str, np.ndarray]:
    """Quantiles .1, .5 and .9 of progress at every frame by every read-out and mean of heads, (T, 3) each.

    Args:
        read: of a recording.
        scale: how its frames became chunks.
        length: T.
    """
    found = {name: np.repeat(curve[:, None], 3, axis=1) for name, curve in read.by_frame.items()}
    for name in [*(name for name in HEADS if name in read.masses), *means_of(read.masses)]:
        mass = sum((read.masses[part] for part in MEANS.get(name, (name,))), np.zeros((1, len(GRID))))
        answers = quantiles(mass, (LOWER, MEDIAN, UPPER)) if len(mass) else np.zeros((0, 3))
        found[name] = ChunkedReadout(scale, ()).start().hold(answers, length)
    return found


def read_all(fitted: Fitted, frames: np.ndarray) -> dict[str, np.ndarray]:
    """Quantiles .1, .5 and .9 of progress at every frame of a recording by every read-out, (T, 3) each.

    A head is run once, also where a mean needs it.
    """
    return curves_of(read_parts(fitted, frames), fitted.scale, len(frames))


def means_of(heads: Collection[str]) -> list[str]:
    """The means that can be made of these heads."""
    return [name for name, parts in MEANS.items() if all(part in heads for part in parts)]
