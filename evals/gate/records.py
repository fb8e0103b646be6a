"""What a gate knows and what it finds, as typed records. A baseline file and `--json` are their dumps.

The schemas are documented in docs/gate.md."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from evals.errors import Reason
from evals.records import Aspect, MetricInfo, Prompt, Record, Settings, Spec
from evals.runs.provenance import Provenance

SCHEMA = 1
Verdict = Literal["pass", "regression", "inconclusive", "not comparable"]
EXIT_CODES: dict[Verdict, int] = {"pass": 0, "regression": 1, "inconclusive": 3, "not comparable": 3}
Outcome = Literal[
    "identical", "no worse", "better", "worse within the margin", "worse", "inconclusive", "not scored",
    "not comparable",
]  # fmt: skip
"""Of a metric. All but the last four pass."""
PASSING: tuple[Outcome, ...] = ("identical", "no worse", "better", "worse within the margin")
Platform = dict[str, str]
"""What must be equal for the same prompt and seed to give the same video: `gpu`, `torch`, `dtype` …"""


class Rate(Record):
    """`count` of `n` prompts, with the exact 95 % interval (Clopper & Pearson 1934)."""

    count: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.count / self.n if self.n else 0.0


class Bistability(Record):
    """Whether values of repeats form two clusters: Sarle's coefficient is above 5/9, and Hartigan's dip is
    above the `limit` at which one mode is rejected at 5 %. `low` and `high` are the clusters' means."""

    coefficient: float
    dip: float
    limit: float
    bistable: bool
    low: float | None = None
    high: float | None = None


class Detection(Record):
    """How a metric finds one kind of known-bad video: the share of prompts `missed` at its threshold."""

    kind: str
    separated: bool
    missed: Rate
    mildest: float | None


class Separation(Record):
    """A fidelity metric on two measured populations: repeats of one model, and known-bad videos.

    Where it is `usable`, a clip that is worse than `threshold` has drifted. `false_alarms` are prompts whose
    repeats are beyond it, `expected` the share of all others that a further repeat would put there;
    `worst_repeat` is the worst of them. `by_length` holds, for the first so many frames, whether the same
    kinds are still told apart."""

    metric: str
    info: MetricInfo
    usable: bool
    threshold: float | None
    worst_repeat: float
    median_repeat: float
    false_alarms: Rate
    expected: float = 0.0
    kinds: tuple[Detection, ...]
    bistability: Bistability
    by_length: dict[int, bool] = {}
    message: str = ""


class Repeats(Record):
    """How far repeats differ: differences (rows, metrics) of a repeat minus the run it was compared with, a
    row per prompt and repeat, with None where there is none. `seeds` were averaged in each."""

    metrics: tuple[str, ...]
    differences: tuple[tuple[float | None, ...], ...]
    seeds: int


class Calibration(Record):
    """What was measured on one platform from repeats of an unchanged model and known-bad videos."""

    platform: Platform
    runs: tuple[str, ...]
    made: str
    identical: bool
    separations: tuple[Separation, ...]
    repeats: Repeats

    @property
    def usable(self) -> list[Separation]:
        """The metrics that tell repeats from bad videos."""
        return [one for one in self.separations if one.usable]


class BaselineSample(Record):
    """A sample of the baseline's run."""

    prompt_id: str
    seed: int
    status: str
    reason: Reason | None = None
    message: str = ""
    sha256: str | None = None
    seconds: float | None = None
    cost: float | None = None


class Absent(Record):
    """Why a sample has no score on a metric."""

    status: str
    reason: Reason | None = None
    message: str = ""


class VectorSet(Record):
    """Feature vectors (n, d) for a distribution metric, float32 in base64, each with its prompt and video."""

    data: str
    dimensions: int
    prompts: tuple[str, ...]
    hashes: tuple[str, ...]
    outside: int = 0
    videos: int = 0


class Shift(Record):
    """A change that was accepted on purpose: the differences new minus old that it brought, by metric."""

    when: str
    because: str
    run: str
    differences: dict[str, float] = {}


