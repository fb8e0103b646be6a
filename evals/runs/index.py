"""An index of a large run: what its journals say, by column and up to a byte of each segment, so that readers
go on from there.

It lies in `.index`: for each kind of records a Parquet file (extra `export`) and a note of what it was made
from. The writer of the whole run writes it once much was added; it can be removed at any time. Where it
cannot be read, where a segment was cut, replaced or merged, or where prompts or metrics have changed, it is
left aside, and journals are read from their beginning. Lines that it covers are not read, so their checks are
not made again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from evals.records import Score, is_regular
from evals.runs.bulk import bulk
from evals.runs.current import Entry, Lines, SampleId, Samples, Segment, Stored, Values
from evals.runs.journal import Mark, write_atomically
from evals.runs.segments import KINDS

FOLDER = ".index"
VERSION = 1
EVERY = 8 << 20  # bytes that are added to a kind of journals before an index is written
PART = 0.1  # of what it covers already
GROUP = 10_000  # rows that are read at once
FEW = ("segment", "prompt_id", "seed", "status")  # columns of few different texts

log = logging.getLogger(__name__)
T = TypeVar("T")


def name_of(segment: Path) -> str:
    """A segment's name within its run, such as `samples/main.jsonl`."""
    return f"{segment.parent.name}/{segment.name}" if segment.parent.name in KINDS else segment.name


@dataclass(frozen=True)
class KnownSamples:
    """What an index says of samples."""

    segments: Mapping[str, Segment]
    lines: Lines

    @property
    def marks(self) -> dict[str, Mark]:
        """How far segments were read."""
        return {name: part.mark for name, part in self.segments.items() if part.mark}

    def segment(self, path: Path) -> Segment:
        """What is known of a segment."""
        return self.segments.get(name_of(path), Segment({}, None))


@dataclass(frozen=True)
class KnownValues:
    """What an index says of scores, how far segments were read, and which samples have up to there scores of
    other bytes than hold now."""

    stored: Stored
    marks: Mapping[str, Mark]
    others: Collection[SampleId]


