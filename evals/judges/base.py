"""What a judge is: a model that is shown frames and gives one of the answers it is offered."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from evals.errors import Reason
from evals.judges import wording
from evals.records import Record, Spec

PINNED, REVISION = "pinned", "revision"


@dataclass(frozen=True)
class Sight:
    """Frames of one video as a judge is shown them: `pictures` (JPEG) in order, and the `times` in seconds
    that are written beside them."""

    pictures: tuple[bytes, ...]
    times: tuple[float, ...]

    @cached_property
    def digest(self) -> str:
        """Of all that is shown, in order."""
        found = hashlib.sha256()
        for picture, time in zip(self.pictures, self.times, strict=True):
            found.update(f"{time:.3f} {len(picture)}\n".encode() + picture)
        return found.hexdigest()[:32]


@dataclass(frozen=True)
class Ask:
    """A question with the answers it offers. With `probabilities` it is how likely the model says each that
    counts."""

    text: str
    choices: tuple[str, ...]
    probabilities: bool = False


@dataclass(frozen=True)
class Reply:
    """What came of a question: a `choice`, or the `reason` and `message` why there is none. `probabilities`
    are by choice, where they were asked for. `raw` is the answer as it came; `model` and `fingerprint` are
    what the server says it is; `cost` in the price's currency."""

    choice: str | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    reason: Reason | None = None
    message: str = ""
    transient: bool = False
    raw: str = ""
    model: str = ""
    fingerprint: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None


class JudgeOptions(Record):
    """`frames` of a video are shown, whose longer side is at most `size` pixels; a question is asked `votes`
    times, with the seeds `seed`, `seed` + 1 …; `revision` says which weights stand behind the model's name.
    `concurrency`: questions at once. `controls`: a run of clips that are known to show their prompts, in
    place of simulated ones."""

    frames: Annotated[int, Field(ge=4, le=64)] = 8
    size: Annotated[int, Field(ge=64, le=2048)] = 512
    votes: Annotated[int, Field(ge=1, le=25)] = 1
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    revision: str | None = None
    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    controls: Path | None = None


class Judge(ABC):
    """A model behind one interface. A subclass sets in `__init__` its `spec` with `describe`, and gives
    `ask`; `name` is the id in a metric's brackets.

    `waits` says that its time goes by elsewhere, so that several questions are asked at once; `max_cost`
    bounds what it may cost."""

    Options: ClassVar[type[JudgeOptions]] = JudgeOptions
    spec: Spec
    waits: bool = False
    max_cost: float | None = None

    def __init__(self, name: str, options: JudgeOptions) -> None:
        self.name, self.options = name, options

    def describe(self, kind: str, version: int, pinned: bool, **params: Any) -> Spec:
        """The spec: `params` beside what is shown, the wording's version, and whether the name can only ever
        mean one model."""
        shown = {"pictures": self.pictures, "seed": self.options.seed, "votes": self.options.votes}
        held = {REVISION: self.options.revision, PINNED: pinned, "wording": wording.VERSION}
        return Spec(name=kind, version=version, params={**params, **shown, **held})

    @property
    def pictures(self) -> str:
        """The frame extractor that makes what it is shown."""
        return f"stills:{self.options.frames}x{self.options.size}"

    @property
    def asking(self) -> dict[str, Any]:
        """What of the spec an answer is tied to: everything but how many there are."""
        params = {k: v for k, v in self.spec.params.items() if k not in ("votes", PINNED)}
        return {"name": self.spec.name, "version": self.spec.version, "params": params}

    @abstractmethod
    def ask(self, sights: Sequence[Sight], ask: Ask, seed: int) -> Reply:
        """One answer about one video, or about several in this order. Raises `UsageError` for what no other
        question would cure, such as a wrong key."""

    def stop(self) -> None:  # noqa: B027 - a default, not a duty
        """Called from another thread when a run is interrupted: `ask` must end soon."""

    def close(self) -> None:  # noqa: B027
        """Called when there is nothing more to ask: close connections, free memory."""
