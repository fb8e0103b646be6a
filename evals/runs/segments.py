"""Who writes to a run, and where: one process, or several with a shard of the prompts each.

Every writer appends to journals of its own (segments), so that no two processes write to one file; readers
join all segments. The writer of a whole run is called `main`, that of a shard `shard-3-of-8`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evals.errors import UsageError

MAIN = "main"
KINDS = ("samples", "scores", "answers", "jobs", "expansions")
"""Journals of a run: a folder for each, with a segment for every writer."""


@dataclass(frozen=True)
class Shard:
    """Every `count`-th prompt of a run, from the `number`-th on: 1 ≤ `number` ≤ `count`."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `3/8`. Raises `UsageError`."""
        found = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
        number, count = (int(x) for x in found.groups()) if found else (0, 0)
        if not 1 <= number <= count:
            raise UsageError(f"--shard {text}: not a shard; give NUMBER/COUNT from 1/8 to 8/8, say")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def writer(self) -> str:
        return f"shard-{self.number}-of-{self.count}"

    def of(self, prompt_ids: Iterable[str]) -> set[str]:
        """This shard's part of a run's prompts, given in order."""
        return set(list(dict.fromkeys(prompt_ids))[self.number - 1 :: self.count])


def shard_of(writer: str) -> Shard | None:
    """The shard that a writer's name stands for."""
    found = re.fullmatch(r"shard-(\d+)-of-(\d+)", writer)
    return Shard(int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True)
class Segments:
    """Where a writer finds and keeps journals in a run folder."""

    folder: Path
    writer: str = MAIN

    def own(self, kind: str) -> Path:
        """The segment that this writer appends to."""
        return self.folder / kind / f"{self.writer}.jsonl"

    def all(self, kind: str) -> list[Path]:
        """Every segment that there is, `main` first. Runs of older versions have one, `samples.jsonl`."""
        old = self.folder / f"{kind}.jsonl"
        found = sorted((self.folder / kind).glob("*.jsonl"), key=lambda path: (path.stem != MAIN, path.stem))
        return [old, *found] if old.exists() else found

    def known(self, kind: str) -> list[Path]:
        """What this writer goes on from: its own segment and that of the whole run; as `main`, all."""
        if self.writer == MAIN:
            return self.all(kind)
        return [path for path in self.all(kind) if path.stem in (MAIN, kind, self.writer)]


def run_of(journal: Path) -> Path:
    """The folder whose `run.json` a journal belongs to."""
    return journal.parent.parent if journal.parent.name in KINDS else journal.parent
