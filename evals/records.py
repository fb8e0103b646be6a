"""The records that everything else passes around: frozen, validated, versioned.

Records are JSON on disk. `digest` is the one hash of the project: SHA-256 of canonical JSON, cut to
128 bits. A field is never reused with another meaning; `SCHEMA` rises when one changes.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from evals.errors import Reason, UsageError, nearest

SCHEMA = 3
ALL = "all"  # the tables' word for every category

PROMPT_ID = r"^[a-z0-9-]+$"
PromptId = Annotated[str, StringConstraints(pattern=PROMPT_ID, max_length=120)]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(lambda x: _writable(x))
]
Category = Annotated[Text, AfterValidator(lambda x: _category(x))]
Direction = Literal["higher", "lower", "none"]
Status = Literal["ok", "refused", "failed"]
Aspect = Literal[
    "alignment", "motion", "consistency", "appearance", "physics", "realism", "fidelity", "other", "cost"
]  # fmt: skip
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)  # in the order of tables
Role = Literal["primary", "diagnostic"]
Kind = Literal["video", "pair", "distribution", "sample"]
Reward = Literal["stillness", "blur", "noise", "flicker", "jitter", "hue drift", "saturation", "low contrast"]


def digest(value: Any) -> str:
    """32 hex digits of SHA-256 over canonical JSON; NaN and unknown types are errors, never text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def is_regular(path: Path) -> bool:
    """Whether there is a plain file: a pipe or device would never end, and an odd path is no error here."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits: the identity of a video or weight file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _writable(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a character (a lone surrogate), which no file can") from None
    return value


def _category(value: str) -> str:
    if value == ALL:
        raise ValueError("'all' is the tables' word for every category; use another")
    return value


class Record(BaseModel):
    """Base of all records: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> dict[str, Any]:
        """JSON-ready fields; those at their default are left out."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Spec(Record):
    """The identity of a component: its name, the version of its numbers and its parameters."""

    name: str
    version: int = 1
    params: dict[str, Any] = {}

    @property
    def digest(self) -> str:
        return digest([self.name, self.version, self.params])


NeedKind = Literal["frames", "encoder", "text", "texts", "derived", "pair"]


class Need(NamedTuple):
    """What a metric reads. `kind` is one of

    - `frames`: features of a frame extractor, such as `dis`;
    - `encoder`: features of an encoder, such as `i3d`;
    - `text`: an encoder's features of the prompt; `texts`: of all prompts of the run;
    - `derived`: features made from features, such as `cross:xclip`;
    - `pair`: of a video beside another of the same prompt and seed, such as `pixels`.
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


class Subject(Record):
    """One kind of thing in a scene. `metres`: its real size, of a ball the diameter, else the largest extent;
    `height`: where it falls from."""

    kind: Text
    count: Annotated[int, Field(ge=1, le=20)] = 1
    colour: Text | None = None
    size: Literal["small", "medium", "large"] | None = None
    metres: Annotated[float, Field(gt=0, le=1000)] | None = None
    height: Literal["low", "middle", "high"] | None = None
    action: Text | None = None
    target: Text | None = None


class Question(Record):
    """A yes/no question a judge can be asked about the video."""

    text: Text
    answer: Literal["yes", "no"] = "yes"


class Prompt(Record):
    """A prompt and what is known of the scene it asks for. Annotations are optional. Where the text is not
    known (`text_known`), it is the name of the clip's file, and metrics that read it don't apply."""

    id: PromptId
    text: Text
    category: Category = "uncategorised"
    tags: tuple[str, ...] = ()
    subjects: tuple[Subject, ...] = ()
    action: Text | None = None
    place: Text | None = None
    motion: Literal["none", "low", "medium", "high"] | None = None
    camera: Literal["static", "pan", "tilt", "zoom", "tracking", "orbit", "handheld", "aerial"] | None = None
    cuts: bool | None = None
    law: Literal[
        "gravity", "projectile", "restitution", "rolling", "pendulum", "collision", "friction", "buoyancy",
        "inertia", "rest", "elasticity", "fluid", "permanence", "continuity", "light", "heat",
    ] | None = None  # fmt: skip
    questions: tuple[Question, ...] = ()
    text_known: bool = True


class PromptSet(Record):
    """A named, ordered set of prompts with unique ids."""

    name: str
    prompts: tuple[Prompt, ...]
    version: int = 1
    description: str = ""
    licence: str = ""

    @model_validator(mode="after")
    def _unique(self) -> Self:
        seen: set[str] = set()
        for prompt in self.prompts:
            if prompt.id in seen:
                raise ValueError(f"prompt id {prompt.id!r} occurs twice")
            seen.add(prompt.id)
        return self

    @property
    def digest(self) -> str:
        """Hash of all prompts and their annotations, whatever the file looks like."""
        return digest([p.to_json() for p in self.prompts])


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
    details: dict[str, Any] = {}

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if (self.status == "ok") != (self.reason is None):
            raise ValueError("a sample has a reason exactly when its status is not ok")
        return self


class Score(Record):
    """One metric's result for one video: a finite value, or the reason there is none.

    `metric_digest` is `MetricInfo.digest`; `fields_digest` that of the prompt fields the metric read.
    """

    status: Literal["ok", "skipped", "failed"]
    value: float | None = None
    reason: Reason | None = None
    message: str = ""
    transient: bool = False
    notes: tuple[str, ...] = ()
    metric_digest: str = ""
    fields_digest: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.status == "ok") != (self.value is not None):
            raise ValueError("a score has a value exactly when its status is ok")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError("a score is finite")
        if self.status != "ok" and (self.reason is None or not self.message):
            raise ValueError("a missing score has a reason and a message")
        return self


class ScoreLine(Record):
    """All scores of one video made at one time: a line of `scores.jsonl`."""

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


def _short(value: Any) -> str:
    try:
        return f"{value!r:.80}"
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits"


def explain(error: ValidationError) -> str:
    """A validation error as one readable line."""
    parts = []
    for item in error.errors():
        where = ".".join(str(x) for x in item["loc"])
        message = re.sub(r"^(Value|Assertion) error, ", "", item["msg"])
        if item["type"] == "string_pattern_mismatch" and item["ctx"]["pattern"] == PROMPT_ID:
            message = "only a-z, 0-9 and '-' are allowed, since files are named after it"
        got = "" if item["type"] in ("missing", "value_error") else f" (got {_short(item['input'])})"
        parts.append(f"{where}: {message}{got}" if where else f"{message}{got}")
    return "; ".join(parts)
