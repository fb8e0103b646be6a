"""A folder's manifest: `videos.jsonl` or `videos.csv`, one row per clip."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.errors import ManifestError

MANIFESTS = ("videos.jsonl", "videos.csv")
COLUMNS = ("path", "prompt", "prompt_id", "seed", "category")
MAX_BYTES = 500_000_000


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


def encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def rows(manifest: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their line numbers. Raises `ManifestError`."""
    try:
        if manifest.stat().st_size > MAX_BYTES:
            raise ManifestError(f"larger than {MAX_BYTES:,} bytes", manifest)
        is_csv = manifest.suffix == ".csv"
        with manifest.open(encoding="utf-8-sig", newline="" if is_csv else "\n") as file:
            if is_csv:
                reader = csv.DictReader(file, strict=True)
                if reader.fieldnames is None or "path" not in reader.fieldnames:
                    raise ManifestError(f"needs a header with {', '.join(COLUMNS[:2])}", manifest, 1)
                for row in reader:
                    if None in row:
                        raise ManifestError("has more fields than the header", manifest, reader.line_num)
                    yield reader.line_num, dict(row)
                return
            for number, text in enumerate(file, 1):
                if not text.strip():
                    continue
                try:
                    row = json.loads(text)
                except ValueError as error:
                    raise ManifestError(f"not valid JSON: {error}", manifest, number) from None
                if not isinstance(row, dict):
                    raise ManifestError('a line is an object: {"path": …, "prompt": …}', manifest, number)
                yield number, row
    except UnicodeDecodeError:
        raise ManifestError("not UTF-8 text", manifest) from None
    except csv.Error as error:
        raise ManifestError(f"not valid CSV: {error}", manifest) from None
    except RecursionError:
        raise ManifestError("nested too deeply", manifest) from None
    except OSError as error:
        raise ManifestError(f"cannot be read: {error.strerror}", manifest) from None
