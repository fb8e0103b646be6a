"""When to send: so many requests a minute, and pauses before another try."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from evals.remote.outcomes import Rejected, Unknown

T = TypeVar("T")
TRIES = 6  # of anything that may be tried again
LONGEST_PAUSE = 60.0
PAUSE = 1.0


class Stopped(Exception):
    """The run is being stopped; what is open stays open."""


class Pacing:
    """The pace of requests to one API, shared by threads: at most `rpm` a minute; `pause` seconds before a
    second try, longer before later ones."""

    def __init__(self, pause: float | None = None, rpm: float | None = None) -> None:
        self._pause, self._rpm = PAUSE if pause is None else pause, rpm
        self._slots = threading.Lock()
        self._next = 0.0
        self._stopping = threading.Event()

    def start(self) -> None:
        """Wait again after a `stop`."""
        self._stopping.clear()

    def stop(self) -> None:
        """Have threads that wait come back, with `Stopped`."""
        self._stopping.set()

    @property
    def stopped(self) -> bool:
        return self._stopping.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep. Raises `Stopped`."""
        if self._stopping.wait(max(0.0, seconds)):
            raise Stopped

    def wait_for_rate(self) -> None:
        """Sleep until the next request may be sent. Raises `Stopped`."""
        if self._rpm:
            with self._slots:
                mine = max(self._next, time.monotonic())
                self._next = mine + 60 / self._rpm
            self.wait(mine - time.monotonic())

    def before(self, attempt: int, after: float | None) -> float:
        """Seconds before the next try: what the server asks for, or longer and longer, with jitter."""
        if after is not None:
            return min(after, 10 * LONGEST_PAUSE)
        return min(LONGEST_PAUSE, self._pause * 2.0**attempt) * random.uniform(0.5, 1.0)

    def tried(self, action: Callable[[], T]) -> T:
        """Do what is cheap enough to be sent again after any answer that was lost. Raises `Rejected` or
        `Unknown` when nothing helps, and `Stopped`."""
        for attempt in range(TRIES):
            self.wait_for_rate()
            try:
                return action()
            except (Rejected, Unknown) as error:
                after = error.after if isinstance(error, Rejected) else None
                if attempt == TRIES - 1 or (isinstance(error, Rejected) and not error.again):
                    raise
                self.wait(self.before(attempt, after))
        raise AssertionError  # pragma: no cover
