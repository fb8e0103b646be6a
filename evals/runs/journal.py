"""What is written for good: append-only JSON lines (one writer, many readers), and whole files at once.

A record is one line, flushed to the disk before `append` returns. Its last field, `check`, is a hash of the
line and of the run it belongs to, so a damaged line, an edited one and one of another run are errors that
name file and line. A last line that a crash left unfinished is skipped by readers and cut by the next writer.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from evals.errors import OtherSchema, RunError
from evals.records import SCHEMA, is_regular
from evals.runs.secrets import redacted
from evals.runs.segments import KINDS, run_of

_CHECK = b',"check":"'
_DIGITS = 16
MAX_LINE = 64 << 20  # bytes
_END = len(_CHECK) + _DIGITS + len(b'"}')


class Journal:
    """Writer of one journal file; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path, self._owner = path, _owner(path)
        try:
            is_new = not path.exists()
            if path.parent.name in KINDS and not path.parent.is_dir():
                path.parent.mkdir(exist_ok=True)
                sync_folder(path.parent.parent)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW  # a link could lead anywhere
            # Unbuffered: what a full disk did not take must not be written later, by `close`.
            self._file = os.fdopen(os.open(path, flags, 0o644), "ab", buffering=0)
            self._file.seek(0, os.SEEK_END)
            if is_new:
                sync_folder(path.parent)
            self._cut_unfinished_line()
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from None

    def _cut_unfinished_line(self) -> None:
        end = self._file.tell()
        if not end:
            return
        with self.path.open("rb") as old:
            old.seek(-1, os.SEEK_END)
            if old.read(1) == b"\n":
                return
            tail = _last_line(old, end)
        whole = _whole(tail, self._owner)
        os.ftruncate(self._file.fileno(), end - len(tail) + len(whole))
        if whole:
            self._write(b"\n")

    def _write(self, data: bytes) -> None:
        start = os.fstat(self._file.fileno()).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):  # half a line must not become the beginning of the next one
                os.ftruncate(self._file.fileno(), start)
            raise RunError(f"{self.path}: cannot be written: {error.strerror}") from None

    def append(self, record: dict[str, Any]) -> None:
        """Write one record, with the schema; it is on the disk when this returns."""
        self._write(self._line(record))

    def _line(self, record: dict[str, Any]) -> bytes:
        record = redacted({"schema": SCHEMA, **record})
        line = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        return sealed(line, self._owner) + b"\n"

    def extend(self, records: Iterable[dict[str, Any]], at_once: int = 1000) -> int:
        """Write many records, `at_once` of them with one flush to the disk; gives how many."""
        waiting: list[bytes] = []
        count = 0
        for count, record in enumerate(records, 1):  # noqa: B007
            waiting.append(self._line(record))
            if len(waiting) == at_once:
                self._write(b"".join(waiting))
                waiting = []
        if waiting:
            self._write(b"".join(waiting))
        return count

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _owner(path: Path) -> bytes:
    """The id of the run that a journal belongs to; empty for a journal of no run."""
    try:
        found = json.loads((run_of(path) / "run.json").read_bytes())
        return str(found.get("id", "")).encode()
    except (OSError, ValueError, AttributeError, RecursionError):
        return b""


def _sum(line: bytes, owner: bytes) -> bytes:
    return hashlib.sha256(owner + b"\n" + line).hexdigest()[:_DIGITS].encode()


def sealed(line: bytes, owner: bytes = b"") -> bytes:
    """A JSON object with its `check` as the last field."""
    return line[:-1] + _CHECK + _sum(line, owner) + b'"}'


def _record(line: bytes, owner: bytes) -> bytes | None:
    """A sealed line's object without its `check`; None where the check does not hold."""
    body, check = line[:-_END] + b"}", line[-_END:]
    return body if check == _CHECK + _sum(body, owner) + b'"}' else None


def _last_line(file: Any, end: int) -> bytes:
    """What stands after a file's last end of line."""
    tail, block = b"", 1 << 16
    while b"\n" not in tail and len(tail) < end:
        step = min(block, end - len(tail))
        file.seek(end - len(tail) - step)
        tail = file.read(step) + tail
    return tail.rpartition(b"\n")[2]


def _whole(line: bytes, owner: bytes) -> bytes:
    """A last line whose record is whole, though its end of line is not there or damaged; else nothing."""
    return next((x for x in (line, line[:-1]) if _record(x, owner) is not None), b"")


