"""An index of a large run: what its journals say, by column and up to a byte of each segment, so that readers
go on from there.

It lies in `.index` as Parquet (extra `export`). The writer of the whole run writes it once much was added; it
can be removed at any time. Where a segment was changed, cut or taken away, where prompts or metrics have
changed, or a byte of it is damaged, it is left aside, and journals are read from their beginning.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from evals.errors import RunError
from evals.records import Score
from evals.runs.bulk import bulk
from evals.runs.current import Entry, Lines, SampleId, Samples, Segment, Stored, Values
from evals.runs.journal import Mark, write_atomically

FOLDER = ".index"
VERSION = 1
EVERY = 8 << 20  # bytes of journals that were added, about 10,000 samples
_FACTS = b"t2v-evals"
_RECORD = "#record"  # ends the name of a column with records
_FEW = ("segment", "prompt_id", "status")  # columns of few different texts

log = logging.getLogger(__name__)
T = TypeVar("T")


def name_of(segment: Path) -> str:
    """A segment's name within its run, such as `samples/main.jsonl`."""
    return f"{segment.parent.name}/{segment.name}"


@dataclass(frozen=True)
class KnownSamples:
    """What an index says of samples."""

    segments: Mapping[str, Segment]
    lines: Lines

    def segment(self, path: Path) -> tuple[dict[SampleId, Entry], Mark | None]:
        """What is known of a segment."""
        return self.segments.get(name_of(path), Segment({}, None))


@dataclass(frozen=True)
class KnownValues:
    """What an index says of scores, and how far segments were read."""

    stored: Stored
    marks: Mapping[str, Mark]


class _Columns(Stored):
    """Scores in a Parquet file."""

    def __init__(self, file: _File, ids: Sequence[SampleId], metrics: Collection[str]) -> None:
        self._file, self.ids, self.metrics = file, ids, metrics

    def numbers(self, metric: str) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self._file.column(metric).to_numpy(zero_copy_only=False)
        return found

    def records(self, metric: str) -> dict[int, Score]:
        name = metric + _RECORD
        if name not in self._file.names:
            return {}
        column = self._file.column(name)
        rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        return {int(row): Score.model_validate_json(column[int(row)].as_py()) for row in rows}


class _File:
    """A Parquet file that was written here, for this state of the run."""

    def __init__(self, path: Path, parquet: Any) -> None:
        self._path, self._parquet = path, parquet
        self.names: list[str] = parquet.schema_arrow.names
        self.facts: dict[str, Any] = json.loads(parquet.schema_arrow.metadata[_FACTS])
        self.marks = {name: Mark(*mark) for name, mark in self.facts["marks"].items()}
        if self.names != self.facts["columns"]:
            raise ValueError("other columns")

    def column(self, name: str) -> Any:
        """A column, whole. Raises `RunError`."""
        try:
            found = self._parquet.read(columns=[name]).column(0).combine_chunks()
            if len(found) != self.facts["rows"]:
                raise ValueError(f"{len(found)} rows")
        except Exception as error:  # noqa: BLE001 - of Arrow, of whatever kind
            raise RunError(f"{self._path}: is damaged ({error}); remove it, it is made anew") from None
        return found

    def ids(self) -> list[SampleId]:
        prompts = self.column("prompt_id")
        known = prompts.dictionary.to_pylist()
        seeds = self.column("seed").to_pylist()
        return [(known[i], seed) for i, seed in zip(prompts.indices.to_pylist(), seeds, strict=True)]


