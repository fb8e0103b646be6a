"""What a decoder's work takes: time by stage, and memory."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path


def peak_memory() -> int:
    """Largest resident size so far, in bytes."""
    try:  # `ru_maxrss` would hold the parent's size at the fork
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Clock:
    """Seconds by stage; what passes between two laps belongs to the second."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
