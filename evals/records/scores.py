"""Scores, and what a reader must know of the metrics that gave them."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple, Self, cast, get_args

from pydantic import ConfigDict, Field, ValidationError, model_validator

from evals.errors import Reason, UsageError, nearest
from evals.records.base import SCHEMA, PromptId, Record, Spec, explain

Direction = Literal["higher", "lower", "none"]
Aspect = Literal[
    "alignment", "motion", "consistency", "appearance", "physics", "realism", "fidelity", "other", "cost"
]  # fmt: skip
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)  # in the order of tables
Role = Literal["primary", "diagnostic"]
Kind = Literal["video", "pair", "distribution", "sample"]
Reward = Literal["stillness", "blur", "noise", "flicker", "jitter", "hue drift", "saturation", "low contrast"]
NeedKind = Literal["frames", "encoder", "text", "texts", "derived", "pair", "answers"]


class Need(NamedTuple):
    """What a metric reads. `kind` is one of

    - `frames`: features of a frame extractor, such as `dis`;
    - `encoder`: features of an encoder, such as `i3d`;
    - `text`: an encoder's features of the prompt; `texts`: of all prompts of the run;
    - `derived`: features made from features, such as `cross:xclip`;
    - `pair`: of a video beside another of the same prompt and seed, such as `pixels`;
    - `answers`: of a judge about the video, such as `questions:openai-chat:MODEL`.
    """

    kind: NeedKind
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> Need:
        """A need from its text form."""
        kind, _, name = text.partition(":")
        if kind not in get_args(NeedKind):
            raise ValueError(f"{text!r} is not a need")
        return cls(cast(NeedKind, kind), name)


class Score(Record):
    """One metric's result for one video: a finite value, or the reason there is none.

    `parts` are sub-scores by name, in the metric's unit. `metric_digest` is `MetricInfo.digest`;
    `fields_digest` that of the prompt fields the metric read.
    """

    status: Literal["ok", "skipped", "failed"]
    value: float | None = None
    reason: Reason | None = None
    message: str = ""
    transient: bool = False
    notes: tuple[str, ...] = ()
    parts: dict[str, float] = Field(default_factory=dict)
    metric_digest: str = ""
    fields_digest: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.status == "ok") != (self.value is not None):
            raise ValueError("a score has a value exactly when its status is ok")
        if not all(math.isfinite(x) for x in (self.value or 0.0, *self.parts.values())):
            raise ValueError("a score is finite")
        if self.status != "ok" and (self.reason is None or not self.message):
            raise ValueError("a missing score has a reason and a message")
        return self


class ScoreLine(Record):
    """All scores of one video made at one time: a line of a run's journal of scores."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    prompt_id: PromptId
    seed: int
    sha256: str
    normalization: str
    scores: dict[str, Score]

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class MetricInfo(Record):
    """What a reader must know of a metric without loading it: `metrics.base.About` says what the fields mean.
    `extractors` holds a spec for every need; kind `sample` needs no video, `pair` two."""

    id: str
    kind: Kind = "video"
    spec: Spec
    extractors: dict[str, Spec]
    reads: tuple[str, ...] = ()
    direction: Direction = "none"
    low: float | None = None
    high: float | None = None
    unit: str = ""
    binary: bool = False
    temporal: bool = False
    rewarded_by: tuple[Reward, ...] = ()
    source: str = ""
    note: str = ""
    aspect: Aspect = "other"
    role: Role = "primary"
    reveals: tuple[Reward, ...] = ()
    normalization: str = "native"


class Normalization(Record):
    """How videos are brought to one shape before they are scored; all None: `native`, as they are.

    `fps` picks, for every output time k/fps, the last frame shown at that time; `seconds` cuts;
    `short_side` resizes (area averaging down, cubic up).
    """

    fps: Annotated[float, Field(gt=0, le=240)] | None = None
    seconds: Annotated[float, Field(gt=0, le=3600)] | None = None
    short_side: Annotated[int, Field(ge=16, le=4320)] | None = None

    def __str__(self) -> str:
        parts = [f"{k}={v:g}" for k, v in self.model_dump().items() if v is not None]
        return ",".join(parts) or "native"

    @classmethod
    def parse(cls, text: str) -> Normalization:
        """Read `fps=8,seconds=2,short_side=256` or `native`."""
        if text.strip() in ("", "native"):
            return cls()
        fields: dict[str, str] = {}
        for part in text.split(","):
            key, _, value = part.partition("=")
            key = key.strip()
            if key in fields:
                raise UsageError(f"--normalize {text}: {key!r} is given twice")
            if key not in cls.model_fields:
                raise UsageError(
                    f"--normalize: unknown key {key!r}{nearest(key, cls.model_fields)}"
                    f" (known: {', '.join(cls.model_fields)}; e.g. fps=8,seconds=2,short_side=256)"
                )
            fields[key] = value.strip()
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise UsageError(f"--normalize {text}: {explain(error)}") from None