class Index:
    """The index of a run folder. It holds for the prompts and metrics that journals were read with."""

    def __init__(self, run: Path, run_id: str, prompt_sets: Sequence[str]) -> None:
        self._run = run
        self._state = [VERSION, run_id, list(prompt_sets)]

    def samples(self, segments: Sequence[Path]) -> KnownSamples | None:
        """What the index says of samples; None where there is none that holds."""
        return _unless_damaged(lambda: self._samples(segments))

    @bulk()
    def _samples(self, segments: Sequence[Path]) -> KnownSamples | None:
        file = self._open("samples", self._state, segments)
        if file is None:
            return None
        known: dict[str, Segment] = {name: Segment({}, mark) for name, mark in file.marks.items()}
        columns = [file.column(name).to_pylist() for name in ("segment", "status", "sha256", "attempts")]
        shared: dict[str, Any] = {}
        for row, (at, segment, status, sha256, attempts) in enumerate(zip(file.ids(), *columns, strict=True)):
            status = shared.setdefault(status, status)
            known[segment].entries[at] = Entry(status, sha256, attempts, row)
        count = len(columns[0])
        return KnownSamples(known, Lines(count, lambda: _by_row(file.column("json"))))

    def values(
        self, segments: Sequence[Path], normalization: str, digests: Mapping[str, str], samples: Samples
    ) -> KnownValues | None:
        """What the index says of scores under a normalization by metrics of these `digests`; None where there
        is none that holds."""
        return _unless_damaged(lambda: self._values(segments, normalization, digests, samples))

    @bulk()
    def _values(
        self, segments: Sequence[Path], normalization: str, digests: Mapping[str, str], samples: Samples
    ) -> KnownValues | None:
        state = [*self._state, dict(digests)]
        file = self._open(f"scores-{normalization}", state, segments)
        if file is None:
            return None
        ids, hashes = file.ids(), file.column("sha256").to_pylist()
        if any(samples.sha256(at) != sha256 for at, sha256 in zip(ids, hashes, strict=True)):
            return None  # made anew: older scores of the bytes that hold now may stand before the mark
        return KnownValues(_Columns(file, ids, digests), file.marks)

    def _open(self, name: str, state: list[Any], segments: Sequence[Path]) -> _File | None:
        """The file of a kind of records, if it was made of these segments as they are now."""
        path = self._path(name)
        if not path.exists() or not is_available():
            return None
        import pyarrow.parquet

        file = _File(path, pyarrow.parquet.ParquetFile(path, page_checksum_verification=True))
        there = {name_of(segment): segment for segment in segments}
        if file.facts["state"] != state or not file.marks.keys() <= there.keys():
            return None
        if any(not mark.holds(there[name]) for name, mark in file.marks.items()):
            return None
        grown = [name for name, path in there.items() if path.stat().st_size > _end(file.marks.get(name))]
        if len(there) > 1 and grown and grown != list(there)[-1:]:
            return None  # of several segments the later one's lines hold
        return file

    def _path(self, name: str) -> Path:
        return self._run / FOLDER / f"{name}.parquet"

    def samples_lag(self, segments: Sequence[Path]) -> bool:
        """Whether so many samples were added that an index is worth its writing."""
        return _lags(segments, lambda: self._open("samples", self._state, segments))

    def values_lag(self, segments: Sequence[Path], normalization: str, digests: Mapping[str, str]) -> bool:
        """Whether so many scores were added that an index is worth its writing."""
        state = [*self._state, dict(digests)]
        return _lags(segments, lambda: self._open(f"scores-{normalization}", state, segments))

    def write_samples(self, samples: Samples) -> None:
        """Keep samples as they were read."""
        parts = samples.segments
        read = [(name, *one) for name, part in parts.items() for one in part.entries.items()]
        columns = {
            "segment": [name for name, _, _ in read],
            "prompt_id": [at[0] for _, at, _ in read],
            "seed": [at[1] for _, at, _ in read],
            "status": [entry.status for _, _, entry in read],
            "sha256": [entry.sha256 for _, _, entry in read],
            "attempts": [entry.attempts for _, _, entry in read],
            "json": (samples.lines[entry.row] for _, _, entry in read),
        }
        marks = {name: one.mark for name, one in samples.segments.items() if one.mark}
        self._write("samples", columns, self._state, marks)

    def write_values(
        self, normalization: str, digests: Mapping[str, str], samples: Samples, values: Values
    ) -> None:
        """Keep scores as they were read."""
        ids = list(dict.fromkeys([*values.ids(), *values.others]))
        columns: dict[str, Any] = {
            "prompt_id": [at[0] for at in ids], "seed": [at[1] for at in ids],
            "sha256": [samples.sha256(at) for at in ids],
        }  # fmt: skip
        for metric in digests:
            columns[metric], records = values.column(metric, ids)
            if records:
                kept = {row: record.model_dump_json() for row, record in records.items()}
                columns[metric + _RECORD] = [kept.get(row) for row in range(len(ids))]
        state = [*self._state, dict(digests)]
        self._write(f"scores-{normalization}", columns, state, values.marks)

    def _write(
        self, name: str, columns: Mapping[str, Any], state: list[Any], marks: Mapping[str, Mark]
    ) -> None:
        import pyarrow
        import pyarrow.parquet

        kinds = {"seed": pyarrow.int64(), "attempts": pyarrow.int64(), "json": pyarrow.large_binary()}
        arrays = {}
        for key, column in columns.items():
            kind = kinds.get(key, pyarrow.float64() if isinstance(column, np.ndarray) else pyarrow.string())
            array = pyarrow.array(column, kind)
            arrays[key] = array.dictionary_encode() if key in _FEW else array
        table = pyarrow.table(arrays)
        facts = {"state": state, "marks": marks, "columns": list(arrays), "rows": len(table)}
        table = table.replace_schema_metadata({_FACTS: json.dumps(facts).encode()})
        stream = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(table, stream, compression="zstd", write_page_checksum=True)
        write_atomically(self._path(name), stream.getvalue())


def _by_row(column: Any) -> Callable[[int], bytes]:
    return lambda row: bytes(column[row].as_py())


def _end(mark: Mark | None) -> int:
    return mark.end if mark else 0


def is_available() -> bool:
    """Whether Parquet can be read and written here."""
    return importlib.util.find_spec("pyarrow") is not None


def _lags(segments: Sequence[Path], opened: Callable[[], _File | None]) -> bool:
    sizes = {name_of(path): path.stat().st_size for path in segments}
    if sum(sizes.values()) < EVERY or not is_available():
        return False
    file = _unless_damaged(opened)
    known = sum(mark.end for mark in file.marks.values()) if file else 0
    return sum(sizes.values()) - known >= EVERY


def _unless_damaged(read: Callable[[], T | None]) -> T | None:
    """What can be read of an index; None where something is wrong with it: journals hold all that it does."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - of Arrow, of its format, of what the file holds
        log.info("an index is left aside: %s: %s", type(error).__name__, error)
        return None
