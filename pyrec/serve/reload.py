"""A newer model in the folder that is served takes the place of the older one, without a restart."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from pyrec._checks import check_real
from pyrec.errors import ConfigError
from pyrec.serve.served import Served, Stamps


class Folder(Protocol):
    """Where newer models appear."""

    @property
    def path(self) -> Path:
        """The folder."""

    def load(self) -> Served[Any]:
        """Read the model."""

    def stamps(self) -> Stamps:
        """Return what changes whenever a model is put in the place of the one before."""


class Replaceable(Protocol):
    """What serves a model."""

    served: Served[Any]

    def replace(self, served: Served[Any]) -> None:
        """Serve another model."""


class Watcher:
    """Looks into a run's folder every few seconds and puts a newer model in place once it is read whole.

    A model that cannot be read is told of once, and the one before goes on being served.

    Args:
        folder: Where newer models appear.
        seconds: Between two looks.
        service: What serves them.

    Attributes:
        failed: Whether the newest model cannot be served.
    """

    def __init__(self, folder: Folder, seconds: float, service: Replaceable) -> None:
        self.failed = False
        self._folder, self._seconds, self._service = folder, seconds, service
        self._seen = service.served.stamps
        self._calls: SimpleQueue[bool] = SimpleQueue()  # which a signal's handler may put into at any point
        self._thread = threading.Thread(target=self._run, name="pyrec-reload", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def look_now(self) -> None:
        """Look at once, and tell if there is nothing newer; of use in a signal's handler."""
        self._calls.put(True)

    def stop(self) -> None:
        """End, once a look that is under way has ended."""
        self._calls.put(False)
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                asked = self._calls.get(timeout=self._seconds)
            except Empty:
                self.look()
                continue
            if not asked:
                return
            if not self.look():
                _tell(f"nothing in {self._folder.path} is newer than what is served")

    def look(self) -> bool:
        """Read what is in the folder if anything there was replaced; return whether there was.

        A folder without a model is one that is about to get another.
        """
        stamps = self._folder.stamps()  # before it is read: what is replaced meanwhile is read again
        if stamps == self._seen or stamps[0] is None:
            return False
        self._seen = stamps
        try:
            self._service.replace(self._folder.load())
        except Exception as error:  # whatever it is, the service goes on
            self.failed = True
            _tell(f"warning: a newer {self._folder.path} cannot be served; the model before goes on: {error}")
        else:
            self.failed = False
            _tell(f"now serving the newer {self._folder.path}")
        return True


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def watched(
    folder: Folder, seconds: float | None
) -> tuple[Served[Any], Callable[[Replaceable], Watcher | None]]:
    """Return the model of a folder, and what makes the watcher of an application's start.

    Args:
        folder: Where the model is, and newer ones appear.
        seconds: Between two looks for one; None for no watcher.
    """
    if seconds is None:
        return folder.load(), lambda _: None
    check_real("reload_seconds", seconds, ConfigError, positive=True)
    return folder.load(), lambda service: Watcher(folder, seconds, service)


def check_not_watched(seconds: float | None) -> None:
    """Refuses to look for newer models of what is no folder."""
    if seconds is not None:
        raise ConfigError(
            "reload_seconds is of a folder; a model that is fitted again is served anew by itself"
        )
