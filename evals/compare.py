"""Several runs to pandas frames and verdicts.

Means are over prompts (seeds of a prompt averaged first). Differences are paired by (prompt, seed) and
tested by sign flips; p-values of the whole comparison are corrected together (Holm). A sample that
failed, was refused or is missing counts: it lowers the coverage, and below `MIN_COVERAGE` there is no
verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evals import metrics as families
from evals import statistics
from evals.errors import MetricError, UsageError
from evals.extract import feature_key
from evals.features import FeatureStore
from evals.metrics import SetMetric
from evals.records import MetricInfo, Prompt, Sample, Score, View, digest
from evals.rundir import RunDir, SampleId

MIN_COVERAGE = 0.8
ALPHA = 0.05

SCORES = ["run", "generator", "prompt_id", "category", "seed", "metric", "status", "value"]
SUMMARY = [
    "generator", "metric", "category", "mean", "ci_low", "ci_high", "n_ok", "n_failed", "n_skipped",
    "n_refused", "n_missing", "n_prompts",
]  # fmt: skip
PAIRS = [
    "metric", "a", "b", "difference", "ci_low", "ci_high", "p", "p_holm", "verdict", "n_pairs",
    "n_prompts", "coverage", "detectable", "smallest_p_holm", "reason",
]  # fmt: skip
SETS = [
    "metric", "generator", "reference", "value", "ci_low", "ci_high", "n", "n_reference", "protocol",
]  # fmt: skip


@dataclass
class LoadedRun:
    """A run as a comparison sees it. `label` is unique among the runs compared."""

    label: str
    run: RunDir
    view: str
    samples: dict[SampleId, Sample]
    scores: dict[SampleId, dict[str, Score]]
    metrics: dict[str, MetricInfo]
    prompts: dict[str, Prompt] = field(default_factory=dict)

    def status(self, at: SampleId, metric: str) -> tuple[str, float | None]:
        """`ok`, `skipped`, `failed`, `refused` or `missing`, and the value where there is one."""
        sample = self.samples.get(at)
        if sample is None:
            return "missing", None
        if sample.outcome == "refused":
            return "refused", None
        if sample.outcome != "ok":
            return "failed", None
        score = self.scores.get(at, {}).get(metric)
        return ("missing", None) if score is None else (score.status, score.value)


@dataclass
class Comparison:
    """What `compare` found; the frames' columns are those of the files it is written to."""

    view: str
    runs: list[LoadedRun]
    metrics: dict[str, MetricInfo]
    scores: pd.DataFrame
    summary: pd.DataFrame
    pairs: pd.DataFrame
    sets: pd.DataFrame
    warnings: list[str]
    problems: pd.DataFrame


def load(paths: Sequence[Path], view: View | None = None) -> list[LoadedRun]:
    """Read runs under one view: the given one, else `native`, else the only one they share.

    Runs that share no view are read each under its own, and nothing of them is comparable.
    """
    runs = [RunDir(path) for path in paths]
    labels = _labels(runs)
    shared = set.intersection(*(set(r.info.metrics) for r in runs)) if runs else set()
    if view is not None:
        for run in runs:
            if str(view) not in run.info.metrics:
                had = ", ".join(run.info.metrics) or "none"
                raise UsageError(
                    f"{run.path}: has no scores under {view} (it has: {had}); make them with"
                    f" `t2v-evals score {run.path} --normalize {view}`"
                )
        chosen = dict.fromkeys(range(len(runs)), str(view))
    elif "native" in shared or len(shared) == 1:
        chosen = dict.fromkeys(range(len(runs)), "native" if "native" in shared else shared.pop())
    elif len(shared) > 1:
        raise UsageError(
            f"the runs share several views; choose one: --normalize {' | '.join(sorted(shared))}"
        )
    else:
        chosen = {i: next(iter(r.info.metrics), "native") for i, r in enumerate(runs)}
    loaded = []
    for i, run in enumerate(runs):
        samples = run.samples()
        loaded.append(
            LoadedRun(
                label=labels[i],
                run=run,
                view=chosen[i],
                samples=samples,
                scores=run.scores(chosen[i], samples),
                metrics=dict(run.info.metrics.get(chosen[i], {})),
                prompts={p.id: p for p in run.info.prompts},
            )
        )
    return loaded


def _labels(runs: Sequence[RunDir]) -> list[str]:
    seen: dict[Path, str] = {}
    for run in runs:
        if run.path.resolve() in seen:
            raise UsageError(f"{run.path}: is given twice")
        seen[run.path.resolve()] = run.info.name
    names = [r.info.name for r in runs]
    return [
        n if names.count(n) == 1 else f"{r.path.parent.name}/{n}" for n, r in zip(names, runs, strict=True)
    ]


