"""What a run's journals say now, in as little memory as a large run needs: samples as they were recorded,
scores by column."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from evals.errors import RunError
from evals.records import Record, Sample, Score
from evals.records.base import explain
from evals.records.samples import Status
from evals.runs.journal import Mark

SampleId = tuple[str, int]
"""Prompt id and seed."""
Value = float | Score
"""A score: of one that is `ok`, without notes or parts, its value alone."""
ALIKE = ("actual", "requested")  # fields that many samples have alike: they share one record


class Entry(NamedTuple):
    """A sample as it is found; `row` is that of its record."""

    status: Status
    sha256: str
    attempts: int
    row: int

    @property
    def rank(self) -> tuple[bool, int]:
        """Of two records of several segments the higher one holds."""
        return self.status == "ok", self.attempts


class Lines:
    """Records of samples as JSON, by row. Those of an index are read by groups, when one is asked for."""

    def __init__(
        self, count: int = 0, size: int = 1, group: Callable[[int], Sequence[bytes]] | None = None
    ) -> None:
        """`count` rows of an index, which `group` gives by a group's number, `size` rows each."""
        self._count, self._size, self._group = count, size, group
        self._groups: dict[int, Sequence[bytes]] = {}
        self._added: list[bytes] = []

    def add(self, line: bytes) -> int:
        """Take one more; gives its row."""
        self._added.append(line)
        return self._count + len(self._added) - 1

    def drop(self, row: int) -> None:
        """Forget one that nobody asks for any more."""
        if row >= self._count:
            self._added[row - self._count] = b""

    def __getitem__(self, row: int) -> bytes:
        if row >= self._count:
            return self._added[row - self._count]
        number, place = divmod(row, self._size)
        if number not in self._groups:
            assert self._group is not None
            self._groups[number] = self._group(number)
        return self._groups[number][place]


class Segment(NamedTuple):
    """What one journal says of samples, as far as it was read: to `mark`, None for nothing."""

    entries: dict[SampleId, Entry]
    mark: Mark | None


class Samples(Mapping[SampleId, Sample]):
    """The current sample of every (prompt, seed) that has one. A record is made when it is asked for."""

    def __init__(
        self,
        entries: Mapping[SampleId, Entry] | None = None,
        lines: Lines | None = None,
        segments: Mapping[str, Segment] | None = None,
        known: Mapping[str, Mark] | None = None,
    ) -> None:
        """`segments` are what each journal said, by its name; `known`, how far an index said it."""
        self._entries, self.lines = entries or {}, lines or Lines()
        self.segments, self.known = segments or {}, known or {}
        self._shared: dict[Record, Record] = {}

    def __getitem__(self, at: SampleId) -> Sample:
        line = self.lines[self._entries[at].row]
        try:
            sample = Sample.model_validate_json(line)
        except ValidationError as error:
            what = f"the record of prompt {at[0]}, seed {at[1]}"
            raise RunError(f"{what}: not one of this suite ({explain(error)})") from None
        for name in ALIKE:
            if (part := getattr(sample, name)) is not None:
                vars(sample)[name] = self._shared.setdefault(part, part)
        return sample

    def __iter__(self) -> Iterator[SampleId]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, at: object) -> bool:
        return at in self._entries

    def status(self, at: SampleId) -> Status | None:
        """The status of a sample; None where there is none."""
        entry = self._entries.get(at)
        return entry.status if entry else None

    def sha256(self, at: SampleId) -> str:
        """The hash of a sample's video; empty where there is none."""
        entry = self._entries.get(at)
        return entry.sha256 if entry else ""

    def ok(self) -> Samples:
        """Those that have a video."""
        return self.among(at for at, entry in self._entries.items() if entry.status == "ok")

    def among(self, ids: Iterable[SampleId]) -> Samples:
        """Those of some (prompt, seed), as far as there are any."""
        return Samples({at: self._entries[at] for at in ids if at in self._entries}, self.lines)


class Stored:
    """Scores of an index: `numbers` by metric, NaN where there is no plain one, and the other `records`; both
    are read when a metric is asked for. Base class; this one holds none."""

    ids: Sequence[SampleId] = ()
    metrics: Collection[str] = ()

    def numbers(self, metric: str) -> NDArray[np.float64]:
        raise KeyError(metric)

    def records(self, metric: str) -> dict[int, Score]:
        raise KeyError(metric)


class Values(Mapping[SampleId, dict[str, Value]]):
    """Current scores of a run's samples under one normalization, metric by metric."""

    def __init__(
        self,
        metrics: Iterable[str],
        ids: Iterable[SampleId],
        stored: Stored | None = None,
        known: Mapping[str, Mark] | None = None,
    ) -> None:
        """Room for the scores of some samples; those that are `stored` already come first. `known` is how far
        an index said it."""
        self._stored, self.metrics, self.known = stored or Stored(), tuple(metrics), known or {}
        self._rows: dict[SampleId, int] = {}
        for at in chain(self._stored.ids, ids):
            self._rows.setdefault(at, len(self._rows))
        self._numbers: dict[str, NDArray[np.float64]] = {}
        self._records: dict[str, dict[int, Score]] = {}
        self.marks: dict[str, Mark] = {}
        self.others: set[SampleId] = set()  # samples with scores of bytes that do not hold now

    def ids(self) -> list[SampleId]:
        """All samples that there is room for."""
        return list(self._rows)

    def _column(self, metric: str) -> tuple[NDArray[np.float64], dict[int, Score]]:
        if metric not in self._numbers:
            numbers, records = np.full(len(self._rows), np.nan), dict[int, Score]()
            if metric in self._stored.metrics:
                numbers[: len(self._stored.ids)] = self._stored.numbers(metric)
                records = self._stored.records(metric)
            self._numbers[metric], self._records[metric] = numbers, records
        return self._numbers[metric], self._records[metric]

    def put(self, at: SampleId, metric: str, value: Value) -> None:
        """Take a score; of several, one that is `ok` wins, then the latest."""
        before = self.one(at, metric)
        if before is not None and is_ok(before) and not is_ok(value):
            return
        (numbers, records), row = self._column(metric), self._rows[at]
        if isinstance(value, float):
            numbers[row] = value
            records.pop(row, None)
        else:
            numbers[row], records[row] = math.nan, value

    def one(self, at: SampleId, metric: str) -> Value | None:
        """A sample's score by a metric; None where there is none."""
        row = self._rows.get(at)
        if row is None:
            return None
        numbers, records = self._column(metric)
        number = float(numbers[row])
        return records.get(row) if math.isnan(number) else number

    def column(self, metric: str, ids: Sequence[SampleId]) -> tuple[NDArray[np.float64], dict[int, Score]]:
        """A metric's scores of some samples: plain values, NaN where there is none, and by place the records
        of those that are not plain."""
        numbers, records = self._column(metric)
        rows = np.array([self._rows.get(at, -1) for at in ids], np.intp)
        if not len(numbers):
            return np.full(len(rows), np.nan), {}
        found = np.where(rows >= 0, numbers[rows], np.nan)
        places = np.flatnonzero(np.isin(rows, list(records))) if records else ()
        return found, {int(place): records[int(rows[place])] for place in places}

    def __getitem__(self, at: SampleId) -> dict[str, Value]:
        found = {name: value for name in self.metrics if (value := self.one(at, name)) is not None}
        if not found:
            raise KeyError(at)
        return found

    def __iter__(self) -> Iterator[SampleId]:
        return (at for at in self._rows if any(self.one(at, name) is not None for name in self.metrics))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def is_ok(score: Value) -> bool:
    return isinstance(score, float) or score.status == "ok"
