"""Work that makes very many small objects."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def bulk() -> Iterator[None]:
    """Leave the garbage collector out: records hold no cycles, and it would look through all of them again
    and again, which makes reading a large run slower than in proportion to its size."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
