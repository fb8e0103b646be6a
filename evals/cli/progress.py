"""Progress on stderr: what, how many, rate, time left, failures so far. Quiet where nobody watches."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from evals.cli.output import say
from evals.decoding.resources import Progress

if TYPE_CHECKING:
    from rich import progress as rich_progress


class Bar(Progress):
    """A `Progress` that draws; use as a context manager."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(self._preflight, self._begin, self._advance)
        self._quiet = quiet
        self._drawn: rich_progress.Progress | None = None
        self._task: rich_progress.TaskID | None = None
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

            self._drawn = Progress(
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
        if self._drawn:
            self._drawn.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            self._drawn.stop()

    def _preflight(self, table: str) -> None:
        """Printed off a terminal, too: it says which clips were found."""
        if not self._quiet:
            say(table)

    def _begin(self, stage: str, total: int) -> None:
        self._failed = 0
        if self._drawn and total:
            self._task = self._drawn.add_task(stage, total=total, rate="", failed="")

    def _advance(self, failed: bool) -> None:
        self._failed += failed
        if self._drawn and self._task is not None:
            self._drawn.advance(self._task)
            speed = next(t.speed for t in self._drawn.tasks if t.id == self._task)
            text = f"{self._failed} failed" if self._failed else ""
            rate = f"{speed:.1f}/s" if speed else ""
            self._drawn.update(self._task, failed=text, rate=rate)
