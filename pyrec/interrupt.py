"""Stopping a training run early: on request, or on Ctrl-C and the like."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pyrec.errors import StoppedError


def never() -> bool:
    """What to ask where nobody stops."""
    return False


class StopRequest:
    """A request that training end after its current step.

    Attributes:
        made: Whether there is one.
    """

    def __init__(self) -> None:
        self.made = False
        self._interruptible: int | None = None

    def make(self) -> None:
        """Ask. A signal's handler may, and another thread, which an evaluation under way is not left for.

        Raises:
            StoppedError: In the thread that is in `at_once`.
        """
        self.made = True
        if self._interruptible == threading.get_ident():
            raise StoppedError("training was stopped on request")

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, nothing changes that a checkpoint holds, so that a request made by a signal ends it at any point.

        Raises:
            StoppedError: On a request made before or within.
        """
        self._interruptible = threading.get_ident()
        try:
            self.check()
            yield
        finally:
            self._interruptible = None

    def check(self) -> None:
        """Raise if a stop was asked for.

        Raises:
            StoppedError: It was.
        """
        if self.made:
            raise StoppedError("training was stopped on request")


class Signals:
    """The signals that ask for a stop.

    Attributes:
        received: The number of the one that came; None as long as there was none.
    """

    def __init__(self) -> None:
        self.received: int | None = None


@contextmanager
def stop_on_signals(request: StopRequest) -> Iterator[Signals]:
    """Inside, SIGINT (Ctrl-C) and SIGTERM make the request; a second one ends the process, as if nobody listened.

    For the main thread alone, where Python handles signals.

    Args:
        request: What is made, such as `Checkpoints.stop`.
    """
    signals = Signals()

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if signals.received is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        signals.received = number
        request.make()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
