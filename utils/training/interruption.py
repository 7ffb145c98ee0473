"""Stopping on SIGTERM and Ctrl-C: training finishes the current step, saves its state, then ends."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class StopRequest:
    """Inside the block, SIGTERM and SIGINT only set `signal_number`; a second signal acts as usual.

    Example:
        >>> with StopRequest() as stop:
        ...     stop.signal_number is None
        True
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
