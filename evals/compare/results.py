"""What a comparison finds, as typed records. `comparison.json` is their dump; tables, Markdown and page read
it.

The schema is documented in docs/comparison-json.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from evals.errors import Reason
from evals.records import MetricInfo, Record
from evals.runs.provenance import Provenance

if TYPE_CHECKING:
    from evals.compare.run_scores import RunScores

SCHEMA = 1
Verdict = Literal["better", "worse", "differs", "no difference shown", "inconclusive", "not comparable"]


class Caution(StrEnum):
    """What a reader must know before believing a number."""

    RUNS_DIFFER = "runs_differ"
    MISSING_VIDEOS = "missing_videos"
    MISSING_SCORES = "missing_scores"
    SKIPPED_VIDEOS = "skipped_videos"
    OUT_OF_DOMAIN = "out_of_domain"
    ENLARGED = "enlarged"
    FEW_PROMPTS = "few_prompts"
    OTHER_WORDS = "other_words"
    REFERENCE_IS_RUN = "reference_is_run"
    NOT_MEASURED = "not_measured"
    SMALL_SETS = "small_sets"
    SHARED_VIDEOS = "shared_videos"
    MISSING_FEATURES = "missing_features"
    SAMPLE_SIZE_BIAS = "sample_size_bias"


class ComparisonWarning(Record):
    """A caution with its sentence; `metric` and `run` where it is about one of them."""

    code: Caution
    message: str
    run: str | None = None
    metric: str | None = None


class RunSummary(Record):
    """A run as it went into the comparison."""

    run: str
    generator: str
    normalization: str
    samples_planned: int
    samples_ok: int
    generated: Provenance | None = None
    scored: Provenance | None = None

    @classmethod
    def of(cls, run: RunScores) -> RunSummary:
        return cls(
            run=run.label, generator=run.generator, normalization=run.normalization,
            samples_planned=len(run.samples), samples_ok=run.counted("ok"),
            generated=run.generated, scored=run.scored,
        )  # fmt: skip


class Mean(Record):
    """A metric's mean over the prompts of a category, with its 95 % interval where one is valid."""

    run: str
    metric: str
    category: str
    mean: float | None
    ci_low: float | None
    ci_high: float | None
    n_ok: int
    n_failed: int
    n_skipped: int
    n_refused: int
    n_missing: int
    n_prompts: int | None


class Pair(Record):
    """A metric's paired difference a − b, tested. `verdict` is that of a against b; `reason` and `message`
    say why there is none; `detectable` is the smallest difference that this design finds in four of five
    cases."""

    metric: str
    a: str
    b: str
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    verdict: Verdict = "inconclusive"
    n_pairs: int = 0
    n_prompts: int = 0
    coverage: float | None = None
    detectable: float | None = None
    smallest_p_holm: float | None = None
    reason: Reason | None = None
    message: str = ""


class Distribution(Record):
    """A distribution metric of a run against a reference. `key` names the exact sets and metric; without a
    value, `reason` and `message` say why."""

    metric: str
    run: str
    reference: str
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int = 0
    n_reference: int = 0
    protocol: str = ""
    key: str = ""
    reason: Reason | None = None
    message: str = ""


class Problem(Record):
    """A sample or score that is not ok; `metric` is empty for a sample."""

    run: str
    prompt_id: str
    seed: int
    metric: str
    status: Literal["skipped", "refused", "failed", "missing"]
    reason: Reason
    message: str


class ScoreNote(Record):
    """A remark on a score that is ok."""

    run: str
    prompt_id: str
    seed: int
    metric: str
    note: str


@dataclass(frozen=True)
class Comparison:
    """What `compare` found. `scores` is one row per sample and video metric; `sources` are the runs compared,
    in the order of `runs`. Neither is part of `comparison.json`."""

    normalization: str
    runs: tuple[RunSummary, ...]
    metrics: dict[str, MetricInfo]
    means: tuple[Mean, ...]
    pairs: tuple[Pair, ...]
    distributions: tuple[Distribution, ...]
    warnings: tuple[ComparisonWarning, ...]
    problems: tuple[Problem, ...]
    notes: tuple[ScoreNote, ...]
    scores: pd.DataFrame
    sources: tuple[RunScores, ...] = field(default=(), repr=False)

    @property
    def labels(self) -> list[str]:
        return [run.run for run in self.runs]

    def of_kind(self, kind: Literal["video", "distribution"]) -> list[MetricInfo]:
        """The metrics of one kind, in order."""
        return [info for info in self.metrics.values() if info.kind == kind]

    def to_json(self) -> dict[str, Any]:
        """The contents of `comparison.json`."""
        return {
            "schema": SCHEMA,
            "normalization": self.normalization,
            "runs": _dump(self.runs),
            "metrics": {name: info.model_dump(mode="json") for name, info in self.metrics.items()},
            "means": _dump(self.means),
            "pairs": _dump(self.pairs),
            "distributions": _dump(self.distributions),
            "warnings": _dump(self.warnings),
            "problems": _dump(self.problems),
            "notes": _dump(self.notes),
        }

    def frame(self, name: Literal["means", "pairs", "distributions", "problems", "notes"]) -> pd.DataFrame:
        """One list of records as a DataFrame, a column per field."""
        kinds: dict[str, tuple[type[Record], Sequence[Record]]] = {
            "means": (Mean, self.means),
            "pairs": (Pair, self.pairs),
            "distributions": (Distribution, self.distributions),
            "problems": (Problem, self.problems),
            "notes": (ScoreNote, self.notes),
        }
        kind, records = kinds[name]
        return pd.DataFrame(_dump(records), columns=list(kind.model_fields))


_FOLDERS = re.compile(r"(?<![\w./:~-])~?/(?:[^\s/:;,'\"()<>|]+/)+(?=[^\s/:;,'\"()<>|])")


def without_folders(text: str) -> str:
    """A sentence without the folders of this machine: of every absolute path its last part is left."""
    for folder in (Path.cwd, Path.home):
        with suppress(OSError, RuntimeError):
            text = text.replace(f"{folder()}/", "")
    return _FOLDERS.sub("", text)


def _dump(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [record.model_dump(mode="json") for record in records]