def compare(runs: Sequence[LoadedRun], reference: LoadedRun | None = None) -> Comparison:
    """Summary, paired differences with verdicts, and distances to a reference."""
    infos: dict[str, MetricInfo] = {}
    for run in runs:
        for name, info in run.metrics.items():
            infos.setdefault(name, info)
    video = [n for n, i in infos.items() if i.kind == "video"]
    warnings = list(_warnings(runs))
    sets = _sets(runs, reference, [n for n, i in infos.items() if i.kind == "set"], warnings)
    return Comparison(
        view=", ".join(sorted({r.view for r in runs})),
        runs=list(runs),
        metrics=infos,
        scores=_scores(runs, video),
        summary=_summary(runs, video, infos, sets),
        pairs=_pairs(runs, video, warnings),
        sets=sets,
        warnings=warnings,
        problems=_problems(runs),
    )


def _scores(runs: Sequence[LoadedRun], video: Sequence[str]) -> pd.DataFrame:
    rows = []
    for run in runs:
        for at in run.run.info.sample_ids():
            category = run.prompts[at[0]].category
            for name in video:
                if name in run.metrics:
                    status, value = run.status(at, name)
                    rows.append((run.label, run.run.info.label, at[0], category, at[1], name, status, value))
    return pd.DataFrame(rows, columns=SCORES)


def _problems(runs: Sequence[LoadedRun]) -> pd.DataFrame:
    """Every sample and score that is not ok, with its reason."""
    rows = []
    for run in runs:
        for at in run.run.info.sample_ids():
            sample = run.samples.get(at)
            if sample is None:
                rows.append((run.label, *at, "", "missing", "was never generated"))
                continue
            if sample.outcome != "ok":
                rows.append((run.label, *at, "", sample.outcome, sample.reason))
            for name, score in run.scores.get(at, {}).items():
                if score.status != "ok":
                    rows.append((run.label, *at, name, score.status, score.reason))
                rows += [(run.label, *at, name, "note", note) for note in score.notes]
    return pd.DataFrame(rows, columns=["run", "prompt_id", "seed", "metric", "status", "reason"])


def _by_prompt(values: Mapping[SampleId, float]) -> NDArray[np.float64]:
    """One mean per prompt, in a fixed order."""
    grouped: dict[str, list[float]] = {}
    for (prompt_id, _), value in sorted(values.items()):
        grouped.setdefault(prompt_id, []).append(value)
    return np.array([float(np.mean(v)) for v in grouped.values()], np.float64)


def _seed(*parts: str) -> int:
    return int(digest(list(parts))[:12], 16)


def _summary(
    runs: Sequence[LoadedRun],
    video: Sequence[str],
    infos: Mapping[str, MetricInfo],
    sets: pd.DataFrame,
) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for run in runs:
        everything = run.run.info.sample_ids()
        categories = sorted({run.prompts[p].category for p, _ in everything})
        for name in [n for n in video if n in run.metrics]:
            for category in ["all", *categories]:
                ids = [at for at in everything if category in ("all", run.prompts[at[0]].category)]
                found = {at: run.status(at, name) for at in ids}
                values = {at: float(v) for at, (s, v) in found.items() if s == "ok" and v is not None}
                counts = [sum(s == k for s, _ in found.values()) for k in COUNTED]
                if values:
                    by_prompt = _by_prompt(values)
                    seed = _seed(run.label, name, category)
                    e = statistics.mean_interval(by_prompt, seed, len(values), infos[name].binary)
                    shown: tuple[Any, ...] = (e.mean, *_within(e, infos[name]))
                    prompts = e.n
                else:
                    shown, prompts = (None, None, None), 0
                rows.append((run.label, name, category, *shown, *counts, prompts))
    for s in sets.to_dict("records"):
        shown = (s["value"], s["ci_low"], s["ci_high"])
        rows.append((s["generator"], s["metric"], "all", *shown, s["n"], 0, 0, 0, 0, None))
    return pd.DataFrame(rows, columns=SUMMARY)


def _within(e: statistics.Estimate, info: MetricInfo) -> tuple[float | None, float | None]:
    """An interval cut at the ends of the metric's range, which a skewed share can run past."""
    low = e.low if e.low is None or info.low is None else max(e.low, info.low)
    high = e.high if e.high is None or info.high is None else min(e.high, info.high)
    return low, high


COUNTED = ("ok", "failed", "skipped", "refused", "missing")


