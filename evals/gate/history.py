"""`gate history`: many runs of one model over time, each checked against the first; or many models by date.

Repeated looks are paid for: the t-th check is made at the level .05 · 6 / (π² t²), so that however many
unchanged checkpoints there are, the chance of any alarm stays at 5 %."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from evals.compare import Rules, compare_scores
from evals.compare.means import means
from evals.compare.run_scores import RunScores
from evals.errors import UsageError
from evals.gate import baseline as files
from evals.gate import spending
from evals.gate.changes import change_points, noise_of_means
from evals.gate.deciding import overall
from evals.gate.noise import noise_of
from evals.gate.platform import platform_of
from evals.gate.quality import check_quality
from evals.gate.records import PASSING, Baseline, Shift, Verdict
from evals.records import ALL, Aspect, Record

SCHEMA = 1


class Point(Record):
    """A run in the history: its check against the baseline at its level, None for the baseline itself. `why`
    says what kept it from passing where it is not worse."""

    run: str
    when: str
    level: float | None = None
    verdict: Verdict | None = None
    worse: tuple[str, ...] = ()
    why: str = ""


class Value(Record):
    """A metric's mean in a run, with its interval."""

    metric: str
    aspect: Aspect
    run: str
    mean: float | None
    low: float | None
    high: float | None


class Gain(Record):
    """A run's gain over the baseline in an aspect, in standard deviations between prompts."""

    aspect: Aspect
    run: str
    gain: float | None
    low: float | None
    high: float | None
    outcome: str


class Change(Record):
    """A metric's level changes with `run`: its mean before and after, and whether that is the worse way."""

    metric: str
    run: str
    before: float
    after: float
    worse: bool


class Holder(Record):
    """A run that is the best in an aspect, since when, and whom it beat; `alike` are later runs that are
    neither better nor worse."""

    aspect: Aspect
    run: str
    since: str
    over: str = ""
    alike: tuple[str, ...] = ()


class History(Record):
    """What `gate history` found, oldest first."""

    schema_: int = Field(default=SCHEMA, alias="schema")
    baseline: str
    points: tuple[Point, ...]
    values: tuple[Value, ...]
    gains: tuple[Gain, ...]
    changes: tuple[Change, ...]
    margins: dict[str, float]
    shifts: tuple[Shift, ...] = ()

    model_config = {**Record.model_config, "populate_by_name": True}

    @property
    def alarms(self) -> list[Point]:
        """The runs that are worse."""
        return [point for point in self.points if point.verdict == "regression"]

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)

    def table(self) -> pd.DataFrame:
        """A row per metric and run."""
        verdicts = {point.run: point.verdict or "baseline" for point in self.points}
        when = {point.run: point.when for point in self.points}
        changes = {(one.metric, one.run) for one in self.changes}
        return pd.DataFrame(
            [
                {
                    "metric": v.metric, "aspect": v.aspect, "run": v.run, "when": when[v.run], "mean": v.mean,
                    "ci_low": v.low, "ci_high": v.high, "verdict": verdicts[v.run],
                    "changes_here": (v.metric, v.run) in changes,
                }
                for v in self.values
            ]
        )  # fmt: skip


def runs_in(places: Sequence[Path]) -> list[Path]:
    """Run folders: the places that are ones, and those within the others. Raises `UsageError` for none."""
    found: list[Path] = []
    for place in places:
        is_run = (place / "run.json").is_file()
        inside = [place] if is_run else sorted(path.parent for path in place.glob("*/run.json"))
        if not inside:
            raise UsageError(f"{place}: is no run, and holds none")
        found += [path for path in inside if path.resolve() not in {f.resolve() for f in found}]
    return found


def when(run: RunScores) -> str:
    """When a run's videos were made, else when they were scored."""
    stages = (run.generated, run.scored)
    return next((stage.finished for stage in stages if stage is not None), "")


def by_date(runs: Sequence[RunScores]) -> list[RunScores]:
    """Oldest first; runs of one second in the order given."""
    return sorted(runs, key=when)


