"""What is written for good: append-only JSON lines (one writer, many readers), and whole files at once.

A record is one line, flushed to the disk before `append` returns. A line cut by a crash is skipped
by readers and closed by the next writer, so nothing recorded after it is lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.errors import RunError, SchemaTooNew
from evals.records import SCHEMA


class Journal:
    """Writer of one journal file; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("ab")
            if self._file.tell():
                with path.open("rb") as old:
                    old.seek(-1, os.SEEK_END)
                    if old.read(1) != b"\n":
                        self._write(b"\n")
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from None

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
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
    """Write, fsync, rename, fsync the folder: the file is old or new, never half, and stays."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """All whole records of a journal with their line numbers, oldest first; an absent file holds none.

    Raises `SchemaTooNew` for a record of a later version, `RunError` for a file that cannot be read.
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
    """Refuse a record of a later version, or one whose version is no number."""
    schema = record.get("schema", SCHEMA)
    if not isinstance(schema, int):
        raise RunError(f"{where}: schema {str(schema)[:40]!r} is no number; the record was edited or damaged")
    if schema > SCHEMA:
        raise SchemaTooNew(
            f"{where}: written with schema {schema}, this version reads up to {SCHEMA}; install a newer"
            " t2v-evals"
        )