class Baseline(Record):
    """A run as a gate keeps it: scores per prompt and seed, margins frozen as numbers, how far repeats
    differ, and on which platform it was made. The `primary` metrics decide. `scores` has a value per sample,
    None where there is none; `absent` says why, by the sample's place. `clips` is a folder beside the
    file."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    name: str
    made: str
    run: str
    run_id: str = ""
    generator: Spec
    settings: Settings = Settings()
    normalization: str
    platform: Platform
    generated: Provenance | None = None
    scored: Provenance | None = None
    prompts: tuple[Prompt, ...]
    samples: tuple[BaselineSample, ...]
    metrics: dict[str, MetricInfo]
    scores: dict[str, tuple[float | None, ...]]
    absent: dict[str, dict[int, Absent]] = {}
    primary: tuple[str, ...]
    margins: dict[str, float]
    tier: str = ""
    vectors: dict[str, VectorSet] = {}
    clips: str | None = None
    calibrations: tuple[Calibration, ...] = ()
    shifts: tuple[Shift, ...] = ()

    model_config = {**Record.model_config, "populate_by_name": True}

    def calibration(self, platform: Platform, under_test: tuple[str, ...] = ()) -> Calibration | None:
        """The calibration of a platform, whatever is under test."""
        for one in self.calibrations:
            if not differing(one.platform, platform, under_test):
                return one
        return None


def differing(a: Platform, b: Platform, under_test: tuple[str, ...] = ()) -> dict[str, tuple[str, str]]:
    """What two platforms have not in common, but for what is under test."""
    keys = [key for key in {**a, **b} if key not in under_test]
    return {key: (a.get(key, "–"), b.get(key, "–")) for key in keys if a.get(key) != b.get(key)}


class QualityRow(Record):
    """A primary metric of the candidate against the baseline. `difference` is candidate − baseline;
    `bound` its one-sided bound on the worse side, at the level of the test; `p_worse` is corrected over all
    rows (Holm)."""

    metric: str
    aspect: Aspect
    outcome: Outcome
    baseline: float | None = None
    candidate: float | None = None
    difference: float | None = None
    bound: float | None = None
    margin: float | None = None
    p_no_worse: float | None = None
    p_worse: float | None = None
    n_prompts: int = 0
    coverage: float | None = None
    more_prompts: int | None = None
    reason: Reason | None = None
    message: str = ""


class Tail(Record):
    """Rare catastrophes: prompts that drop further than repeats ever did. `p` is that of so many among the
    candidate's prompts if the candidate were one more repeat; None where it could not be tested."""

    count: int = 0
    n_prompts: int = 0
    n_repeats: int = 0
    p: float | None = None
    outcome: Literal["none", "few", "many", "not tested"] = "not tested"
    prompts: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    message: str = ""

    @property
    def is_rare(self) -> bool:
        """Whether it is single prompts that broke, and not most of them."""
        return 2 * self.count <= self.n_prompts


class FidelityRow(Record):
    """A fidelity metric of the candidate's videos beside the baseline's. `beyond` prompts have a clip that
    is worse than `threshold`; up to `allowed` are explained by repeats."""

    metric: str
    outcome: Literal["same", "drifted", "inconclusive", "shown only"]
    median: float | None = None
    worst: float | None = None
    threshold: float | None = None
    beyond: int = 0
    allowed: int = 0
    n_prompts: int = 0
    identical: int = 0
    n_pairs: int = 0
    message: str = ""


class Case(Record):
    """One sample that a reader should look at, with what is worst about it. `frame` is the worst one,
    `drifts_from` the first beyond the threshold."""

    prompt_id: str
    seed: int
    text: str
    metric: str
    baseline: float | None = None
    candidate: float | None = None
    frame: int | None = None
    drifts_from: int | None = None
    message: str = ""


class GateResult(Record):
    """What `gate check` found. `required` are the parts that decide; `blocked` says why a part can't."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    verdict: Verdict
    baseline: str
    candidate: str
    made: str
    required: tuple[Literal["quality", "fidelity"], ...]
    quality: Verdict | None = None
    fidelity: Verdict | None = None
    level: float
    rows: tuple[QualityRow, ...] = ()
    diagnostics: tuple[QualityRow, ...] = ()
    tail: Tail = Tail()
    pairs: tuple[FidelityRow, ...] = ()
    platform: dict[str, tuple[str, str]] = {}
    blocked: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    cases: tuple[Case, ...] = ()
    shifts: tuple[Shift, ...] = ()
    samples: int = 0
    samples_ok: int = 0

    model_config = {**Record.model_config, "populate_by_name": True}

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """Every field, whether or not it has its default."""
        return {**self.model_dump(mode="json", by_alias=True), "exit_code": self.exit_code}
