"""Programs that end with this process, however it ends, and a clock that stands still while it is stopped."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


class Leashed(subprocess.Popen[bytes]):
    """A program in a session of its own. On Linux the kernel kills it, and all of its process group, when
    this process ends, even by SIGKILL. `end` also finds what has made groups of its own.

    Both hold one end of a pipe. When ours closes, the kernel sends the signal that was asked for to the
    program's process group. `PR_SET_PDEATHSIG` would go by the thread that started the program, and threads
    end before the process does.
    """

    def __init__(self, words: Sequence[str], pass_fds: Sequence[int] = (), **options: Any) -> None:
        self._leash: int | None = None
        theirs, ours = os.pipe()
        try:
            super().__init__(words, pass_fds=[*pass_fds, theirs], start_new_session=True, **options)
            self._leash = ours
            if sys.platform == "linux":
                fcntl.fcntl(theirs, fcntl.F_SETOWN, -self.pid)
                fcntl.fcntl(theirs, fcntl.F_SETSIG, signal.SIGKILL)
                flags = fcntl.fcntl(theirs, fcntl.F_GETFL)
                fcntl.fcntl(theirs, fcntl.F_SETFL, flags | os.O_ASYNC)
        except BaseException:
            os.close(ours)
            self._leash = None
            raise
        finally:
            os.close(theirs)

    def end(self) -> int:
        """Kill what is left of the program and of what it started; gives its exit code."""
        # Those in process groups of their own, too, such as `timeout` makes; all are found before one ends.
        for pid in list(_descendants(self.pid)):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        code = self.wait()
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None
        return code


def _descendants(pid: int) -> Iterator[int]:
    """Processes that a process has started, and those that these have, as far as Linux knows."""
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError, ValueError):
            for child in map(int, listed.read_text().split()):
                yield child
                yield from _descendants(child)


class ActiveClock:
    """Seconds in which this process could run. A wait that took much longer than it was asked to means that
    the process was stopped meanwhile (Ctrl-Z, a paused container, a laptop asleep)."""

    TOLERANCE = 5.0

    def __init__(self) -> None:
        self._stopped = 0.0

    def now(self) -> float:
        return time.monotonic() - self._stopped

    def waited(self, since: float, asked: float) -> None:
        """A wait of `asked` seconds that began at `since` (of `time.monotonic`) has ended."""
        over = time.monotonic() - since - asked
        if over > self.TOLERANCE:
            self._stopped += over

    def left_out(self, seconds: float) -> None:
        """Time that must not count."""
        self._stopped += seconds
