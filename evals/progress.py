"""Progress on stderr: what, how many, rate, time left, failures so far. Quiet where nobody watches."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from evals.records import Sample
from evals.run import Watcher

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar(Watcher):
    """A `Watcher` that draws; use as a context manager."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(self._generating, self._sample, self._scoring, self._advance, self._preflight)
        self._quiet = quiet
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._failed = 0
        if not quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[failed]}"),
                console=Console(stderr=True),
            )

    def __enter__(self) -> Bar:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def _begin(self, what: str, total: int) -> None:
        self._failed = 0
        if self._progress and total:
            self._task = self._progress.add_task(what, total=total, rate="", failed="")

    def _advance(self, failed: bool) -> None:
        self._failed += failed
        if self._progress and self._task is not None:
            self._progress.advance(self._task)
            speed = next(t.speed for t in self._progress.tasks if t.id == self._task)
            text = f"{self._failed} failed" if self._failed else ""
            rate = f"{speed:.1f}/s" if speed else ""
            self._progress.update(self._task, failed=text, rate=rate)

    def _preflight(self, table: str) -> None:
        """Worth saying where nobody watches, too."""
        if not self._quiet:
            print(table, file=sys.stderr)

    def _generating(self, total: int) -> None:
        self._begin("samples", total)

    def _sample(self, sample: Sample) -> None:
        self._advance(sample.outcome != "ok")

    def _scoring(self, total: int) -> None:
        self._begin("scoring", total)