class Index:
    """The index of a run folder, for these prompt sets."""

    def __init__(self, run: Path, run_id: str, prompt_sets: Sequence[str]) -> None:
        self._folder = run / FOLDER
        self._state = [VERSION, run_id, list(prompt_sets)]

    def samples(self, segments: Sequence[Path], seeds: Mapping[str, Collection[int]]) -> KnownSamples | None:
        """What the index says of samples; None where there is none that holds."""
        return _unless_damaged(lambda: self._samples(segments, seeds))

    @bulk()
    def _samples(self, segments: Sequence[Path], seeds: Mapping[str, Collection[int]]) -> KnownSamples | None:
        file = self._opened("samples", self._state, segments)
        if file is None:
            return None
        known = {name: Segment({}, mark) for name, mark in file.marks.items()}
        columns = [file.column(name).to_pylist() for name in ("segment", "status", "sha256", "attempts")]
        same: dict[str, Any] = {}  # one text for all equal ones
        for row, (at, segment, status, sha256, attempts) in enumerate(zip(file.ids(), *columns, strict=True)):
            if at[1] not in seeds.get(at[0], ()):
                return None  # reading journals says what is wrong
            entry = Entry(same.setdefault(status, status), sha256, attempts, row)
            known[segment].entries[at] = entry
        return KnownSamples(known, Lines(file.rows, file.size, file.group))

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
        file = self._opened(f"scores-{normalization}", [*self._state, dict(digests)], segments)
        if file is None or not _in_order(segments, file.marks):
            return None
        ids, void, of_others = file.ids(), [], []
        rows = zip(ids, file.column("sha256").to_pylist(), file.column("others").to_pylist(), strict=True)
        for row, (at, sha256, others) in enumerate(rows):
            is_void = samples.sha256(at) != sha256
            if is_void and others:
                return None  # scores of the bytes that hold now may stand before the mark
            if is_void:
                void.append(row)
            if is_void or others:
                of_others.append(at)
        return KnownValues(_Columns(file, ids, digests, void), file.marks, of_others)

    def _opened(self, name: str, state: list[Any], segments: Sequence[Path]) -> _File | None:
        """The file of a kind of records, if it was made from these segments."""
        note, path = self._folder / f"{name}.json", self._folder / f"{name}.parquet"
        if not (is_regular(note) and is_regular(path) and is_available()):
            return None
        facts = json.loads(note.read_bytes())
        marks = {segment: Mark(*mark) for segment, mark in facts["marks"].items()}
        there = {name_of(segment): segment for segment in segments}
        if facts["state"] != state or not marks.keys() <= there.keys():
            return None
        if not all(mark.holds(there[segment]) for segment, mark in marks.items()):
            return None
        data = path.read_bytes()
        return _File(data, marks) if hashlib.sha256(data).hexdigest() == facts["sha256"] else None

    def write_samples(self, samples: Samples) -> None:
        """Keep samples as they were read."""
        parts = samples.segments
        read = [(name, *one) for name, part in parts.items() for one in part.entries.items()]
        columns = {
            "segment": _array([name for name, _, _ in read], "string"),
            **_id_columns([at for _, at, _ in read]),
            "status": _array([entry.status for _, _, entry in read], "string"),
            "sha256": _array([entry.sha256 for _, _, entry in read], "string"),
            "attempts": _array([entry.attempts for _, _, entry in read], "int64"),
            "json": _array((samples.lines[entry.row] for _, _, entry in read), "large_binary"),
        }
        marks = {name: part.mark for name, part in parts.items() if part.mark}
        self._write("samples", columns, self._state, marks)

    def write_values(
        self, normalization: str, digests: Mapping[str, str], samples: Samples, values: Values
    ) -> None:
        """Keep scores as they were read."""
        ids = list(dict.fromkeys([*(at for at in values.ids() if samples.sha256(at)), *values.others]))
        columns = {
            **_id_columns(ids),
            "sha256": _array([samples.sha256(at) for at in ids], "string"),
            "others": _array([at in values.others for at in ids], "bool_"),
        }
        for metric in digests:
            numbers, records = values.column(metric, ids)
            columns[f"value:{metric}"] = _array(numbers, "float64")
            if records:
                kept = {row: record.model_dump_json() for row, record in records.items()}
                columns[f"record:{metric}"] = _array([kept.get(row) for row in range(len(ids))], "string")
        state = [*self._state, dict(digests)]
        self._write(f"scores-{normalization}", columns, state, values.marks)

    def _write(
        self, name: str, columns: Mapping[str, Any], state: list[Any], marks: Mapping[str, Mark]
    ) -> None:
        import pyarrow
        import pyarrow.parquet

        stream = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(
            pyarrow.table(dict(columns)), stream, compression="zstd", row_group_size=GROUP,
            write_statistics=False, use_dictionary=[name for name in FEW if name in columns],
        )  # fmt: skip
        data = stream.getvalue().to_pybytes()
        note = {"state": state, "marks": marks, "sha256": hashlib.sha256(data).hexdigest()}
        self._folder.mkdir(exist_ok=True)
        write_atomically(self._folder / f"{name}.parquet", data)
        write_atomically(self._folder / f"{name}.json", json.dumps(note).encode())  # after what it speaks of


def is_available() -> bool:
    """Whether Parquet can be read and written here."""
    return importlib.util.find_spec("pyarrow") is not None


def is_large(segments: Sequence[Path]) -> bool:
    """Whether journals are long enough for an index."""
    return sum(path.stat().st_size for path in segments) >= EVERY and is_available()


