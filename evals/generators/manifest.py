"""A folder's manifest: `videos.jsonl` or `videos.csv`, one row per clip."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from evals.errors import ManifestError

MANIFESTS = ("videos.jsonl", "videos.csv")
COLUMNS = ("path", "prompt", "prompt_id", "seed", "category")
MAX_BYTES, MAX_FIELD = 500_000_000, 20_000_000


class Taken:
    """The prompts and seeds that a manifest has named, with their lines."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, int], int] = {}
        self._next: dict[str, int] = {}

    def free_seed(self, prompt_id: str) -> int:
        """The lowest seed of a prompt that is not taken."""
        number = self._next.get(prompt_id, 0)
        while (prompt_id, number) in self.lines:
            number += 1
        self._next[prompt_id] = number + 1
        return number


def whole_number(value: Any) -> int | None:
    """A seed as a manifest may write it: a number of at most 18 digits, or its text; None for another."""
    text = str(value) if type(value) is int and abs(value) < 10**18 else value
    return int(text) if isinstance(text, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", text) else None


def rows(manifest: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their line numbers. Raises `ManifestError`."""
    try:
        if manifest.stat().st_size > MAX_BYTES:
            raise ManifestError(f"larger than {MAX_BYTES:,} bytes", manifest)
        is_csv = manifest.suffix == ".csv"
        with manifest.open(encoding="utf-8-sig", newline="" if is_csv else "\n") as file:
            yield from _from_csv(manifest, file) if is_csv else _from_json_lines(manifest, file)
    except UnicodeDecodeError:
        raise ManifestError("not UTF-8 text", manifest, _first_undecodable(manifest)) from None
    except OSError as error:
        raise ManifestError(f"cannot be read: {error.strerror}", manifest) from None


def _from_csv(manifest: Path, file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(MAX_FIELD)
    reader = csv.DictReader(file, strict=True)
    try:
        header = list(reader.fieldnames or ())
        if "path" not in header:
            raise ManifestError(
                f"needs a header with {', '.join(COLUMNS[:2])}, and commas between columns; it has"
                f" {', '.join(map(repr, header)) or 'none'!s:.200}",
                manifest, 1,
            )  # fmt: skip
        if twice := [name for name in header if header.count(name) > 1]:
            raise ManifestError(f"the header has {twice[0]!r:.80} twice", manifest, 1)
        for row in reader:
            if None in row:
                raise ManifestError("has more fields than the header", manifest, reader.line_num)
            yield reader.line_num, dict(row)
    except csv.Error as error:
        raise ManifestError(f"not valid CSV: {error}", manifest, reader.line_num) from None


def _from_json_lines(manifest: Path, file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text, object_pairs_hook=_once)
        except json.JSONDecodeError as error:
            raise ManifestError(f"not valid JSON: {error.msg}", manifest, number) from None
        except RecursionError:
            raise ManifestError("not valid JSON: nested too deeply", manifest, number) from None
        except ValueError as error:
            said = "a number of thousands of digits" if "int_max_str" in str(error) else str(error)
            raise ManifestError(f"not valid JSON: {said}", manifest, number) from None
        if not isinstance(row, dict):
            raise ManifestError('a line is an object: {"path": …, "prompt": …}', manifest, number)
        yield number, row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r:.80} occurs twice")
    return found


def _first_undecodable(path: Path) -> int | None:
    with suppress(OSError), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return None
