"""Evaluation suite for text-to-video models.

The public names below are imported when they are first used: `import evals` loads neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evals.api import Check, Result, evaluate, fvd, gate_check, score
    from evals.compare import Comparison, Rules, RunScores, compare_scores, load_runs
    from evals.compare.paired import PairedDifference, paired_difference
    from evals.compare.runs import build_reference, compare_runs
    from evals.decoding.resources import Progress, Resources
    from evals.encoders import ENCODERS
    from evals.encoders.base import CrossEncoder, Encoder, Setup, TextEncoder
    from evals.encoders.derivations import DERIVATIONS, Derivation
    from evals.errors import DoesNotApply, EvalsError, Reason
    from evals.extractors import FRAME_EXTRACTORS, FrameExtractor
    from evals.extractors.paired import PAIR_EXTRACTORS, PairExtractor
    from evals.generate import RunConfig, generate_in_turn, generate_run
    from evals.generators import GENERATORS
    from evals.generators import create as create_generator
    from evals.generators.base import Generation, Generator
    from evals.generators.callables import Refused
    from evals.judges import JUDGES
    from evals.judges.base import Ask, Judge, JudgeOptions, Reply, Sight
    from evals.metrics import METRICS
    from evals.metrics.base import About, Clip, DistributionMetric, SetValue, Skip, Value, VideoMetric
    from evals.metrics.frechet import frechet_distance, frechet_distance_from_moments
    from evals.metrics.kernel import kernel_distance, kernel_equality, matched_kernel_distances, mmd2
    from evals.metrics.moments import Moments
    from evals.metrics.neighbours import copies, neighbours
    from evals.metrics.unbiased import frechet_extrapolated, frechet_unbiased
    from evals.prompts import load as load_prompts
    from evals.records import (
        Need,
        Normalization,
        Prompt,
        PromptSet,
        Request,
        Sample,
        Score,
        Settings,
        Spec,
    )
    from evals.report import write_report
    from evals.runs.folder import RunFolder
    from evals.scoring import prepare, score_run
    from evals.video import (
        Bounded,
        CenterCrop,
        Chunk,
        FirstFrames,
        FlowPairs,
        ShortSide,
        SpacedWindows,
        SpreadFrames,
        Stretch,
    )

_HOME = {
    "api": ("Check", "Result", "evaluate", "fvd", "gate_check", "score"),
    "compare": ("Comparison", "Rules", "RunScores", "compare_scores", "load_runs"),
    "compare.paired": ("PairedDifference", "paired_difference"),
    "compare.runs": ("build_reference", "compare_runs"),
    "decoding.resources": ("Progress", "Resources"),
    "encoders": ("ENCODERS",),
    "encoders.base": ("CrossEncoder", "Encoder", "Setup", "TextEncoder"),
    "encoders.derivations": ("DERIVATIONS", "Derivation"),
    "errors": ("DoesNotApply", "EvalsError", "Reason"),
    "extractors": ("FRAME_EXTRACTORS", "FrameExtractor"),
    "extractors.paired": ("PAIR_EXTRACTORS", "PairExtractor"),
    "generate": ("RunConfig", "generate_in_turn", "generate_run"),
    "generators": ("GENERATORS", "create_generator"),
    "generators.base": ("Generation", "Generator"),
    "generators.callables": ("Refused",),
    "judges": ("JUDGES",),
    "judges.base": ("Ask", "Judge", "JudgeOptions", "Reply", "Sight"),
    "metrics": ("METRICS",),
    "metrics.base": ("About", "Clip", "DistributionMetric", "SetValue", "Skip", "Value", "VideoMetric"),
    "metrics.frechet": ("frechet_distance", "frechet_distance_from_moments"),
    "metrics.kernel": ("kernel_distance", "kernel_equality", "matched_kernel_distances", "mmd2"),
    "metrics.moments": ("Moments",),
    "metrics.neighbours": ("copies", "neighbours"),
    "metrics.unbiased": ("frechet_extrapolated", "frechet_unbiased"),
    "prompts": ("load_prompts",),
    "records": (
        "Need", "Normalization", "Prompt", "PromptSet", "Request", "Sample", "Score", "Settings", "Spec",
    ),
    "report": ("write_report",),
    "runs.folder": ("RunFolder",),
    "scoring": ("prepare", "score_run"),
    "video": (
        "Bounded", "CenterCrop", "Chunk", "FirstFrames", "FlowPairs", "ShortSide", "SpacedWindows",
        "SpreadFrames", "Stretch",
    ),
}  # fmt: skip
_MODULE = {name: module for module, names in _HOME.items() for name in names}
_RENAMED = {"load_prompts": "load", "create_generator": "create"}

__all__ = [
    "DERIVATIONS",
    "ENCODERS",
    "FRAME_EXTRACTORS",
    "GENERATORS",
    "JUDGES",
    "METRICS",
    "PAIR_EXTRACTORS",
    "About",
    "Ask",
    "Bounded",
    "CenterCrop",
    "Check",
    "Chunk",
    "Clip",
    "Comparison",
    "CrossEncoder",
    "Derivation",
    "DistributionMetric",
    "DoesNotApply",
    "Encoder",
    "EvalsError",
    "FirstFrames",
    "FlowPairs",
    "FrameExtractor",
    "Generation",
    "Generator",
    "Judge",
    "JudgeOptions",
    "Moments",
    "Need",
    "Normalization",
    "PairExtractor",
    "PairedDifference",
    "Progress",
    "Prompt",
    "PromptSet",
    "Reason",
    "Refused",
    "Reply",
    "Request",
    "Resources",
    "Result",
    "Rules",
    "RunConfig",
    "RunFolder",
    "RunScores",
    "Sample",
    "Score",
    "SetValue",
    "Settings",
    "Setup",
    "ShortSide",
    "Sight",
    "Skip",
    "SpacedWindows",
    "Spec",
    "SpreadFrames",
    "Stretch",
    "TextEncoder",
    "Value",
    "VideoMetric",
    "build_reference",
    "compare_runs",
    "compare_scores",
    "copies",
    "create_generator",
    "evaluate",
    "frechet_distance",
    "frechet_distance_from_moments",
    "frechet_extrapolated",
    "frechet_unbiased",
    "fvd",
    "gate_check",
    "generate_in_turn",
    "generate_run",
    "kernel_distance",
    "kernel_equality",
    "load_prompts",
    "load_runs",
    "matched_kernel_distances",
    "mmd2",
    "neighbours",
    "paired_difference",
    "prepare",
    "score",
    "score_run",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'evals' has no attribute {name!r}")
    module = importlib.import_module(f"evals.{_MODULE[name]}")
    return getattr(module, _RENAMED.get(name, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE})
