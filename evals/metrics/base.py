"""What a metric is: a pure function of stored features, a clip's facts and the prompt's declared fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from evals.errors import Reason, UsageError
from evals.metrics.moments import Moments
from evals.records import Aspect, Direction, Need, Normalization, Prompt, Reward, Role, Spec
from evals.runs.features import Features

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Value:
    """A finite number, with notes on how it came about, and sub-scores by name in the same unit."""

    value: float
    notes: tuple[str, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Skip:
    """The metric has no number for this video; final. With a `reason` of `BECAUSE_OF_THE_PROMPT` that is no
    fault of the video; with any other it counts against the model's coverage."""

    message: str
    reason: Reason = Reason.DOES_NOT_APPLY


@dataclass(frozen=True)
class SetValue:
    """A number about two sets of videos, with the size of both and, where one is valid, a 95 % interval;
    `bias` is the part of it that is estimated to come from the sets' sizes alone."""

    value: float
    n: int
    n_reference: int
    warnings: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    bias: float | None = None

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True)
class SetDifference:
    """The difference of two sets' distances to one reference, with its standard error and the degrees of
    freedom of Student's t."""

    value: float
    standard_error: float
    freedom: int


@dataclass(frozen=True)
class About:
    """What a reader must know of a metric's numbers.

    `direction` says what is better (`higher`, `lower`, `none`), `low` and `high` bound the range, `binary`
    marks a yes/no per video, `temporal` one that depends on frame rate and length; `rewarded_by` is what
    moves it the better way and is no improvement; `note` says what it does not detect, or what moves it
    beside quality.

    `aspect` is the table it stands in. A `primary` metric has verdicts, a `diagnostic` one is shown beside
    them; without a direction it is always a diagnostic. `reveals`: where a model loses on this metric, its
    gains on metrics `rewarded_by` these come from them."""

    direction: Direction
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

    def __post_init__(self) -> None:
        if self.direction == "none":
            object.__setattr__(self, "role", "diagnostic")


class PromptFields:
    """The prompt fields that a metric declared in `reads`, as attributes; any other is an error, since a
    score is tied to the declared ones alone."""

    def __init__(self, prompt: Prompt, reads: Sequence[str]) -> None:
        self._prompt, self._reads = prompt, tuple(reads)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._reads:
            raise AttributeError(f"the metric reads prompt.{name} and does not declare it in `reads`")
        return getattr(self._prompt, name)


@dataclass(frozen=True)
class Clip:
    """What a metric gets of one video.

    `features` by need; `times` (n,), seconds at which the n frames are shown; `fps`, `width` and `height`
    after `normalization`; `prompt`, the fields that the metric declared."""

    features: Mapping[Need, Features]
    prompt: PromptFields
    times: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    fps: float = 0.0
    width: int = 0
    height: int = 0
    normalization: Normalization = field(default_factory=Normalization)

    def __getitem__(self, need: Need) -> Features:
        return self.features[need]


class VideoMetric(ABC):
    """One number per video.

    `spec` names it and the version of its numbers, `needs` the features it reads, `reads` the prompt fields.
    `takes` is None for a metric without brackets, else the usual extractor: its constructor then gets the one
    in the brackets. `weights` names published weight files that the metric reads itself.
    """

    takes: ClassVar[str | None] = None
    weights: ClassVar[tuple[str, ...]] = ()
    spec: Spec
    about: About
    needs: tuple[Need, ...]
    reads: tuple[str, ...] = ()

    @abstractmethod
    def score(self, clip: Clip) -> Value | Skip:
        """The number, or why there is none. An exception fails this score alone."""


class DistributionMetric(ABC):
    """One number for two sets of videos, from features (n, d) and (m, d), at compare time.

    `protocol` says in words how features become the number.
    """

    takes: ClassVar[str | None] = "ENCODER"
    weights: ClassVar[tuple[str, ...]] = ()
    spec: Spec
    about: About
    needs: tuple[Need, ...]
    protocol: str

    @abstractmethod
    def pool(self, features: Mapping[Need, Features]) -> Matrix:
        """The feature vector (d,) of a video, or several (k, d)."""

    @abstractmethod
    def compute(self, a: Matrix, b: Matrix, prompts: tuple[Sequence[str], Sequence[str]]) -> SetValue:
        """`a` is measured, `b` the reference; `prompts` holds the prompt id of every row of both: rows of one
        prompt are not independent. Raises `MetricError`."""

    def difference(
        self, a: Matrix, b: Matrix, reference: Matrix, prompts: tuple[Sequence[str], ...]
    ) -> SetDifference | None:
        """How much further `a` lies from the reference than `b`; None for a metric whose difference has no
        valid error. `prompts` holds those of every row of the three. Raises `MetricError`."""
        return None

    def equality(self, a: Matrix, b: Matrix, prompts: tuple[Sequence[str], Sequence[str]]) -> float | None:
        """p of "both sets come from one distribution"; None for a metric without such a test."""
        return None


@runtime_checkable
class MomentMetric(Protocol):
    """A distribution metric that needs only the moments of the reference."""

    def compute_to(self, a: Matrix, reference: Moments) -> SetValue: ...


OUTSIDE = Skip(
    "out of domain: the video is unlike this encoder's training videos, so a number would be meaningless; the"
    " `standard` suite's encoders are made for real footage",
    Reason.OUT_OF_DOMAIN,
)


def outside(features: Features) -> bool:
    """Whether an encoder says that a video lies outside of what it was made for."""
    return "distance" in features and bool((np.asarray(features["distance"]) > 1).any())


def checked(metric_id: str, metric: Any) -> VideoMetric | DistributionMetric:
    """The metric, if it is one and declares what it must. Raises `UsageError`."""
    if not isinstance(metric, VideoMetric | DistributionMetric):
        raise UsageError(
            f"{metric_id} is not a metric: its class extends neither evals.VideoMetric nor"
            " evals.DistributionMetric"
        )
    lacks = [name for name in ("spec", "about", "needs") if not hasattr(metric, name)]
    if lacks:
        raise UsageError(f"{metric_id} lacks {', '.join(lacks)}")
    for need in metric.needs:
        if not isinstance(need, Need):
            raise UsageError(f"{metric_id}: {need!r} is not a need; write Need('frames', 'difference')")
    for name in getattr(metric, "reads", ()):
        if name not in Prompt.model_fields:
            raise UsageError(f"{metric_id} reads {name!r}, which prompts don't have")
    return metric
