"""Model × aspect: the table that answers first, for the page and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evals.compare import Comparison
from evals.compare.results import AspectResult, Distribution, Mean, Outcome, RunSummary
from evals.records import ALL, ASPECTS, Aspect, MetricInfo
from evals.report.numbers import interval, number
from evals.report.tables import arrow
from evals.report.terminal import short_names
from evals.report.words import aspects_of

SAID: dict[Outcome, str] = {"wins": "better", "loses": "worse", "equal": "equivalent", "open": "inconclusive"}
OTHER_WAY: dict[Outcome, Outcome] = {"wins": "loses", "loses": "wins"}


@dataclass(frozen=True)
class Cell:
    """A model's aspect. `value` is the mean of the aspect's first metric, called `of`, with its `interval`.
    Against the baseline: the `verdict`, and the `gain` in standard deviations between prompts with its
    interval where there is one. `best`: better than some other model and worse than none."""

    value: str = "–"
    of: str = ""
    interval: str = ""
    verdict: str = ""
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Line:
    """A model: how many of its videos are there, and a cell per aspect."""

    run: str
    videos: str
    cells: list[Cell]


@dataclass(frozen=True)
class Matrix:
    """All models against one of them; without a `baseline` there is only one model, or none compares."""

    baseline: str | None
    aspects: list[Aspect]
    lines: list[Line]

    @property
    def judged(self) -> int:
        """How many of the aspects, which come first, have verdicts: cost has none."""
        return len(self.aspects) - ("cost" in self.aspects)

    @property
    def reach(self) -> float:
        """What an interval bar shows to either side: at least 1 and at most 3 standard deviations."""
        bounds = [abs(x) for line in self.lines for c in line.cells for x in (c.gain, c.low, c.high) if x]
        return min(3.0, max([1.0, *bounds]))


def matrices(comparison: Comparison) -> list[Matrix]:
    """A matrix for every model that others were compared with; the comparison's own baseline first."""
    labels = comparison.labels
    compared = {frozenset((one.a, one.b)) for one in comparison.standings}
    bases = [b for b in labels if all(frozenset((a, b)) in compared for a in labels if a != b)]
    if comparison.baseline is not None:
        bases = [comparison.baseline]
    if len(labels) < 2 or not bases:
        return [_matrix(comparison, None)]
    return [_matrix(comparison, base) for base in bases]


def _matrix(comparison: Comparison, baseline: str | None) -> Matrix:
    leads = {aspect: lead for aspect in ASPECTS if (lead := _lead(comparison, aspect)) is not None}
    judged = {x.aspect for one in comparison.standings for x in one.aspects}
    aspects: list[Aspect] = [a for a in ASPECTS if a != "cost" and (a in leads or a in judged)]
    if any(run.seconds_per_video is not None or run.cost_per_video is not None for run in comparison.runs):
        aspects.append("cost")
    lines = []
    for run in comparison.runs:
        cells = [_cell(comparison, run, aspect, leads.get(aspect), baseline) for aspect in aspects]
        lines.append(Line(run.run, videos_said(comparison, run), cells))
    return Matrix(baseline, aspects, lines)


def videos_said(comparison: Comparison, run: RunSummary) -> str:
    """`18 of 20: 1 refused, 1 failed`."""
    lost = dict.fromkeys(("refused", "failed", "missing"), 0)
    for problem in comparison.problems:
        if problem.run == run.run and not problem.metric and problem.status in lost:
            lost[problem.status] += 1
    said = ", ".join(f"{n} {status}" for status, n in lost.items() if n)
    return f"{run.samples_ok} of {run.samples_planned}" + (f": {said}" if said else "")


def _lead(comparison: Comparison, aspect: Aspect) -> MetricInfo | None:
    """The first metric of an aspect that some run has a value of, primary ones first."""
    valued = {m.metric for m in comparison.means if m.mean is not None}
    valued |= {d.metric for d in comparison.distributions if d.value is not None}
    mine = [i for i in comparison.metrics.values() if i.aspect == aspect and i.id in valued]
    return min(mine, key=lambda info: info.role != "primary", default=None)


def _cell(
    comparison: Comparison, run: RunSummary, aspect: Aspect, lead: MetricInfo | None, baseline: str | None
) -> Cell:
    if aspect == "cost":
        return _cost(run)
    value, bounds = _value(comparison, run.run, lead)
    others = [label for label in comparison.labels if label != run.run]
    wins = any(aspect in aspects_of(comparison, run.run, b, "wins") for b in others)
    loses = any(aspect in aspects_of(comparison, run.run, b, "loses") for b in others)
    name = f"{short_names([lead.id])[lead.id]} {arrow(lead)}".strip() if lead else ""
    if baseline is None or run.run == baseline:
        return Cell(value, name, bounds, best=wins and not loses)
    found = against(comparison, run.run, baseline, aspect)
    if found is None:
        return Cell(value, name, bounds)
    outcome, gain, low, high = found
    return Cell(value, name, bounds, SAID[outcome], gain, low, high, wins and not loses)


def against(
    comparison: Comparison, run: str, baseline: str, aspect: Aspect
) -> tuple[Outcome, float | None, float | None, float | None] | None:
    """The outcome of a run against another in an aspect, with its gain and interval; None where it is open
    what it would be, as nothing was compared."""
    one = _result(comparison, run, baseline, aspect)
    if one is not None:
        return one.outcome, one.gain, one.ci_low, one.ci_high
    one = _result(comparison, baseline, run, aspect)
    if one is None:
        return None
    return OTHER_WAY.get(one.outcome, one.outcome), _minus(one.gain), _minus(one.ci_high), _minus(one.ci_low)


def _result(comparison: Comparison, a: str, b: str, aspect: Aspect) -> AspectResult | None:
    for one in comparison.standings:
        if (one.a, one.b) == (a, b):
            return next((x for x in one.aspects if x.aspect == aspect), None)
    return None


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _value(comparison: Comparison, run: str, lead: MetricInfo | None) -> tuple[str, str]:
    if lead is None:
        return "–", ""
    sources: Sequence[Mean | Distribution] = (
        comparison.distributions if lead.kind == "distribution" else comparison.means
    )
    for one in sources:
        if one.run != run or one.metric != lead.id or (isinstance(one, Mean) and one.category != ALL):
            continue
        value = one.value if isinstance(one, Distribution) else one.mean
        return number(value, 3), interval(one.ci_low, one.ci_high, 3)
    return "–", ""


def _cost(run: RunSummary) -> Cell:
    seconds, money = run.seconds_per_video, run.cost_per_video
    if money is None:
        return Cell(f"{number(seconds, 3)} s", "a video") if seconds is not None else Cell()
    time = f"{number(seconds, 3)} s " if seconds is not None else ""
    return Cell(number(money, 3), f"and {time}a video" if time else "a video")
