"""Model × aspect: the table that answers first, for the page and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evals.compare import Comparison
from evals.compare.results import AspectResult, Distribution, Mean, Outcome, RunSummary
from evals.records import ALL, ASPECTS, Aspect, MetricInfo
from evals.report.numbers import interval, number
from evals.report.tables import arrow
from evals.report.words import is_among_the_best

SAID: dict[Outcome, str] = {"wins": "better", "loses": "worse", "equal": "equivalent", "open": "inconclusive"}
OTHER_WAY: dict[Outcome, Outcome] = {"wins": "loses", "loses": "wins"}


@dataclass(frozen=True)
class Cell:
    """A model's aspect. `value` is the mean of the aspect's first metric, `metric` with its `arrow`, and its
    `interval`. Against the baseline: the `verdict`, the `gain` in standard deviations between prompts with
    its interval where there is one, the number of `prompts` where it is not of all, and the metrics
    `counted`. `best`: better than some other model and worse than none."""

    value: str = "–"
    metric: str = ""
    arrow: str = ""
    interval: str = ""
    verdict: str = ""
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    prompts: int | None = None
    counted: tuple[str, ...] = ()
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
    bases = _bases(comparison)
    return [_matrix(comparison, base) for base in bases] or [_matrix(comparison, None)]


def base_of(comparison: Comparison) -> str | None:
    """The run that figures compare with: the baseline, else the first that all were compared with."""
    return next(iter(_bases(comparison)), None)


def _bases(comparison: Comparison) -> list[str]:
    """The runs that all others were compared with: the baseline alone where there is one."""
    labels = comparison.labels
    if len(labels) < 2:
        return []
    if comparison.baseline is not None:
        return [comparison.baseline]
    compared = {frozenset((one.a, one.b)) for one in comparison.standings}
    return [b for b in labels if all(frozenset((a, b)) in compared for a in labels if a != b)]


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
    best = is_among_the_best(comparison, run.run, aspect)
    cell = Cell(value, lead.id if lead else "", arrow(lead) if lead else "", bounds, best=best)
    one = against(comparison, run.run, baseline, aspect) if baseline not in (None, run.run) else None
    if one is None:
        return cell
    every = comparison.scores["prompt_id"].nunique()
    fewer = one.n_prompts if one.gain is not None and one.n_prompts < every else None
    return replace(
        cell,
        verdict=SAID[one.outcome],
        gain=one.gain,
        low=one.ci_low,
        high=one.ci_high,
        prompts=fewer,
        counted=one.metrics,
    )


def against(comparison: Comparison, run: str, baseline: str | None, aspect: Aspect) -> AspectResult | None:
    """An aspect of a run against another; None where the two were not compared in it."""
    for one in comparison.standings:
        if {one.a, one.b} == {run, baseline}:
            found = next((x for x in one.aspects if x.aspect == aspect), None)
            return found if found is None or one.a == run else _mirrored(found)
    return None


def _mirrored(one: AspectResult) -> AspectResult:
    """The same from the other side."""
    return one.model_copy(
        update={
            "outcome": OTHER_WAY.get(one.outcome, one.outcome),
            "gain": _minus(one.gain),
            "ci_low": _minus(one.ci_high),
            "ci_high": _minus(one.ci_low),
            "win_rate": None if one.win_rate is None else 1 - one.win_rate,
        }
    )


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
    time = f"{number(seconds, 3)} s a video" if seconds is not None else ""
    if money is None:
        return Cell(time or "–")
    return Cell(f"{number(money, 3)} a video", interval=time)