def history(baseline: Baseline, first: RunScores, later: Sequence[RunScores]) -> History:
    """Check every later run, in order, against the baseline, which `first` was made from."""
    infos = {name: info for name, info in files.infos(baseline).items() if info.kind != "distribution"}
    points = [Point(run=first.label, when=when(first))]
    for number, run in enumerate(later, 1):
        level = spending.of_checkpoint(number)
        platform = platform_of(run.folder.info) if run.folder else {}
        noise = noise_of(baseline, baseline.calibration(platform), files.design(baseline)[1])
        rows, tail = check_quality(baseline, run, infos, noise, level)
        worse = [row.metric for row in rows if row.outcome == "worse"]
        worse += ["single prompts"] if tail.outcome == "many" and tail.is_rare else []
        verdict = overall([row.outcome for row in rows], tail.outcome)
        if run.normalization != baseline.normalization and verdict != "regression":
            verdict = "not comparable"
        opened = [row for row in rows if row.outcome not in PASSING and row.outcome != "worse"]
        reasons = [f"{row.metric}: {row.message or row.outcome}" for row in opened] + [tail.message]
        why = "" if verdict in ("pass", "regression") else next((text for text in reasons if text), "")
        points.append(
            Point(run=run.label, when=when(run), level=level, verdict=verdict, worse=tuple(worse), why=why)
        )
    runs = [first, *later]
    known = [info for info in infos.values() if info.kind == "video"]
    values = [
        Value(metric=m.metric, aspect=infos[m.metric].aspect, run=m.run, mean=m.mean, low=m.ci_low,
              high=m.ci_high)
        for m in means(runs, known, [])
        if m.category == ALL
    ]  # fmt: skip
    return History(
        baseline=baseline.name, points=tuple(points), values=tuple(values), gains=tuple(_gains(runs)),
        changes=tuple(_changes(runs, [info.id for info in known], baseline)),
        margins=baseline.margins, shifts=baseline.shifts,
    )  # fmt: skip


def _gains(runs: Sequence[RunScores]) -> list[Gain]:
    """Every later run against the first, by aspect."""
    if len(runs) < 2:
        return []
    found = compare_scores(runs, rules=Rules(baseline=runs[0].label))
    return [
        Gain(aspect=one.aspect, run=s.a, gain=one.gain, low=one.ci_low, high=one.ci_high, outcome=one.outcome)
        for s in found.standings
        for one in s.aspects
    ]


def _changes(runs: Sequence[RunScores], names: Sequence[str], baseline: Baseline) -> list[Change]:
    """Changes of level of every metric, over the prompts and seeds that all runs have a score of."""
    found = []
    for name in names:
        if not all(name in run.grid.columns for run in runs) or len({r.digests[name] for r in runs}) > 1:
            continue
        columns = [
            pd.Series(run.grid.values[:, run.grid.columns[name]], run.grid.index).groupby("prompt_id").mean()
            for run in runs
        ]
        table = pd.concat(columns, axis=1).dropna().to_numpy(np.float64)
        if not len(table):
            continue
        series = table.mean(axis=0)
        places = change_points(series, noise_of_means(table), len(names))
        info, edges = runs[0].metrics[name], [0, *places, len(series)]
        for i, place in enumerate(places, 1):
            before = float(series[edges[i - 1] : place].mean())
            after = float(series[place : edges[i + 1]].mean())
            worse = (after < before) == (info.direction == "higher")
            found.append(Change(metric=name, run=runs[place].label, before=before, after=after, worse=worse))
    return found


def leaderboard(runs: Sequence[RunScores]) -> list[Holder]:
    """By aspect, who was the best and since when, oldest first: a later run takes over where it wins the
    aspect against the one that holds it."""
    if len(runs) < 2:
        raise UsageError("--leaderboard: needs two runs or more")
    found = compare_scores(runs)
    outcomes = {(s.a, s.b, one.aspect): one.outcome for s in found.standings for one in s.aspects}
    aspects = list(dict.fromkeys(one.aspect for s in found.standings for one in s.aspects))
    dates = {run.label: when(run) for run in runs}
    board = []
    for aspect in aspects:
        having = [run for run in runs if _has(run, aspect)]
        holders = [Holder(aspect=aspect, run=having[0].label, since=dates[having[0].label])]
        for run in having[1:]:
            last = holders[-1]
            outcome = _outcome(outcomes, run.label, last.run, aspect)
            if outcome == "wins":
                holders.append(Holder(aspect=aspect, run=run.label, since=dates[run.label], over=last.run))
            elif outcome in ("equal", "open"):
                holders[-1] = last.model_copy(update={"alike": (*last.alike, run.label)})
        board += holders
    return board


def _has(run: RunScores, aspect: Aspect) -> bool:
    """Whether a run has scores on a metric of an aspect."""
    names = [n for n, info in run.metrics.items() if info.aspect == aspect and n in run.grid.columns]
    return any(bool(np.isfinite(run.grid.values[:, run.grid.columns[name]]).any()) for name in names)


def _outcome(outcomes: Mapping[tuple[str, str, Aspect], str], a: str, b: str, aspect: Aspect) -> str | None:
    """Of a against b, whichever way round they were compared."""
    if (a, b, aspect) in outcomes:
        return outcomes[a, b, aspect]
    turned = outcomes.get((b, a, aspect))
    return {"wins": "loses", "loses": "wins"}.get(turned, turned) if turned else None
