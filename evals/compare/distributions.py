"""Distribution metrics: between the features of a run's videos and a reference's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals import metrics
from evals.compare.flips import holm
from evals.compare.reference import RunReference, Statistics
from evals.compare.results import Caution, ComparisonWarning, Distribution
from evals.compare.run_scores import RunScores
from evals.compare.vector_sets import Vectors
from evals.compare.vectors import Match, matched, vectors_of
from evals.errors import EvalsError, MetricError, OutOfDomain, Reason
from evals.metrics.base import DistributionMetric, MomentMetric, SetValue
from evals.records import MetricInfo
from evals.runs.keys import distribution_key

Reference = RunReference | Statistics
MOST_OUTSIDE = 0.2


@dataclass(frozen=True)
class Measured:
    """A metric with the features it was computed on, and how many videos the run has."""

    metric: DistributionMetric
    ours: Vectors
    theirs: Vectors
    videos: int


class Measuring:
    """Measures runs against one reference; `warnings` collects what a reader must know."""

    def __init__(self, reference: Reference, match: Match = "none") -> None:
        self.reference, self.match = reference, match
        self.warnings: list[ComparisonWarning] = []
        self.sets: dict[tuple[str, str], Measured] = {}
        self._biases: dict[str, list[float]] = defaultdict(list)
        self._outside: dict[tuple[str, str], list[str]] = defaultdict(list)

    def measure(self, runs: Sequence[RunScores], names: Sequence[str]) -> list[Distribution]:
        """One row per metric and run; what could not be computed is among the warnings."""
        if all(self.reference.is_run(run) for run in runs):
            message = f"{self.reference.label} is the reference itself: there is nothing to measure"
            self._warn(Caution.REFERENCE_IS_RUN, message)
        found = []
        for name in names:
            for run in runs:
                if not self.reference.is_run(run) and name in run.metrics:
                    one = self._one(run, name)
                    found += [one] if one is not None else []
        found = _corrected(found)
        for (name, why), labels in self._outside.items():
            self._warn(Caution.OUT_OF_DOMAIN, f"{name}: {', '.join(labels)}: {why}", metric=name)
        for name, biases in self._biases.items():
            low, high = f"{min(biases):.3g}", f"{max(biases):.3g}"
            size = low if low == high else f"{low} to {high}"
            message = f"{name}: of these values about {size} is sample-size bias (jackknife)"
            self._warn(Caution.SAMPLE_SIZE_BIAS, message, metric=name)
        return found

    @staticmethod
    def unsuited(found: Sequence[Distribution]) -> list[str]:
        """Metrics for which the videos of every run are out of domain."""
        by_metric: dict[str, set[Reason | None]] = defaultdict(set)
        for one in found:
            by_metric[one.metric].add(one.reason)
        return [name for name, reasons in by_metric.items() if reasons == {Reason.OUT_OF_DOMAIN}]

    def _one(self, run: RunScores, name: str) -> Distribution | None:
        info = run.metrics[name]
        theirs = Vectors()
        row = Distribution(metric=name, run=run.label, reference=self.reference.label)
        try:
            metric = recorded_metric(name, info)
            row = row.model_copy(update={"protocol": metric.protocol + self._how()})
            ours = vectors_of(run, name, metric)
            self.reference.check(name, info)
            theirs = self.reference.vectors(name, metric)
            value = self._value(run, name, metric, ours, theirs)
            p_equal = self._equality(run, name)
        except OutOfDomain as error:
            self._outside[name, str(error)].append(run.label)
            counts = {"n": len(ours.rows), "n_reference": len(theirs.rows)}
            return row.model_copy(update={**counts, "reason": error.reason, "message": str(error)})
        except MetricError as error:
            message = f"{name}: {run.label} against {self.reference.label}: {error}"
            self._warn(Caution.NOT_MEASURED, message, run.label, name)
            return None
        self._remark(run, name, value, ours, theirs)
        return row.model_copy(update={
            "value": value.value, "ci_low": value.low, "ci_high": value.high,
            "n": value.n, "n_reference": value.n_reference, "p_equal": p_equal,
            "key": distribution_key(info.spec, ours.keys, theirs.keys or [self.reference.digest], self.match),
        })  # fmt: skip

    def _value(
        self, run: RunScores, name: str, metric: DistributionMetric, ours: Vectors, theirs: Vectors
    ) -> SetValue:
        total = self.reference.moments()
        if not theirs.rows and total is not None:
            if not ours.rows:
                raise MetricError(f"{run.label} has no features", Reason.NO_FEATURES)
            if self.match != "none":
                raise MetricError("the reference file holds moments only and cannot be matched")
            if not isinstance(metric, MomentMetric):
                raise MetricError(
                    "the reference file holds moments only; build it with --features for this metric"
                )
            return metric.compute_to(np.stack(ours.rows), total)
        for vectors, whose in ((theirs, self.reference.label), (ours, run.label)):
            if not vectors.rows:
                raise MetricError(f"{whose} has no features", Reason.NO_FEATURES)
            if vectors.outside > MOST_OUTSIDE * vectors.videos:
                raise OutOfDomain(
                    f"out of domain: {vectors.outside} of {vectors.videos} videos of {whose} are unlike this"
                    " encoder's training videos, so a distance would be meaningless; the `standard` suite's"
                    " encoders are made for real footage"
                )
        ours, theirs = matched(ours, theirs, self.match)
        self.sets[run.label, name] = Measured(metric, ours, theirs, run.counted("ok"))
        return metric.compute(np.stack(ours.rows), np.stack(theirs.rows), (ours.prompts, theirs.prompts))

    def _equality(self, run: RunScores, name: str) -> float | None:
        """p of "run and reference are alike", where the metric has a test and both have features."""
        one = self.sets.get((run.label, name))
        if one is None:
            return None
        ours, theirs = one.ours, one.theirs
        return one.metric.equality(np.stack(ours.rows), np.stack(theirs.rows), (ours.prompts, theirs.prompts))

    def _remark(self, run: RunScores, name: str, value: SetValue, ours: Vectors, theirs: Vectors) -> None:
        if value.bias is not None:
            self._biases[name].append(value.bias)
        for warning in value.warnings:
            self._warn(Caution.SMALL_SETS, f"{name}: {warning}", metric=name)
        if same := len(set(ours.hashes) & set(theirs.hashes)):
            message = (
                f"{name}: {same} videos of {run.label} are in {self.reference.label} too, byte by byte: the"
                " distance is smaller by that"
            )
            self._warn(Caution.SHARED_VIDEOS, message, run.label, name)
        videos = run.counted("ok")
        if ours.videos < videos:
            message = (
                f"{name}: {run.label}: {videos - ours.videos} of {videos} videos have no features for it"
            )
            self._warn(Caution.MISSING_FEATURES, message, run.label, name)

    def _how(self) -> str:
        """What is added to a metric's protocol."""
        how = "" if self.match == "none" else f"; matched by {self.match}"
        if isinstance(self.reference, Statistics) and self.reference.clips == "random":
            how += "; the reference's clips are random ones"
        return how

    def _warn(self, code: Caution, message: str, run: str | None = None, metric: str | None = None) -> None:
        warning = ComparisonWarning(code=code, message=message, run=run, metric=metric)
        if warning not in self.warnings:
            self.warnings.append(warning)


def _corrected(found: Sequence[Distribution]) -> list[Distribution]:
    """Holm over the runs, for each metric."""
    done = list(found)
    for name in dict.fromkeys(one.metric for one in found):
        places = [i for i, one in enumerate(found) if one.metric == name and one.p_equal is not None]
        for i, p in zip(places, holm([found[i].p_equal or 0.0 for i in places]), strict=True):
            done[i] = found[i].model_copy(update={"p_equal": p})
    return done


def recorded_metric(name: str, info: MetricInfo) -> DistributionMetric:
    """The metric that a run recorded. Raises `MetricError` where this version computes it differently."""
    try:
        metric = metrics.create(name)
    except EvalsError as error:
        raise MetricError(f"cannot be computed here: {error}") from None
    if not isinstance(metric, DistributionMetric) or metric.spec != info.spec:
        raise MetricError(
            f"was recorded at version {info.spec.version}, this version computes {metric.spec.version}; score"
            " the run again",
            Reason.OTHER_METRIC_VERSION,
        )
    return metric
