"""Progress of a recording while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from utils.errors import DataError
from utils.prediction.progress.model import ProgressAnswers, ProgressModel


class FrameReader(Protocol):
    """What a stream needs of the predictor that made it; see `utils.prediction.predictor.ProgressPredictor`."""

    model: nn.Module
    readout: Any  # a `Readout`, or a progress model, whose states give structured rows
    rank: int
    skip_rate: int
    frames_ahead: int | float

    def check_frames(self, features: np.ndarray | Tensor, first: int = 0) -> Tensor: ...

    def embed(self, frames: Tensor) -> Tensor: ...


class ProgressStream:
    """Takes the frames of one recording in order and gives their progress as soon as it is determined.

    Made by `ProgressPredictor.stream`. All results one after the other are what `predict` gives for the
    whole recording, to rounding. Memory holds the frames that an embedding depends on
    (`frames_behind + frames_ahead`, 63 by default) and the read-out's state; time per frame doesn't depend on
    how many came before.

    Attributes:
        frames_received: so far.
        frames_given: how many of them have been given their progress.
        frames_ahead: by how many frames the results lag; 0 with a causal network.
    """

    def __init__(self, predictor: FrameReader):
        self._predictor, self._state = predictor, predictor.readout.start()
        self.frames_ahead = int(predictor.frames_ahead)
        self.frames_received = self.frames_given = 0
        # Below, frames are counted as the network sees them, every skip_rate-th of the recording.
        self._window: Tensor | None = None
        self._window_first = 0  # number of the window's first frame
        self._read = 0  # frames that the read-out has seen
        self._nothing = self._state.update(np.zeros((0, 1)))  # no row, of the type of those that the read-out gives
        self._last = self._nothing  # what was read at the last of them
        self._finished = False

    def update(self, frames: np.ndarray | Tensor | Sequence) -> np.ndarray:
        """Takes the next frames and gives progress; see `update_rows`.

        Returns:
            (m,) float64, progress of the frames from `frames_given` on that are determined now; with a causal
            network those just given, otherwise `frames_ahead` earlier.
        """
        return _progress(self.update_rows(frames))

    def update_answers(self, frames: np.ndarray | Tensor | Sequence) -> ProgressAnswers:
        """Takes the next frames and gives whole answers (m,); see `update_rows`.

        Raises:
            DataError: as `update_rows`; or the read-out gives progress alone.
        """
        return self._answers(self.update_rows(frames))

    def finish(self) -> np.ndarray:
        """Ends the recording: progress of the frames that were still waiting; see `finish_rows`."""
        return _progress(self.finish_rows())

    def finish_answers(self) -> ProgressAnswers:
        """Ends the recording: whole answers at the frames that were still waiting; see `finish_rows`."""
        return self._answers(self.finish_rows())

    def update_rows(self, frames: np.ndarray | Tensor | Sequence) -> np.ndarray:
        """Takes the next frames.

        A refused call changes nothing: the stream may be fed on.

        Args:
            frames: one frame, (D,) or (channels, height, width), or a chunk of n >= 0 of them; an array, or lists.

        Returns:
            (m,) what the read-out gives of the frames from `frames_given` on that are determined now.

        Raises:
            DataError: another shape than the network reads, a value that isn't finite, or the stream is
                finished.
        """
        if self._finished:
            raise DataError("the stream is finished; a new recording needs a new one")
        predictor, skip_rate = self._predictor, self._predictor.skip_rate
        if _axes(frames) == predictor.rank - 1:
            frames = [frames] if isinstance(frames, (list, tuple)) else frames[None]
        chunk = predictor.check_frames(frames, self.frames_received)
        seen = chunk[-self.frames_received % skip_rate :: skip_rate]
        available = self._window_first + (0 if self._window is None else len(self._window)) + len(seen)
        window = seen if self._window is None else torch.cat([self._window, seen])
        progress = self._advance(window, available - predictor.model.frames_ahead)
        self.frames_received += len(chunk)
        return self._spread(progress)

    def finish_rows(self) -> np.ndarray:
        """Ends the recording: what is read of the frames that were still waiting for later ones, (m,).

        What lies after the last frame is what the encoder pads a whole video with, as in `predict`.

        Raises:
            DataError: there was no frame, or the stream is finished already.
        """
        if self._finished:
            raise DataError("the stream is finished already")
        if self._window is None or not self.frames_received:
            raise DataError("there is no frame; expected at least 1")
        progress = self._advance(self._window, self._window_first + len(self._window))
        self._finished = True
        return self._spread(progress)

    def _advance(self, window: Tensor, determined: int) -> np.ndarray:
        """Reads out the frames below `determined` that aren't yet, and forgets what no later one needs."""
        first, progress = self._window_first, self._nothing
        if determined > self._read:
            # The window begins frames_behind before the first new frame, or at the recording's own start,
            # so that the padding at its start reaches no new frame that it wouldn't in the whole recording.
            embedding = self._predictor.embed(window)[self._read - first : determined - first]
            progress = self._state.update(embedding)
            self._read = determined
        keep = max(first, self._read - self._predictor.model.frames_behind)
        # A copy, or a slice of a large chunk would keep all of it in memory.
        self._window, self._window_first = window[keep - first :].clone(), keep
        return progress

    def _spread(self, progress: np.ndarray) -> np.ndarray:
        """From the frames that the network sees to those of the recording, each with what was read of the last one."""
        skip_rate = self._predictor.skip_rate
        until = min(self.frames_received, self._read * skip_rate)
        known = np.concatenate([self._last, progress])  # up to frame read - 1
        frames = np.arange(self.frames_given, until) // skip_rate
        result = known[frames - (self._read - len(known))]
        self.frames_given, self._last = until, known[-1:].copy()
        return result

    def _answers(self, rows: np.ndarray) -> ProgressAnswers:
        readout = self._predictor.readout
        if not isinstance(readout, ProgressModel):
            raise DataError("this read-out gives progress alone; the read-out 'auto' gives more")
        return readout.answers(rows)


def _progress(rows: np.ndarray) -> np.ndarray:
    """Progress alone of rows of either kind."""
    return rows if rows.dtype.names is None else rows["progress"]

def _axes(frames: Any) -> int | None:
    """How many axes an array, or lists of numbers, have; None if it is neither."""
    lists = 0
    while isinstance(frames, (list, tuple)):
        lists += 1
        frames = frames[0] if frames else 0
    inner = getattr(frames, "ndim", 0 if lists else None)
    return None if inner is None else lists + inner
