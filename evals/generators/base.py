"""What a generator is: whatever makes, or already made, the videos."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from evals.errors import Reason, UsageError
from evals.records import PromptSet, Record, Request, Settings, Spec, Status
from evals.runs.files import Measured
from evals.runs.segments import Segments

Probe = Callable[[Path], Measured]
"""Measures and hashes a file in a decoder process; raises `SampleError` for what is not a usable video."""


@dataclass(frozen=True)
class Generation:
    """What became of one request. `path` is the finished video where the status is `ok`; else `reason` and
    `message` say why there is none, and `transient` whether trying again may help."""

    status: Status
    path: Path | None = None
    reason: Reason | None = None
    message: str = ""
    transient: bool = False
    cost: float | None = None
    job_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def failed(reason: Reason, message: str, transient: bool = False, **more: Any) -> Generation:
    """A generation that failed."""
    return Generation("failed", reason=reason, message=message, transient=transient, **more)


def refused(message: str, **more: Any) -> Generation:
    """A generation that was refused: a status, not an error."""
    return Generation("refused", reason=Reason.REFUSED, message=message, **more)


class Generator(ABC):
    """Base of generators. `spec`, `label` and `generate` are needed; everything else has a default.

    `spec` is the generator's identity with all that shapes its videos; `label` its name for people; `accepts`
    the settings it can follow (`width`, `height`, `frames`, `fps`); `existing` says that its videos exist
    already, so that its plan is all there is. `concurrency` is how many videos it may be asked for at once,
    each from a thread of its own; `waits` says that it only waits for others, so that more may be asked for
    than there are cores; `batch` is how many requests `generate_batch` gets at once. `price` is that of one
    video, in the currency of the API, where it is known beforehand.

    `Options` are its `-o KEY=VALUE`, typed; with `takes_others` the constructor also gets those it does not
    name, as `extra`.
    """

    Options: ClassVar[type[Record]] = Record
    takes_others: ClassVar[bool] = False
    spec: Spec
    label: str
    accepts: frozenset[str] = frozenset()
    existing: bool = False
    concurrency: int = 1
    waits: bool = False
    batch: int = 1
    price: float | None = None

    def plan(
        self, prompts: PromptSet | None, seeds: Sequence[int] | None, settings: Settings
    ) -> list[Request]:
        """What is to be made, in order: every prompt with every seed (default: seed 0)."""
        if prompts is None:
            raise UsageError("this generator needs prompts: add --prompts NAME or FILE")
        return [
            Request(prompt=prompt, seed=seed, settings=settings)
            for prompt in prompts.prompts
            for seed in (seeds or (0,))
        ]

    def identity(self, request: Request) -> Any:
        """JSON that changes when the same request would give another video (a file's hash, say)."""
        return None

    def holdings(self, prompts: PromptSet | None) -> set[tuple[str, int]]:
        """The (prompt id, seed) of clips that exist; empty for a generator that makes its videos."""
        return set()

    def preflight(self, requests: Sequence[Request], prompts: PromptSet | None) -> str:
        """What there is against what is asked for, as a table; nothing where nothing is known beforehand."""
        return ""

    def begin(self, segments: Segments, probe: Probe) -> None:  # noqa: B027 - a default, not a duty
        """Called before the first video, with the places of the run's journals."""

    @abstractmethod
    def generate(self, request: Request, out: Path) -> Generation:
        """Make one video at `out`, whose folder exists. An exception is recorded as `failed`, for this sample
        alone."""

    def generate_batch(self, requests: Sequence[Request], outs: Sequence[Path]) -> list[Generation]:
        """Make several videos in one call. Where that fails, each is asked for by itself."""
        return [self.generate(request, out) for request, out in zip(requests, outs, strict=True)]

    def stop(self) -> None:  # noqa: B027
        """Called from another thread when a run is interrupted: `generate` must end soon."""

    def close(self) -> None:  # noqa: B027
        """Called when a run has all it wants: end processes, free memory."""
