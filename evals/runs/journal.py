"""What is written for good: append-only JSON lines (one writer, many readers), and whole files at once.

A record is one line, flushed to the disk before `append` returns. A line cut by a crash is skipped
by readers and closed by the next writer, so nothing recorded after it is lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from evals.errors import OtherSchema, RunError
from evals.records import SCHEMA


class Journal:
    """Writer of one journal file; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # Unbuffered: what a full disk did not take must not be written later, by `close`.
            self._file = path.open("ab", buffering=0)
            if self._file.tell():
                with path.open("rb") as old:
                    old.seek(-1, os.SEEK_END)
                    if old.read(1) != b"\n":
                        self._write(b"\n")
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from None

    def _write(self, data: bytes) -> None:
        try:
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror}") from None

    def append(self, record: dict[str, Any]) -> None:
        """Write one record; it is on the disk when this returns."""
        line = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._write(line.encode() + b"\n")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_atomically(path: Path, data: bytes) -> None:
    """Write, fsync, rename, fsync the folder: the file is old or new, never half, and stays.

    What lies there afterwards is read back, because a network file system can lose a rename that it
    confirmed, or confirm one twice, the second time as an error; then it is done once more.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        if not any(_renamed_into(path, data) for _ in range(2)):
            raise RunError(f"{path}: was written and is not there: the file system lost the renaming")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None


def _renamed_into(path: Path, data: bytes) -> bool:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):  # seen where the first try had worked and its answer was lost
            partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return path.is_file() and path.read_bytes() == data
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """All whole records of a journal with their line numbers, oldest first; an absent file holds none.

    Raises `OtherSchema` for a record of another version, `RunError` for a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    continue  # cut off by a crash: what it would have said was never reported as done
                if isinstance(record, dict):
                    check_schema(record, f"{path}:{number}")
                    yield number, record
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None


def check_schema(record: dict[str, Any], where: str) -> None:
    """Refuse a record of another version. Raises `OtherSchema`, or `RunError` where it has no valid one."""
    schema = record.get("schema", SCHEMA)
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
