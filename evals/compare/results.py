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
from evals.records import Aspect, Calibration, MetricInfo, Record
from evals.runs.provenance import Provenance

if TYPE_CHECKING:
    from evals.compare.run_scores import RunScores

SCHEMA = 2
Verdict = Literal[
    "better", "worse", "trade-off", "equivalent", "identical", "inconclusive", "not scored", "not comparable"
]
"""Of a against b on a primary metric. `trade-off`: the gain came with a loss of motion or sharpness, which by
itself gives it. `identical`: every pair of scores is equal. `equivalent`: within the margin."""
Overall = Literal["better", "worse", "mixed", "ahead", "behind", "equivalent", "no difference shown"]
"""Of a against b over all aspects. `better`: wins an aspect and is clearly worse in none; `ahead`: wins an
aspect and loses none, but a loss elsewhere is not ruled out; `mixed`: wins some and loses some; `equivalent`:
every aspect is within the margin."""

Outcome = Literal["wins", "loses", "equal", "open"]
"""Of a in an aspect. `equal`: the gain is within the margin, whether or not it is certain."""


class Caution(StrEnum):
    """What a reader must know before believing a number."""

    RUNS_DIFFER = "runs_differ"
    BITRATES_DIFFER = "bitrates_differ"
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
    UNFINISHED_SHARDS = "unfinished_shards"
    SAMPLE_SIZE_BIAS = "sample_size_bias"


class ComparisonWarning(Record):
    """A caution with its sentence; `metric` and `run` where it is about one of them."""

    code: Caution
    message: str
    run: str | None = None
    metric: str | None = None