def lags(segments: Sequence[Path], known: Mapping[str, Mark]) -> bool:
    """Whether so much was added since what is `known` that an index is worth its writing."""
    size = sum(path.stat().st_size for path in segments)
    covered = sum(mark.end for mark in known.values())
    return size - covered >= max(EVERY, PART * covered)


def _in_order(segments: Sequence[Path], marks: Mapping[str, Mark]) -> bool:
    """Whether what was added to segments comes after all that is known: of several the later one holds."""
    known = [i for i, path in enumerate(segments) if name_of(path) in marks]
    grown = [i for i, path in enumerate(segments) if path.stat().st_size > _end(marks.get(name_of(path)))]
    return not (known and grown) or min(grown) >= max(known)


def _end(mark: Mark | None) -> int:
    return mark.end if mark else 0


def _unless_damaged(read: Callable[[], T | None]) -> T | None:
    """What can be read of an index; None where something is wrong with it: journals hold all that it does."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - of Arrow, of its format, of what the file holds
        log.info("an index is left aside: %s: %s", type(error).__name__, error)
        return None


# --- Parquet ---


class _File:
    """A Parquet file, whole in memory but compressed."""

    def __init__(self, data: bytes, marks: Mapping[str, Mark]) -> None:
        import pyarrow
        import pyarrow.parquet

        self.marks = marks
        self._parquet = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
        self.names: list[str] = self._parquet.schema_arrow.names
        facts = self._parquet.metadata
        self.rows: int = facts.num_rows
        self.size: int = facts.row_group(0).num_rows if self.rows else 1  # of a group of rows
        size = sum(facts.row_group(i).total_byte_size for i in range(facts.num_row_groups))
        lines, ends = sum(mark.lines for mark in marks.values()), sum(mark.end for mark in marks.values())
        if self.rows > lines or size > 4 * ends + (1 << 20):
            raise ValueError("holds more than the journals it was made from")

    def column(self, name: str) -> Any:
        """A column, whole."""
        found = self._parquet.read(columns=[name]).column(0)
        return found.chunk(0) if found.num_chunks == 1 else found.combine_chunks()

    def group(self, number: int) -> list[bytes]:
        """The records of a group of rows."""
        found: list[bytes] = self._parquet.read_row_group(number, columns=["json"]).column(0).to_pylist()
        return found

    def ids(self) -> list[SampleId]:
        prompts = self.column("prompt_id").dictionary_encode()
        known = prompts.dictionary.to_pylist()
        seeds = map(cache(int), self.column("seed").to_pylist())
        return [(known[i], seed) for i, seed in zip(prompts.indices.to_pylist(), seeds, strict=True)]


class _Columns(Stored):
    """Scores in a Parquet file, but for those of some rows."""

    def __init__(
        self, file: _File, ids: Sequence[SampleId], metrics: Collection[str], void: Sequence[int]
    ) -> None:
        self._file, self.ids, self.metrics, self._void = file, ids, metrics, void

    def numbers(self, metric: str) -> NDArray[np.float64]:
        found = np.array(self._file.column(f"value:{metric}").to_numpy(zero_copy_only=False), np.float64)
        found[list(self._void)] = np.nan
        return found

    def records(self, metric: str) -> dict[int, Score]:
        name = f"record:{metric}"
        if name not in self._file.names:
            return {}
        column, void = self._file.column(name), set(self._void)
        rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)).tolist()
        return {row: Score.model_validate_json(column[row].as_py()) for row in rows if row not in void}


def _id_columns(ids: Sequence[SampleId]) -> dict[str, Any]:
    """Seeds are texts: they may be larger than 64 bits."""
    prompts, seeds = [at[0] for at in ids], [str(at[1]) for at in ids]
    return {"prompt_id": _array(prompts, "string"), "seed": _array(seeds, "string")}


def _array(values: Any, kind: str) -> Any:
    """An Arrow array of a kind that is called so in pyarrow."""
    import pyarrow

    return pyarrow.array(values, getattr(pyarrow, kind)(), from_pandas=False)
