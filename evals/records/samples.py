"""What is asked of a generator, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from evals.errors import Reason
from evals.records.base import SCHEMA, PromptId, Record
from evals.records.prompts import Prompt

Status = Literal["ok", "refused", "failed"]


class Settings(Record):
    """What is asked of a generator for every prompt; None leaves the choice to it."""

    width: Annotated[int, Field(ge=16, le=8192)] | None = None
    height: Annotated[int, Field(ge=16, le=8192)] | None = None
    frames: Annotated[int, Field(ge=1, le=100_000)] | None = None
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None


class Clip(Record):
    """A clip that exists already: where it lies; `member`, its name inside a tar shard; `line` of the
    manifest that lists it."""

    path: Path
    member: str = ""
    line: int = 0


class Request(Record):
    """One video to make. A generator of existing clips fills `clip`, or `absent` with why there is none."""

    prompt: Prompt
    seed: int = 0
    settings: Settings = Settings()
    clip: Clip | None = None
    absent: str = ""
    absent_reason: Reason | None = None


class VideoFacts(Record):
    """What a video file is, as measured: exact frame count, size as shown (after rotation)."""

    width: int
    height: int
    frames: int
    fps: float
    duration: float
    codec: str
    pixel_format: str
    variable_rate: bool = False
    notes: tuple[str, ...] = ()


class Sample(Record):
    """One (generator, prompt, seed) and what became of it.

    `key` is the generation key; `text_digest` that of the prompt's words it was made from. `origin` is its
    user's signature of a `video` outside of the run (`runs.origin`). Where there is no video, `reason` is the
    code and `message` the sentence. `details` is what the generator reports: a model's
    version, peak memory, the words that were sent instead …
    """

    schema_: int = Field(default=SCHEMA, alias="schema")
    key: str
    text_digest: str
    prompt_id: PromptId
    seed: int
    status: Status
    reason: Reason | None = None
    message: str = ""
    transient: bool = False
    video: str | None = None
    origin: str = ""
    sha256: str | None = None
    bytes: int | None = None
    requested: Settings = Settings()
    actual: VideoFacts | None = None
    wall_seconds: float | None = None
    cost: float | None = None
    job_id: str | None = None
    attempts: int = 1
    created: str = ""
    details: dict[str, Any] = Field(default_factory=dict)

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if (self.status == "ok") != (self.reason is None):
            raise ValueError("a sample has a reason exactly when its status is not ok")
        return self