class RunSummary(Record):
    """A run as it went into the comparison. `on_front`: no other run is better and costs no more money and
    time; None where that is not known."""

    run: str
    generator: str
    normalization: str
    samples_planned: int
    samples_ok: int
    seconds_per_video: float | None = None
    cost_per_video: float | None = None
    on_front: bool | None = None
    generated: Provenance | None = None
    scored: Provenance | None = None

    @classmethod
    def of(cls, run: RunScores) -> RunSummary:
        return cls(
            run=run.label, generator=run.generator, normalization=run.normalization,
            samples_planned=len(run.samples), samples_ok=run.counted("ok"),
            seconds_per_video=run.mean_of("wall_seconds"), cost_per_video=run.mean_of("cost"),
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
    """A metric's paired difference a − b, tested. A distribution metric's is the difference of the distances
    to the reference.

    `verdict` is that of a against b; a diagnostic metric has none. `reason` and `message` say what a verdict
    does not. `ci_low` and `ci_high` bound the 95 % interval of this metric alone, `joint_low` and
    `joint_high` the one at `joint_level`, at which Holm's procedure decided within the `family`: it excludes
    0 exactly where `p_holm` is at most 0.05. `relative` is the difference over b's mean. `margin` bounds what
    counts as equivalent, and `within_margin` says that the difference lies within it. `detectable` is the
    smallest difference that this design finds four times in five, `more_prompts` how many more prompts would
    find one as large as the margin."""

    metric: str
    a: str
    b: str
    difference: float | None = None
    relative: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    joint_low: float | None = None
    joint_high: float | None = None
    joint_level: float | None = None
    p_holm: float | None = None
    smallest_p_holm: float | None = None
    family: int = 0
    verdict: Verdict | None = None
    margin: float | None = None
    within_margin: bool = False
    n_pairs: int = 0
    n_prompts: int = 0
    coverage: float | None = None
    lost_a: int = 0
    lost_b: int = 0
    detectable: float | None = None
    more_prompts: int | None = None
    reason: Reason | None = None
    message: str = ""


class AspectResult(Record):
    """An aspect of a pair of runs: the mean over prompts of `gain`, the signed differences of its primary
    metrics in units of their spread between prompts. `win_rate` is the share of prompts on which a is ahead.
    Consistency counts only the prompts on which both move, and no gain counts that blur gives to the
    blurrier."""

    aspect: Aspect
    metrics: tuple[str, ...]
    gain: float | None
    ci_low: float | None
    ci_high: float | None
    p_holm: float | None
    outcome: Outcome
    win_rate: float | None
    n_prompts: int


class CategoryGain(Record):
    """An aspect's gain over the prompts of one category, with its own 95 % interval. It describes;
    verdicts are of all prompts."""

    category: str
    aspect: Aspect
    gain: float
    ci_low: float | None
    ci_high: float | None
    n_prompts: int


class Standing(Record):
    """a against b over all aspects. The weighted gain is there only where weights were given, `categories`
    only where there are several."""

    a: str
    b: str
    overall: Overall
    aspects: tuple[AspectResult, ...]
    categories: tuple[CategoryGain, ...] = ()
    weighted: float | None = None
    weighted_low: float | None = None
    weighted_high: float | None = None

    def those(self, outcome: Outcome) -> list[Aspect]:
        """The aspects with an outcome."""
        return [one.aspect for one in self.aspects if one.outcome == outcome]


class Distribution(Record):
    """A distribution metric of a run against a reference. `p_equal` is that of "run and reference are alike",
    by permutation, Holm over the runs. `key` names the exact sets and metric; without a value, `reason` and
    `message` say why."""

    metric: str
    run: str
    reference: str
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_equal: float | None = None
    n: int = 0
    n_reference: int = 0
    protocol: str = ""
    key: str = ""
    reason: Reason | None = None
    message: str = ""


class Control(Record):
    """Whether a metric ranks a control, which is worse by construction, below the clips it was made of:
    `right`, `wrong`, or `open` where no difference is shown."""

    control: str
    metric: str
    outcome: Literal["right", "wrong", "open"]
    n_prompts: int


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


class PartMean(Record):
    """The mean over prompts of a metric's sub-score, with its 95 % interval where one is valid; `n_prompts`
    have it."""

    run: str
    metric: str
    part: str
    mean: float
    ci_low: float | None = None
    ci_high: float | None = None
    n_prompts: int


class JudgeUse(Record):
    """A judge whose answers a run's metrics rest on, with what it answered to the controls. `reason` and
    `message` say why numbers of these metrics have no verdicts; both are empty where they have."""

    run: str
    judge: str
    metrics: tuple[str, ...]
    calibration: Calibration | None = None
    reason: Reason | None = None
    message: str = ""


@dataclass(frozen=True)
class Comparison:
    """What `compare` found. `left_out` are metrics that suit none of the videos. `scores` is one row per
    sample and video metric; `sources` are the runs compared, in the order of `runs`. Neither is part of
    `comparison.json`."""

    normalization: str
    runs: tuple[RunSummary, ...]
    metrics: dict[str, MetricInfo]
    means: tuple[Mean, ...]
    pairs: tuple[Pair, ...]
    standings: tuple[Standing, ...]
    distributions: tuple[Distribution, ...]
    warnings: tuple[ComparisonWarning, ...]
    problems: tuple[Problem, ...]
    notes: tuple[ScoreNote, ...]
    scores: pd.DataFrame
    controls: tuple[Control, ...] = ()
    parts: tuple[PartMean, ...] = ()
    judges: tuple[JudgeUse, ...] = ()
    left_out: tuple[str, ...] = ()
    baseline: str | None = None
    family: Literal["pair", "report"] = "pair"
    sources: tuple[RunScores, ...] = field(default=(), repr=False)

    @property
    def labels(self) -> list[str]:
        return [run.run for run in self.runs]

    def of_kind(self, kind: Literal["video", "distribution", "sample"]) -> list[MetricInfo]:
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
            "controls": _dump(self.controls),
            "parts": _dump(self.parts),
            "judges": _dump(self.judges),
            "left_out": list(self.left_out),
            "baseline": self.baseline,
            "family": self.family,
            "pairs": _dump(self.pairs),
            "standings": _dump(self.standings),
            "distributions": _dump(self.distributions),
            "warnings": _dump(self.warnings),
            "problems": _dump(self.problems),
            "notes": _dump(self.notes),
        }

    def frame(
        self,
        name: Literal[
            "means", "pairs", "standings", "categories", "distributions", "parts", "problems", "notes"
        ],
    ) -> pd.DataFrame:
        """One list of records as a DataFrame, a column per field; of standings, a row per aspect, of
        categories, one per pair of runs, aspect and category."""
        if name == "standings":
            return self._standings()
        if name == "categories":
            sides = [(one.a, one.b, gain) for one in self.standings for gain in one.categories]
            rows = [{"a": a, "b": b, **gain.model_dump(mode="json")} for a, b, gain in sides]
            return pd.DataFrame(rows, columns=["a", "b", *CategoryGain.model_fields])
        kinds: dict[str, tuple[type[Record], Sequence[Record]]] = {
            "means": (Mean, self.means),
            "pairs": (Pair, self.pairs),
            "distributions": (Distribution, self.distributions),
            "parts": (PartMean, self.parts),
            "problems": (Problem, self.problems),
            "notes": (ScoreNote, self.notes),
        }
        kind, records = kinds[name]
        return pd.DataFrame(_dump(records), columns=list(kind.model_fields))

    def _standings(self) -> pd.DataFrame:
        rows = [
            {"a": one.a, "b": one.b, "overall": one.overall, **aspect.model_dump(mode="json")}
            for one in self.standings
            for aspect in one.aspects
        ]
        columns = ["a", "b", "overall", *AspectResult.model_fields]
        table = pd.DataFrame(rows, columns=columns)
        return table.assign(metrics=table["metrics"].map(", ".join))


_FOLDERS = re.compile(r"(?<![\w./:~-])~?/(?:[^\s/:;,'\"()<>|]+/)+(?=[^\s/:;,'\"()<>|])")


def without_folders(text: str) -> str:
    """A sentence without the folders of this machine: of every absolute path its last part is left."""
    for folder in (Path.cwd, Path.home):
        with suppress(OSError, RuntimeError):
            text = text.replace(f"{folder()}/", "")
    return _FOLDERS.sub("", text)


def _dump(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [record.model_dump(mode="json") for record in records]
