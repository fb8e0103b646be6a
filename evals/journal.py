"""Append-only JSON lines: one writer, many readers.

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


def read(path: Path) -> Iterator[dict[str, Any]]:
    """All whole records of a journal, oldest first; an absent file holds none.

    Raises `SchemaTooNew` for a record of a later version.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
            except ValueError:
                continue  # cut off by a crash: what it would have said was never reported as done
            if not isinstance(record, dict):
                continue
            if record.get("schema", SCHEMA) > SCHEMA:
                raise SchemaTooNew(
                    f"{path}:{number}: written with schema {record['schema']}, this version reads up to"
                    f" {SCHEMA}; install a newer t2v-evals"
                )
            yield record
