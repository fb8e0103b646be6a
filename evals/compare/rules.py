"""What a user decides about a comparison before seeing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from evals.compare.run_scores import RunScores
from evals.errors import UsageError, nearest
from evals.records import Aspect, MetricInfo

ALPHA = 0.05
MIN_COVERAGE = 0.95
MARGIN = 0.2
"""Of the between-prompt standard deviation: what is smaller counts as no difference."""


@dataclass(frozen=True)
class Rules:
    """How differences are decided.

    `baseline` names the run that all others are compared with. The `family` corrected together is the primary
    metrics of one pair of runs, or of the whole `report`. `metrics` narrows what is compared, `primary` says
    which of them have verdicts. `margins` by metric id replace the default, 0.2 standard deviations between
    prompts. `weights` by aspect ask for a weighted gain."""

    baseline: str | None = None
    family: Literal["pair", "report"] = "pair"
    metrics: tuple[str, ...] | None = None
    primary: tuple[str, ...] | None = None
    margins: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[Aspect, float] = field(default_factory=dict)

    def check(self, runs: Sequence[RunScores], known: Mapping[str, MetricInfo]) -> None:
        """Raises `UsageError` for a run or metric that is not there, or a margin that bounds nothing."""
        labels = [run.label for run in runs]
        if self.baseline is not None and self.baseline not in labels:
            raise UsageError(f"--baseline {self.baseline}: no such run{nearest(self.baseline, labels)}")
        given = (("--metrics", self.metrics), ("--primary", self.primary), ("--margin", tuple(self.margins)))
        for option, names in given:
            for name in names or ():
                if name not in known:
                    raise UsageError(f"{option} {name}: no run was scored with it{nearest(name, known)}")
        for name, margin in self.margins.items():
            if not margin > 0:
                raise UsageError(f"--margin {name}={margin:g}: a margin is above 0")
        if self.weights and not (min(self.weights.values()) >= 0 and sum(self.weights.values()) > 0):
            raise UsageError("--aspect-weights: weights are 0 or more, and one of them is above 0")

    def applied(self, known: Mapping[str, MetricInfo]) -> dict[str, MetricInfo]:
        """The metrics compared, in their role."""
        found = {}
        for name, info in known.items():
            if self.metrics is not None and name not in self.metrics:
                continue
            if self.primary is not None:
                chosen = name in self.primary and info.direction != "none"
                info = info.model_copy(update={"role": "primary" if chosen else "diagnostic"})
            found[name] = info
        return found

    def pairs(self, runs: Sequence[RunScores]) -> list[tuple[RunScores, RunScores]]:
        """The pairs compared: every run with the baseline, or all with each other."""
        if self.baseline is not None:
            base = next(run for run in runs if run.label == self.baseline)
            return [(run, base) for run in runs if run is not base]
        return [(a, b) for i, a in enumerate(runs) for b in runs[i + 1 :]]
