"""Metrics: pure functions of stored rows and the prompt's declared fields.

A metric's id is its name, with its extractor in brackets where it can run on several:
`temporal_flicker`, `warping_error[dis]`, `clip_similarity[ViT-B-32-quickgelu/openai]`. The same id is
the column name in every table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from evals.errors import EvalsError, UsageError
from evals.features import Rows
from evals.metrics.moments import Moments
from evals.records import Direction, MetricInfo, Prompt, Spec, View
from evals.registry import Registry


@dataclass(frozen=True)
class Value:
    """A finite number, with notes on how it came about."""

    value: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skip:
    """The metric does not apply to this video; final."""

    reason: str


@dataclass(frozen=True)
class SetValue:
    """A number about two sets of videos, with the size of both and, where one is valid, a 95 % interval;
    `bias` is what of it is estimated to come from the sets' sizes alone."""

    value: float
    n: int
    n_reference: int
    warnings: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    bias: float | None = None


@dataclass(frozen=True)
class About:
    """What a reader must know of a metric's numbers."""

    direction: Direction
    low: float | None = None
    high: float | None = None
    unit: str = ""
    binary: bool = False
    temporal: bool = False
    source: str = ""
    note: str = ""


OUTSIDE = (
    "out of domain: the video is unlike anything this encoder was made for, and a number would mean nothing;"
    " the `standard` suite's encoders know real footage"
)


def outside(rows: Rows) -> bool:
    """Whether an encoder says that a video lies outside of what it was made for."""
    return "distance" in rows and bool((np.asarray(rows["distance"]) > 1).any())


@runtime_checkable
class VideoMetric(Protocol):
    """One number per video. `needs` are `fold:NAME`, `encoder:ID`, `text:ID`, `cross:ID` (of video and
    text together) or `texts:ID` (of all prompts of the run); `reads` prompt fields."""

    spec: Spec
    about: About
    needs: tuple[str, ...]
    reads: tuple[str, ...]

    def score(self, rows: Mapping[str, Rows], prompt: Prompt) -> Value | Skip: ...


@runtime_checkable
class SetMetric(Protocol):
    """One number for two sets of videos, from features (n, d) and (m, d), at compare time."""

    spec: Spec
    about: About
    needs: tuple[str, ...]
    protocol: str

    def pool(self, rows: Mapping[str, Rows]) -> NDArray[np.float64]:
        """The feature vector (d,) of a video from its rows, or several (k, d)."""
        ...

    def compute(
        self, a: NDArray[np.float64], b: NDArray[np.float64], prompts: tuple[Sequence[str], Sequence[str]]
    ) -> SetValue:
        """`prompts` holds the prompt id of every row of both sets: rows of one prompt are not independent."""
        ...


@runtime_checkable
class MomentMetric(SetMetric, Protocol):
    """A set metric that needs no more of the reference than its moments."""

    def compute_to(self, a: NDArray[np.float64], reference: Moments) -> SetValue: ...


METRICS = Registry(
    "metric",
    {
        "temporal_flicker": "evals.metrics.temporal:TemporalFlicker",
        "temporal_ssim": "evals.metrics.temporal:TemporalSsim",
        "frozen_frames": "evals.metrics.temporal:FrozenFrames",
        "scene_cuts": "evals.metrics.temporal:SceneCuts",
        "clip_consistency": "evals.metrics.temporal:ClipConsistency",
        "subject_consistency": "evals.metrics.temporal:SubjectConsistency",
        "background_consistency": "evals.metrics.temporal:BackgroundConsistency",
        "lpips_temporal": "evals.metrics.temporal:LpipsTemporal",
        "motion_smoothness": "evals.metrics.motion:MotionSmoothness",
        "temporal_quality": "evals.metrics.motion:TemporalQuality",
        "warping_error": "evals.metrics.motion:WarpingError",
        "dynamic_degree": "evals.metrics.motion:DynamicDegree",
        "flow_magnitude": "evals.metrics.motion:FlowMagnitude",
        "sharpness": "evals.metrics.quality:Sharpness",
        "colorfulness": "evals.metrics.quality:Colorfulness",
        "exposure_clipping": "evals.metrics.quality:ExposureClipping",
        "aesthetic": "evals.metrics.quality:Aesthetic",
        "retrieval_r1": "evals.metrics.text:RetrievalAt1",
        "video_text_similarity": "evals.metrics.text:VideoTextSimilarity",
        "clip_score": "evals.metrics.text:ClipScore",
        "clip_score_hessel": "evals.metrics.text:ClipScoreHessel",
        "clip_similarity": "evals.metrics.text:ClipSimilarity",
        "kvd": "evals.metrics.distances:KernelVideoDistance",
        "fvd": "evals.metrics.distances:FrechetVideoDistance",
        "fvd_unbiased": "evals.metrics.distances:UnbiasedFrechetVideoDistance",
        "fid_frames": "evals.metrics.distances:FrechetFrameDistance",
        "memorised": "evals.metrics.distances:Memorised",
        "mmd2": "evals.metrics.distances:SecondMomentDistance",
        "precision": "evals.metrics.distances:Precision",
        "recall": "evals.metrics.distances:Recall",
        "density": "evals.metrics.distances:Density",
        "coverage": "evals.metrics.distances:Coverage",
    },
    "evals.metrics",
)

_ID = re.compile(r"^([a-z0-9_]+)(?:\[([^\[\]]+)\])?$")


def create(metric_id: str) -> VideoMetric | SetMetric:
    """A metric from its id. Raises `UnknownName` for a name nobody registered, `UsageError` for a
    missing, superfluous or unknown extractor in brackets."""
    match = _ID.match(metric_id)
    if match is None:
        raise UsageError(f"{metric_id!r} is not a metric id; write name or name[extractor]")
    name, argument = match.groups()
    maker: Any = METRICS.get(name)
    takes = getattr(maker, "takes", None)
    if takes is None and argument is not None:
        raise UsageError(f"{name} takes no extractor in brackets, {metric_id!r} gives one")
    if takes is not None and argument is None:
        raise UsageError(f"{name} needs an extractor in brackets: {name}[{takes}]")
    try:
        metric = maker(argument) if takes is not None else maker()
    except EvalsError:
        raise
    except Exception as error:
        raise UsageError(f"{metric_id} cannot be made: {type(error).__name__}: {error}") from error
    return _checked(metric_id, metric)


def _checked(metric_id: str, metric: Any) -> VideoMetric | SetMetric:
    """A plugin's class may lack what a metric needs; say so before any work starts."""
    if not isinstance(metric, VideoMetric | SetMetric):
        lacks = [n for n in ("spec", "about", "needs", "reads", "score") if not hasattr(metric, n)]
        raise UsageError(f"{metric_id} is not a metric: it lacks {', '.join(lacks)}")
    for field in getattr(metric, "reads", ()):
        if field not in Prompt.model_fields:
            raise UsageError(f"{metric_id} reads {field!r}, which prompts don't have")
    return metric


def info(
    metric_id: str, metric: VideoMetric | SetMetric, extractors: Mapping[str, Spec], view: View
) -> MetricInfo:
    """The record of a metric that readers go by."""
    return MetricInfo(
        id=metric_id,
        kind="video" if isinstance(metric, VideoMetric) else "set",
        spec=metric.spec,
        extractors={need: extractors[need] for need in metric.needs},
        reads=metric.reads if isinstance(metric, VideoMetric) else (),
        **asdict(metric.about),
        view=str(view),
    )
