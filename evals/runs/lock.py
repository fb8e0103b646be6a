"""One writer per run folder, or one per shard of it: the kernel's lock, and a note of who holds it.

The kernel releases its lock with the process that held it, however that ended, but some network file
systems don't carry it to other machines. So the holder also leaves a note of its host and process. A note
of this machine that nobody holds the lock for is stale; one of another machine can't be told from a
running process, and stands until `break_lock`.

Writers of shards share the folder's lock and hold one of their own, so the writer of the whole run keeps
them out and they keep it out.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from evals.errors import RunError, RunLocked
from evals.runs.journal import write_atomically
from evals.runs.segments import MAIN

_NOTE = ".lock-owner"


@contextmanager
def held(folder: Path, writer: str = MAIN) -> Iterator[None]:
    """Hold a folder's lock, or that of one of its shards; raise `RunLocked` with who does, or `RunError`
    where nothing can be written."""
    with _kernel(folder, writer):
        for note in _against(folder, writer):
            owner = _owner(note)
            if owner is not None and owner[0] != socket.gethostname():
                raise RunLocked(
                    f"{folder}: {_words(owner)} holds {_what(note)}, or ended without letting go; if it has"
                    " ended, give --break-lock once"
                )
        me = {"pid": os.getpid(), "host": socket.gethostname()}
        write_atomically(_note(folder, writer), json.dumps(me).encode())
        try:
            yield
        finally:
            with suppress(OSError):
                _note(folder, writer).unlink(missing_ok=True)


@contextmanager
def waited(folder: Path) -> Iterator[None]:
    """Hold a folder's lock of the kernel, after whoever has it."""
    try:
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            raise RunError(f"{folder}: the file system cannot lock: {error.strerror}") from None
        yield
    finally:
        os.close(handle)


def forget(folder: Path, writer: str) -> None:
    """Remove what a writer that is no more has left of its lock; only while holding the whole run's."""
    _note(folder, writer).unlink(missing_ok=True)
    (folder / f".lock-{writer}").unlink(missing_ok=True)


def break_lock(folder: Path, writer: str = MAIN) -> None:
    """Forget the notes that another machine left and that keep this writer out. A process of this machine
    keeps its lock: `RunLocked`."""
    if folder.is_dir():
        with _kernel(folder, writer), suppress(OSError):
            for note in _against(folder, writer):
                note.unlink(missing_ok=True)


def _note(folder: Path, writer: str) -> Path:
    return folder / (f"{_NOTE}.json" if writer == MAIN else f"{_NOTE}-{writer}.json")


def _against(folder: Path, writer: str) -> list[Path]:
    """The notes of those who would be in the way: for the whole run everybody's."""
    if writer == MAIN:
        return sorted(folder.glob(f"{_NOTE}*.json"))
    return [_note(folder, MAIN), _note(folder, writer)]


def _what(note: Path) -> str:
    shard = note.stem.removeprefix(_NOTE).lstrip("-")
    return f"{shard} of this run" if shard else "this run"


@contextmanager
def _kernel(folder: Path, writer: str) -> Iterator[None]:
    with ExitStack() as stack:
        if writer == MAIN:
            _take(stack, folder, folder / ".lock", fcntl.LOCK_EX, _against(folder, MAIN))
        else:
            _take(stack, folder, folder / ".lock", fcntl.LOCK_SH, [_note(folder, MAIN)])
            _take(stack, folder, folder / f".lock-{writer}", fcntl.LOCK_EX, [_note(folder, writer)])
        yield


def _take(stack: ExitStack, folder: Path, path: Path, kind: int, notes: list[Path]) -> None:
    """Take one lock of the kernel's until the stack is left; `notes` tell who may hold it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}") from None
    stack.callback(os.close, handle)  # and with it the lock
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        found = [(owner, note) for note in notes if (owner := _owner(note)) is not None]
        by = _words(found[0][0]) if found else "another process"
        what = _what(found[0][1]) if found else "this run"
        raise RunLocked(f"{folder}: {by} is writing to {what}; wait for it or use another --name") from None
    except OSError as error:
        raise RunError(f"{folder}: the file system cannot lock: {error.strerror}") from None


def _owner(note: Path) -> tuple[str, int] | None:
    try:
        found = json.loads(note.read_bytes())
        return str(found["host"]), int(found["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _words(owner: tuple[str, int]) -> str:
    return f"process {owner[1]} on {owner[0]}"
