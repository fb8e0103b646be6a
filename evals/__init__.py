"""Evaluation suite for text-to-video models.

The public names below are imported when they are first used: `import evals` loads neither torch nor
pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evals.compare import Comparison
    from evals.decoding.windows import Sampling
    from evals.encoders import ENCODERS, Encoder
    from evals.errors import DoesNotApply, EvalsError
    from evals.folds import FOLDS, Fold
    from evals.generators import GENERATORS, Generation, Generator
    from evals.generators.callables import Refused
    from evals.metrics import METRICS, About, SetMetric, SetValue, Skip, Value, VideoMetric
    from evals.metrics.frechet import frechet_distance, frechet_distance_from_moments
    from evals.metrics.kernel import kernel_distance, kernel_equality, matched_kernel_distances, mmd2
    from evals.metrics.moments import Moments
    from evals.metrics.neighbours import copies, neighbours
    from evals.metrics.unbiased import frechet_extrapolated, frechet_unbiased
    from evals.prompts import load as load_prompts
    from evals.records import Prompt, PromptSet, Request, Sample, Score, Settings, Spec, View
    from evals.report import write as write_report
    from evals.run import Plan, Resources, compare_runs, generate_run, score_run
    from evals.rundir import RunDir
    from evals.score import prepare
    from evals.video import Chunk

_HOME = {
    "compare": ("Comparison",),
    "decoding.windows": ("Sampling",),
    "encoders": ("ENCODERS", "Encoder"),
    "errors": ("DoesNotApply", "EvalsError"),
    "folds": ("FOLDS", "Fold"),
    "generators": ("GENERATORS", "Generation", "Generator"),
    "generators.callables": ("Refused",),
    "metrics": ("METRICS", "About", "SetMetric", "SetValue", "Skip", "Value", "VideoMetric"),
    "metrics.frechet": ("frechet_distance", "frechet_distance_from_moments"),
    "metrics.kernel": ("kernel_distance", "kernel_equality", "matched_kernel_distances", "mmd2"),
    "metrics.moments": ("Moments",),
    "metrics.neighbours": ("copies", "neighbours"),
    "metrics.unbiased": ("frechet_extrapolated", "frechet_unbiased"),
    "prompts": ("load_prompts",),
    "records": ("Prompt", "PromptSet", "Request", "Sample", "Score", "Settings", "Spec", "View"),
    "report": ("write_report",),
    "run": ("Plan", "Resources", "compare_runs", "generate_run", "score_run"),
    "rundir": ("RunDir",),
    "score": ("prepare",),
    "video": ("Chunk",),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}
_RENAMED = {"load_prompts": "load", "write_report": "write"}

__all__ = [
    "ENCODERS",
    "FOLDS",
    "GENERATORS",
    "METRICS",
    "About",
    "Chunk",
    "Comparison",
    "DoesNotApply",
    "Encoder",
    "EvalsError",
    "Fold",
    "Generation",
    "Generator",
    "Moments",
    "Plan",
    "Prompt",
    "PromptSet",
    "Refused",
    "Request",
    "Resources",
    "RunDir",
    "Sample",
    "Sampling",
    "Score",
    "SetMetric",
    "SetValue",
    "Settings",
    "Skip",
    "Spec",
    "Value",
    "VideoMetric",
    "View",
    "compare_runs",
    "copies",
    "frechet_distance",
    "frechet_distance_from_moments",
    "frechet_extrapolated",
    "frechet_unbiased",
    "generate_run",
    "kernel_distance",
    "kernel_equality",
    "load_prompts",
    "matched_kernel_distances",
    "mmd2",
    "neighbours",
    "prepare",
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