@dataclass
class _Pair:
    metric: str
    a: LoadedRun
    b: LoadedRun
    reason: str = ""
    verdict: str = ""
    pairs: int = 0
    prompts: int = 0
    coverage: float | None = None
    estimate: statistics.Estimate | None = None
    test: statistics.SignFlip | None = None
    detectable: float | None = None
    p_holm: float | None = None
    smallest: float | None = None

    def row(self) -> tuple[Any, ...]:
        e, t = self.estimate, self.test
        return (
            self.metric, self.a.label, self.b.label, e and e.mean, e and e.low, e and e.high, t and t.p,
            self.p_holm, self.verdict, self.pairs, self.prompts, self.coverage, self.detectable,
            self.smallest, self.reason,
        )  # fmt: skip


def _pairs(runs: Sequence[LoadedRun], video: Sequence[str], warnings: list[str]) -> pd.DataFrame:
    other_words = _other_words(runs)
    found = []
    candidates = [
        (name, a, b)
        for name in video
        for a, b in combinations(runs, 2)
        if name in a.metrics or name in b.metrics
    ]
    for name, a, b in candidates:
        found.append(_measure(name, a, b, other_words, flips=max(19_999, 100 * len(candidates))))
    tested = [p for p in found if p.test is not None]
    adjusted = statistics.holm([p.test.p for p in tested if p.test])
    for pair, p_holm in zip(tested, adjusted, strict=True):
        assert pair.test is not None
        pair.p_holm = p_holm
        pair.smallest = min(1.0, len(tested) * pair.test.smallest)
    for pair in found:
        _decide(pair)
    if other_words:
        listed = ", ".join(sorted(other_words)[:5])
        warnings.append(f"prompts with other words in some runs are left out of the pairs: {listed}")
    return pd.DataFrame([p.row() for p in found], columns=PAIRS)


def _measure(name: str, a: LoadedRun, b: LoadedRun, leave_out: set[str], flips: int) -> _Pair:
    pair = _Pair(name, a, b)
    for run in (a, b):
        if name not in run.metrics:
            pair.reason, pair.verdict = f"{run.label} was not scored with it", "not comparable"
            return pair
    if a.metrics[name].digest != b.metrics[name].digest:
        pair.reason, pair.verdict = _difference(a.metrics[name], b.metrics[name]), "not comparable"
        return pair
    planned = set(a.run.info.sample_ids()) | set(b.run.info.sample_ids())
    planned = {at for at in planned if at[0] not in leave_out}
    status = {at: (a.status(at, name), b.status(at, name)) for at in planned}
    applies = {at: s for at, s in status.items() if "skipped" not in (s[0][0], s[1][0])}
    both = {at: s[0][1] - s[1][1] for at, s in applies.items() if s[0][1] is not None and s[1][1] is not None}
    pair.pairs = len(both)
    pair.coverage = len(both) / len(applies) if applies else None
    if not both:
        pair.reason = "no prompt and seed has a score on both sides"
        return pair
    differences = _by_prompt(both)
    seed = _seed(name, a.label, b.label)
    pair.prompts = differences.size
    pair.estimate = statistics.difference_interval(differences, seed, a.metrics[name].binary)
    pair.test = statistics.sign_flip(differences, seed, flips)
    pair.detectable = statistics.detectable(differences)
    return pair


def _decide(pair: _Pair) -> None:
    """`better`, `worse`, `differs` (no direction), `no difference shown`, `cannot decide`: of a against b."""
    if pair.verdict:
        return
    if pair.test is None or pair.estimate is None or pair.p_holm is None or pair.smallest is None:
        pair.verdict = "cannot decide"
    elif pair.coverage is not None and pair.coverage < MIN_COVERAGE:
        pair.verdict = "cannot decide"
        pair.reason = f"only {pair.coverage:.0%} of the samples have a score on both sides"
    elif pair.smallest > ALPHA:
        pair.verdict = "cannot decide"
        pair.reason = f"too few prompts: the adjusted p cannot go below {pair.smallest:.2g}"
    elif pair.p_holm >= ALPHA:
        pair.verdict = "no difference shown"
    else:
        direction = pair.a.metrics[pair.metric].direction
        if direction == "none":
            pair.verdict = "differs"
        else:
            pair.verdict = "better" if (pair.estimate.mean > 0) == (direction == "higher") else "worse"


def _difference(a: MetricInfo, b: MetricInfo) -> str:
    """In words, why two runs' numbers of one metric don't compare."""
    if a.view != b.view:
        return f"scored under other normalisations: {a.view} and {b.view}"
    if a.spec != b.spec:
        return f"other versions of the metric: {a.spec.version} and {b.spec.version}"
    for need, spec in a.extractors.items():
        other = b.extractors.get(need)
        if other is not None and other != spec:
            changed = [k for k in spec.params if spec.params.get(k) != other.params.get(k)]
            what = f"version {spec.version} and {other.version}" if spec.version != other.version else ""
            return f"{need} differs: {what or ', '.join(changed) or 'other parameters'}"
    return "other extractors"


