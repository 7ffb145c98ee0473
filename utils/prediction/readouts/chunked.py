"""Read-outs that answer once a chunk, made into one that answers at every frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from utils.prediction.readouts.chunks import Chunks, ChunkScale
from utils.prediction.readouts.distribution import GRID, quantiles

LOWER, MEDIAN, UPPER = 0.1, 0.5, 0.9


class HeadState(Protocol):
    """A head in the middle of one recording."""

    def update(self, chunks: Chunks) -> np.ndarray:
        """The distribution of progress while the answer to each of the next chunks stands, (n, 101); see
        `utils.prediction.readouts.distribution`. How a recording is cut into calls changes nothing."""
        ...


class Head(Protocol):
    """Distributions of progress from chunks, causal."""

    def start(self) -> HeadState:
        """The state before the first chunk of a recording."""
        ...


def start_heads(heads: Sequence[Head]) -> list[HeadState]:
    """The states of heads that will read the same chunks, all of them at each call.

    Where one head is the filter that another one reads (`EvidenceReadout.position`), both share its state.
    """
    read_by = [getattr(head, "position", None) for head in heads]
    shared: dict[int, HeadState] = {}
    for head in heads:
        readers = sum(read is head for read in read_by)
        if readers:
            shared[id(head)] = _Shared(head.start(), 1 + readers)
    return [
        shared[id(head)] if id(head) in shared else head.start(shared[id(read)]) if id(read) in shared else head.start()
        for head, read in zip(heads, read_by, strict=True)
    ]


class _Shared:
    """A state that reads chunks once, and gives what it found to each of its readers."""

    def __init__(self, state: HeadState, readers: int):
        self._state, self._readers = state, readers
        self._found: np.ndarray | None = None
        self._given = 0

    def update(self, chunks: Chunks) -> np.ndarray:
        found = self._state.update(chunks) if self._found is None else self._found
        self._given = (self._given + 1) % self._readers
        self._found = found if self._given else None  # the last reader: nothing of these chunks is kept
        return found


@dataclass(frozen=True)
class ChunkedReadout:
    """The mean of the distributions of one or several heads.

    Attributes:
        scale: how frames become chunks.
        heads: at least one.
    """

    scale: ChunkScale
    heads: tuple[Head, ...]

    def start(self) -> ChunkedState:
        return ChunkedState(self)


class ChunkedState:
    """The heads' states, and the answer that stands."""

    def __init__(self, readout: ChunkedReadout):
        self._readout = readout
        self._reader = readout.scale.start()
        self._heads = start_heads(readout.heads)
        self._received = 0
        self._answer = first_answer(readout.scale)

    def update(self, embedding: Tensor | np.ndarray) -> np.ndarray:
        """The median at the next frames, (n,) float64 in [0, 1]."""
        return self.update_quantiles(embedding)[:, 1]

    def update_quantiles(self, frames: Tensor | np.ndarray) -> np.ndarray:
        """The quantiles .1, .5 and .9 at the next frames, (n, 3) float64 in [0, 1]."""
        return self.hold(self.read_chunks(self._reader.update(frames)), len(frames))

    def hold(self, answers: np.ndarray, number: int) -> np.ndarray:
        """The quantiles at the next `number` frames, (number, 3), from those of the chunks that they complete."""
        held = hold(answers, self._answer, self._received, number, self._readout.scale.length)
        self._received += number
        if len(held):
            self._answer = held[-1:].copy()
        return held

    def read_chunks(self, chunks: Chunks) -> np.ndarray:
        """The quantiles at the next chunks, (n, 3), for a caller that makes the chunks itself."""
        if not len(chunks):  # as for most frames
            return np.zeros((0, 3))
        mass = np.zeros((len(chunks), len(GRID)))
        for head in self._heads:
            mass += head.update(chunks)
        return quantiles(mass, (LOWER, MEDIAN, UPPER))


def first_answer(scale: ChunkScale) -> np.ndarray:
    """The quantiles before the first chunk is complete: half a chunk of a mean recording, and none to two; (1, 3)."""
    share = scale.length / scale.mean_length
    return np.minimum(np.array([[0.0, 0.5, 2.0]]) * share, 1.0)


def hold(answers: np.ndarray, before: np.ndarray, received: int, number: int, length: int) -> np.ndarray:
    """The answer that stands at each of the next frames.

    Args:
        answers: (n, ...) to the chunks that these frames complete.
        before: (1, ...) the answer that stood at the last frame.
        received: frames before these.
        number: of these frames.
        length: frames of a chunk.

    Returns:
        (number, ...); a chunk's answer stands from its last frame on.
    """
    known = np.concatenate([before, answers])
    chunk = (received + np.arange(number) + 1) // length - received // length
    return known[chunk]
