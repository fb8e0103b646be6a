"""One writer per run folder: the kernel's lock, and a note of who holds it.

The kernel releases its lock with the process that held it, however that ended, but some network file
systems don't carry it to other machines. So the holder also leaves a note of its host and process. A note
of this machine that nobody holds the lock for is stale; one of another machine can't be told from a
running process, and stands until `break_lock`.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evals.errors import RunError, RunLocked
from evals.runs.journal import write_atomically

_NOTE = ".lock-owner.json"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, or raise `RunLocked` with who does; `RunError` where nothing can be written."""
    with _kernel(folder):
        owner = _owner(folder)
        if owner is not None and owner[0] != socket.gethostname():
            raise RunLocked(
                f"{folder}: {_words(owner)} holds this run, or ended without letting go; if it has ended,"
                " give --break-lock once"
            )
        me = {"pid": os.getpid(), "host": socket.gethostname()}
        write_atomically(folder / _NOTE, json.dumps(me).encode())
        try:
            yield
        finally:
            with suppress(OSError):
                (folder / _NOTE).unlink(missing_ok=True)


def break_lock(folder: Path) -> None:
    """Forget a note that another machine left. A process of this machine keeps its lock: `RunLocked`."""
    if folder.is_dir():
        with _kernel(folder), suppress(OSError):
            (folder / _NOTE).unlink(missing_ok=True)


@contextmanager
def _kernel(folder: Path) -> Iterator[None]:
    try:
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(folder)
            by = _words(owner) if owner else "another process"
            raise RunLocked(
                f"{folder}: {by} is writing to this run; wait for it or use another --name"
            ) from None
        except OSError as error:
            raise RunError(f"{folder}: the file system cannot lock: {error.strerror}") from None
        yield
    finally:
        os.close(handle)  # and with it the lock


def _owner(folder: Path) -> tuple[str, int] | None:
    try:
        note = json.loads((folder / _NOTE).read_bytes())
        return str(note["host"]), int(note["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _words(owner: tuple[str, int]) -> str:
    return f"process {owner[1]} on {owner[0]}"