def _other_words(runs: Sequence[LoadedRun]) -> set[str]:
    words: dict[str, set[str]] = {}
    for run in runs:
        for prompt in run.prompts.values():
            words.setdefault(prompt.id, set()).add(prompt.text)
    return {prompt_id for prompt_id, texts in words.items() if len(texts) > 1}


def _warnings(runs: Sequence[LoadedRun]) -> Iterable[str]:
    """What a reader must know before believing a difference."""
    view = View.parse(runs[0].view) if runs and len({r.view for r in runs}) == 1 else View()
    facts = {r.label: [s.actual for s in r.samples.values() if s.outcome == "ok" and s.actual] for r in runs}
    shapes = {
        "size": {k: sorted({f"{f.width}×{f.height}" for f in v}) for k, v in facts.items()},
        "fps": {k: sorted({f"{f.fps:g}" for f in v}) for k, v in facts.items()},
        "frames": {k: sorted({str(f.frames) for f in v}) for k, v in facts.items()},
    }
    settled = {"size": view.short_side, "fps": view.fps, "frames": view.seconds}
    differ = [k for k, v in shapes.items() if settled[k] is None and len({tuple(x) for x in v.values()}) > 1]
    everything = [f for v in facts.values() for f in v]
    if differ and everything and len(runs) > 1:
        seconds = min(f.duration for f in everything)
        hint = (
            f"fps={min(f.fps for f in everything):g},seconds={int(seconds * 100) / 100:g},"
            f"short_side={max(16, min(min(f.width, f.height) for f in everything))}"
        )
        yield (
            f"the runs differ in {', '.join(differ)}, which moves temporal and sharpness metrics by"
            f" itself; to score them alike: t2v-evals score RUN … --normalize {hint}"
        )
    for run in runs:
        planned = run.run.info.sample_ids()
        lost = sum(1 for at in planned if at not in run.samples or run.samples[at].outcome != "ok")
        if lost:
            yield (
                f"{run.label}: {lost} of {len(planned)} samples have no video; its means are over the"
                " others, pairs over what both sides have"
            )
    few = [r.label for r in runs if len({p for p, _ in r.run.info.sample_ids()}) < statistics.MIN_PROMPTS]
    if few:
        yield f"fewer than {statistics.MIN_PROMPTS} prompts ({', '.join(few)}): no intervals are given"


def _sets(
    runs: Sequence[LoadedRun], reference: LoadedRun | None, names: Sequence[str], warnings: list[str]
) -> pd.DataFrame:
    rows = []
    if names and reference is None:
        warnings.append(f"{', '.join(names)}: needs --reference RUN or FOLDER")
    for name in names if reference else []:
        metric = families.create(name)
        assert isinstance(metric, SetMetric) and reference is not None
        theirs = _matrix(reference, name, metric)
        for run in runs:
            if run.run.path.resolve() == reference.run.path.resolve() or name not in run.metrics:
                continue
            if theirs is None or reference.metrics[name].digest != run.metrics[name].digest:
                why = (
                    "no features"
                    if theirs is None
                    else _difference(run.metrics[name], reference.metrics[name])
                )
                warnings.append(
                    f"{name}: {run.label} and the reference {reference.label} are not comparable: {why}"
                )
                continue
            try:
                ours = _matrix(run, name, metric)
                if ours is None:
                    raise MetricError("no features")
                value = metric.compute(ours, theirs)
            except MetricError as error:
                warnings.append(f"{name}: {run.label}: {error}")
                continue
            warnings += [f"{name}: {w}" for w in value.warnings if f"{name}: {w}" not in warnings]
            rows.append(
                (name, run.label, reference.label, value.value, None, None, value.n, value.n_reference,
                 metric.protocol)
            )  # fmt: skip
    return pd.DataFrame(rows, columns=SETS)


def _matrix(run: LoadedRun, name: str, metric: SetMetric) -> NDArray[np.float64] | None:
    """Feature vectors (n, d) of a run's videos, ordered by prompt and seed; None where there are none."""
    info = run.metrics.get(name)
    if info is None:
        return None
    store = FeatureStore(run.run.features)
    vectors = []
    for _, sample in sorted(run.samples.items()):
        if sample.outcome != "ok" or sample.sha256 is None:
            continue
        view = View.parse(run.view)
        keys = {need: feature_key(sample.sha256, spec, view) for need, spec in info.extractors.items()}
        if all(key in store for key in keys.values()):
            vectors.append(metric.pool({need: store.get(key) for need, key in keys.items()}))
    return np.stack(vectors) if vectors else None
