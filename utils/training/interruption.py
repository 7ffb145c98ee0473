"""Leaving in good order on SIGTERM and Ctrl-C: during training finish the step, save, then go."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class Interrupted(Exception):
    """A command was asked to stop.

    Args:
        signal_number: by which signal.
        note: what became of its work.

    Attributes:
        exit_code: 128 plus the signal's number: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, signal_number: int, note: str = "the state is saved"):
        super().__init__(f"stopped by {signal.Signals(signal_number).name}; {note}")
        self.exit_code = 128 + signal_number


def interrupt_on_sigterm() -> None:
    """Makes SIGTERM raise `Interrupted` wherever the command is, as Ctrl-C raises KeyboardInterrupt."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number, "no file is left half-written")

    signal.signal(signal.SIGTERM, leave)


class StopRequest:
    """While entered, SIGTERM and SIGINT only set `signal_number`; a second one acts as usual.

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