def write_atomically(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write, fsync, rename, fsync the folder: the file is old or new, never half, and stays. `mode` is the
    file's.

    What lies there afterwards is read back, because a network file system can lose a rename that it
    confirmed, or confirm one twice, the second time as an error; then it is done once more.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        if not any(_renamed_into(path, data, mode) for _ in range(2)):
            raise RunError(f"{path}: was written and is not there: the file system lost the renaming")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def _renamed_into(path: Path, data: bytes, mode: int) -> bool:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(partial, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):  # seen where the first try had worked and its answer was lost
            partial.replace(path)
        sync_folder(path.parent)
        return path.is_file() and path.read_bytes() == data
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_once(path: Path, data: bytes) -> None:
    """Write a file whole unless there is one: of several processes that do so at once, one does."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    write_atomically(partial, data)
    try:
        with suppress(FileExistsError):
            os.link(partial, path)
    except OSError:  # a file system without hard links
        if not path.exists():
            write_atomically(path, data)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def settle(path: Path, root: Path) -> None:
    """Bring a file that somebody wrote below `root` to the disk, with the folders that lead to it. Raises
    `RunError`."""
    try:
        with path.open("rb") as file:
            os.fsync(file.fileno())
        for folder in path.parents:
            sync_folder(folder)
            if folder == root:
                break
    except OSError as error:
        raise RunError(f"{path}: cannot be brought to the disk: {error.strerror}") from None


class Mark(NamedTuple):
    """How far a journal was read: bytes, lines, and the check of the last of them."""

    end: int
    lines: int
    check: str

    def holds(self, path: Path) -> bool:
        """Whether the journal still has that line there."""
        if not is_regular(path):
            return False
        ending = _CHECK + self.check.encode() + b'"}\n'
        try:
            with path.open("rb") as file:
                file.seek(max(0, self.end - len(ending)))
                return file.read(len(ending)) == ending
        except OSError:
            return False


class Line(NamedTuple):
    """A record: the line's `number`, its JSON without the check, and what it holds. `mark` is None for a last
    line whose end is not there yet."""

    number: int
    json: bytes
    record: dict[str, Any]
    mark: Mark | None


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """All records of a journal with their line numbers, oldest first; an absent file holds none.

    Raises `OtherSchema` for a record of another version, `RunError` for a line that is damaged, edited or of
    another run, and for a file that cannot be read.
    """
    for line in lines(path):
        yield line.number, line.record


def lines(path: Path, after: Mark | None = None) -> Iterator[Line]:
    """The lines of a journal, or those `after` a mark that holds. Raises as `read` does."""
    owner = _owner(path)
    if path.exists() and not is_regular(path):
        raise RunError(f"{path}: is not a plain file")
    end, before, _ = after or Mark(0, 0, "")
    try:
        with path.open("rb") as file:
            file.seek(end)
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), before + 1):
                if len(line) == MAX_LINE:
                    raise RunError(f"{path}:{number}: a line of more than {MAX_LINE:,} bytes")
                is_whole = line.endswith(b"\n")
                found = line[:-1] if is_whole else _whole(line, owner)
                if found:
                    end += len(line)
                    body, record = _parsed(found, owner, f"{path}:{number}")
                    mark = Mark(end, number, found[-_DIGITS - 2 : -2].decode()) if is_whole else None
                    yield Line(number, body, record, mark)
                elif is_whole:
                    raise RunError(f"{path}:{number}: an empty line; remove it to go on")
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None


def _parsed(line: bytes, owner: bytes, where: str) -> tuple[bytes, dict[str, Any]]:
    body = _record(line, owner)
    try:
        record = json.loads(body or line)
    except (ValueError, RecursionError):
        record = None
    if isinstance(record, dict):
        check_schema(record, where)
    if body is None or not isinstance(record, dict):
        raise RunError(
            f"{where}: this line is damaged, was edited, or is of another run: its check does not hold;"
            " restore the file from a copy, or remove the line (what it recorded is then done again)"
        )
    return body, record


def check_schema(record: dict[str, Any], where: str) -> None:
    """Refuse a record of another version. Raises `OtherSchema`, or `RunError` where it has no valid one."""
    schema = record.get("schema")
    if type(schema) is not int:
        raise RunError(
            f"{where}: schema {str(schema)[:40]!r} is not a number; the record was edited or damaged"
        )
    if schema > SCHEMA:
        raise OtherSchema(
            f"{where}: written with schema {schema}, this version reads {SCHEMA}; install a newer t2v-evals"
        )
    if schema < SCHEMA:
        raise OtherSchema(
            f"{where}: written with schema {schema} by an earlier development version; this one reads"
            f" {SCHEMA}. Make the run again under another --name (`--generator folder:RUN/videos` scores its"
            " videos)"
        )
