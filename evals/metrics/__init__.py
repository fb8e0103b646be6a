"""Metrics, one file per family, and the table of their names.

A metric's id is its name, with its extractor in brackets where it can run on several: `temporal_flicker`,
`warping_error[dis]`, `clip_similarity[ViT-B-32-quickgelu/openai]`. The same id is the column name in every
table."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from evals.errors import EvalsError, UsageError
from evals.metrics.base import DistributionMetric, VideoMetric, checked
from evals.metrics.fidelity import PairMetric
from evals.metrics.needs import Specs, expanded
from evals.records import Kind, MetricInfo, Normalization
from evals.registry import Registry, with_code

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
        "motion_score": "evals.metrics.motion:MotionScore",
        "temporal_quality": "evals.metrics.motion:TemporalQuality",
        "warping_error": "evals.metrics.motion:WarpingError",
        "dynamic_degree": "evals.metrics.motion:DynamicDegree",
        "flow_magnitude": "evals.metrics.motion:FlowMagnitude",
        "sharpness": "evals.metrics.quality:Sharpness",
        "blur": "evals.metrics.quality:Blur",
        "blockiness": "evals.metrics.quality:Blockiness",
        "colorfulness": "evals.metrics.quality:Colorfulness",
        "exposure_clipping": "evals.metrics.quality:ExposureClipping",
        "aesthetic": "evals.metrics.quality:Aesthetic",
        "object_presence": "evals.metrics.objects:ObjectPresence",
        "judge_alignment": "evals.metrics.judged:JudgeAlignment",
        "vqa_score": "evals.metrics.judged:VqaScore",
        "judge_semantic": "evals.metrics.judged:JudgeSemantic",
        "judge_physics": "evals.metrics.judged:JudgePhysics",
        "judge_joint": "evals.metrics.judged:JudgeJoint",
        "retrieval_r1": "evals.metrics.text:RetrievalAt1",
        "video_text_similarity": "evals.metrics.text:VideoTextSimilarity",
        "clip_score": "evals.metrics.text:ClipScore",
        "clip_score_hessel": "evals.metrics.text:ClipScoreHessel",
        "clip_similarity": "evals.metrics.text:ClipSimilarity",
        "fidelity_psnr": "evals.metrics.fidelity:FidelityPsnr",
        "fidelity_ssim": "evals.metrics.fidelity:FidelitySsim",
        "fidelity_mae": "evals.metrics.fidelity:FidelityMae",
        "fidelity_lpips": "evals.metrics.fidelity:FidelityLpips",
        "physics_law": "evals.metrics.physics.law:PhysicsLaw",
        "physics_permanence": "evals.metrics.physics.law:PhysicsPermanence",
        "physics_continuity": "evals.metrics.physics.law:PhysicsContinuity",
        "gravity": "evals.metrics.physics.law:Gravity",
        "surprise": "evals.metrics.physics.surprise:Surprise",
        "motion_distance": "evals.metrics.motion_distance:MotionDistance",
        "motion_distance_frechet": "evals.metrics.motion_distance:MotionDistanceFrechet",
        "physics_iq": "evals.metrics.physics_iq:PhysicsIqPair",
        "kvd": "evals.metrics.distances:KernelVideoDistance",
        "fvd": "evals.metrics.distances:FrechetVideoDistance",
        "fvd_unbiased": "evals.metrics.distances:UnbiasedFrechetVideoDistance",
        "fid_frames": "evals.metrics.distances:FrechetFrameDistance",
        "memorization": "evals.metrics.distances:Memorization",
        "mmd2": "evals.metrics.distances:SecondMomentDistance",
        "precision": "evals.metrics.distances:Precision",
        "recall": "evals.metrics.distances:Recall",
        "density": "evals.metrics.distances:Density",
        "coverage": "evals.metrics.distances:Coverage",
    },
    "evals.metrics",
)

_ID = re.compile(r"^([a-z0-9_]+)(?:\[([^\[\]]+)\])?$")


def create(metric_id: str) -> VideoMetric | DistributionMetric:
    """A metric from its id. Raises `UnknownName` for a name nobody registered, `UsageError` for a missing,
    superfluous or unknown extractor in brackets."""
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
    return with_code(checked(metric_id, metric))


def info(
    metric_id: str,
    metric: VideoMetric | DistributionMetric,
    specs: Specs,
    normalization: Normalization,
) -> MetricInfo:
    """The record of a metric that readers go by."""
    kind: dict[type, Kind] = {PairMetric: "pair", VideoMetric: "video", DistributionMetric: "distribution"}
    return MetricInfo(
        id=metric_id,
        kind=next(name for base, name in kind.items() if isinstance(metric, base)),
        spec=metric.spec,
        extractors={str(need): specs[need] for need in expanded(metric)},
        reads=metric.reads if isinstance(metric, VideoMetric) else (),
        **asdict(metric.about),
        normalization=str(normalization),
    )
