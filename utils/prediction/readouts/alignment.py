"""Progress carried over from training videos by online dynamic time warping."""

from __future__ import annotations

import numpy as np
import torch

from utils.prediction.readouts.protocol import as_double
from utils.prediction.readouts.reference import TrainingReference

BLOCK = 64
GAP = 2  # cells before each video that no path reaches, so that none comes from the end of another
LEAST_EXPONENT = -700.0


class AlignmentReadout:
    """Open-end dynamic time warping to all training videos at once, one column of cells a frame.

        R_v[t, j] = ||x_t - y_vj|| + min(R_v[t-1, j], R_v[t-1, j-1], R_v[t-1, j-2]),  R_v[0, 0] = ||x_0 - y_v0||

    Every frame of the video is matched once and may stay at a training frame, or move on by one or two, so
    that the cells of a column are comparable wherever their path ends. Where the video stands is not the one
    cheapest cell but a soft choice of them,

        progress_t = sum_vj w_vj p_vj,   w_vj ~ exp(-(R_v[t, j] - min R[t]) / (patience * m_t)),

    p the true progress of the training frames and m_t the least mean cost of a frame so far: a cell that
    lies `patience` average frames behind the best counts 1 / e. Time and memory per frame don't depend on t.

    A thinned reference (every k-th frame) is matched with every k-th frame of the video; otherwise the limit of two
    training frames per frame would become one of 2 k. In between, progress stays as it is.

    Args:
        reference: training videos of the task.
        patience: see above, in frames that are matched.

    Source: the asymmetric step pattern of Sakoe and Chiba (1978) with the end left open, as Tormene, Giorgino,
    Quaglini, Stefanelli, "Matching incomplete time series with dynamic time warping" (2009).
    """

    most_frames = 8192

    def __init__(self, reference: TrainingReference, patience: float = 2.0):
        if not patience > 0:
            raise ValueError(f"patience is {patience}; expected more than 0")
        self.reference, self.patience = reference, patience
        cells = reference.columns(GAP)
        self.first_cells = cells[np.cumsum(reference.lengths) - reference.lengths]
        # Sum of weights times progress, and of weights, by one product.
        self.averaging = np.zeros((cells[-1] + 1, 2))
        self.averaging[cells] = np.stack([reference.progress, np.ones(len(cells))], axis=1)

    def start(self) -> _AlignmentState:
        return _AlignmentState(self)


class _AlignmentState:
    """The last column, relative to its least cell, and the sum of what was taken off."""

    def __init__(self, readout: AlignmentReadout):
        self._readout = readout
        self._column: np.ndarray | None = None
        self._cost, self._frames = 0.0, 0  # of the frames that were matched
        self._received, self._progress = 0, np.zeros(1)

    def update(self, embedding: torch.Tensor | np.ndarray) -> np.ndarray:
        step = self._readout.reference.step
        matched = as_double(embedding)[-self._received % step :: step]
        blocks = [self._update_block(matched[start : start + BLOCK]) for start in range(0, len(matched), BLOCK)]
        known = np.concatenate([self._progress, *blocks])
        # Each frame has the progress of the last one that was matched, which `known` begins with.
        frames = np.arange(self._received, self._received + len(embedding))
        progress = known[frames // step - (self._frames - len(known))]
        self._received += len(embedding)
        self._progress = known[-1:].copy()
        return progress

    def _update_block(self, frames: np.ndarray) -> np.ndarray:
        readout = self._readout
        columns = readout.reference.squared_distances(frames, GAP)
        np.sqrt(columns, out=columns)
        scales = np.empty((len(frames), 1))
        for column, scale in zip(columns, scales, strict=True):  # each needs the one before
            self._add_predecessors(column)
            least = column.min()
            column -= least
            self._cost += float(least)
            self._frames += 1
            self._column = column
            scale[0] = self._cost / self._frames
        self._column = columns[-1].copy()  # a view would keep the block alive
        scales *= -readout.patience
        # A video that equals a training video costs nothing: its own cells alone count.
        np.minimum(scales, -np.finfo(np.float64).tiny, out=scales)
        with np.errstate(over="ignore"):
            columns /= scales
        # A processor is many times slower where the exponential underflows.
        np.maximum(columns, LEAST_EXPONENT, out=columns)
        weighted, total = (np.exp(columns, out=columns) @ readout.averaging).T
        return np.clip(weighted / total, 0.0, 1.0)

    def _add_predecessors(self, column: np.ndarray) -> None:
        """Adds the least of the predecessors to the frame's distances, in place."""
        before = self._column
        if before is None:
            begun = column[self._readout.first_cells]
            column.fill(np.inf)
            column[self._readout.first_cells] = begun
            return
        best = np.minimum(before[2:], before[1:-1])
        np.minimum(best, before[:-2], out=best)
        column[2:] += best
