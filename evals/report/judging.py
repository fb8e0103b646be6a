"""What judges answered to their controls, beside the numbers that rest on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.calibration.measure import BOUNDS
from evals.compare import Comparison
from evals.compare.judges import FAILED
from evals.compare.results import JudgeUse, PartMean
from evals.errors import Reason
from evals.records import Calibration, Control, Rate
from evals.report.numbers import number

SAID: dict[Control, str] = {
    "answers": "answered",
    "yes_share": "says yes",
    "consistency": "agrees with its answer to the negation",
    "pictures": "tells a clip from another prompt's",
    "motion": "tells a clip from a frozen one",
    "order": "tells a clip from a shuffled one",
    "shows": "gives the right clip the higher probability",
    "semantic": "rates the right clip higher",
    "physics": "rates a clip above itself shuffled",
    "pairs": "prefers the right clip in both orders",
}
CHANCE: dict[Control, str] = {
    "yes_share": "50 % is right", "consistency": "chance 50 %", "pictures": "chance 25 %",
    "motion": "chance 50 %", "order": "chance 50 %, decides nothing", "shows": "chance 50 %",
    "semantic": "chance 50 %", "physics": "chance 50 %", "pairs": "chance 11 %",
}  # fmt: skip


def _meant(control: Control) -> str:
    """What to compare a rate with: chance, and what must be reached."""
    low, high = BOUNDS.get(control, (0.0, 1.0))
    needed = "" if control not in BOUNDS else f"at least {100 * low:.0f} %"
    if high < 1:
        needed = f"{100 * low:.0f} to {100 * high:.0f} % passes"
    return "; ".join(part for part in (CHANCE.get(control, ""), needed) if part)


@dataclass(frozen=True)
class Row:
    """A control: what it is called, what to compare its rates with, and each use's rate with whether it was
    passed."""

    control: str
    meant: str
    cells: list[tuple[str, bool]]


def percentage(rate: Rate) -> str:
    """`91 % [83, 99]`."""
    bounds = (
        "" if rate.low is None or rate.high is None else f" [{100 * rate.low:.0f}, {100 * rate.high:.0f}]"
    )
    return f"{100 * rate.value:.0f} %{bounds}"


def sentences(comparison: Comparison) -> list[str]:
    """What a reader must know of each judge before believing its numbers: a line per judge."""
    uses: dict[str, list[JudgeUse]] = {}
    for use in comparison.judges:
        uses.setdefault(use.judge, []).append(use)
    return [_sentence(judge, mine) for judge, mine in uses.items()]


def _sentence(judge: str, uses: Sequence[JudgeUse]) -> str:
    by_rates: dict[str, list[str]] = {}
    for use in uses:
        runs = by_rates.setdefault(_rates(use.calibration), [])
        if use.run not in runs:
            runs.append(use.run)
    told = [(f"{', '.join(runs)}: " if len(by_rates) > 1 else "") + rates for rates, runs in by_rates.items()]
    doubted: dict[Reason, list[JudgeUse]] = {}
    for use in uses:
        if use.reason is not None:
            doubted.setdefault(use.reason, []).append(use)
    found = [f"Judge {judge}: {'; '.join(told)}."]
    if not doubted:
        found.append("It passed its controls.")
    for reason, mine in doubted.items():
        names = dict.fromkeys(name.partition("[")[0] for use in mine for name in use.metrics)
        found.append(f"No verdicts on {', '.join(names)}: {_why(reason, mine)}.")
    if any(use.calibration is not None and use.calibration.rewrote for use in uses):
        found.append("It rewrote these prompts itself.")
    return " ".join(found)


def _rates(known: Calibration | None) -> str:
    if known is None:
        return "no control was asked"
    told: tuple[Control, ...] = ("yes_share", "consistency", "pictures")
    if known.rates["answers"].value == 0:
        return "answered none of its control questions"
    return ", ".join(f"{SAID[name]} {percentage(known.rates[name])}" for name in told if name in known.rates)


def _why(reason: Reason, uses: Sequence[JudgeUse]) -> str:
    if reason != Reason.JUDGE_FAILED:
        return uses[0].message
    fails = dict.fromkeys(one for use in uses if use.calibration for one in use.calibration.fails)
    return f"it {'; '.join(FAILED[one] for one in FAILED if one in fails)}"


def beside(comparison: Comparison) -> dict[str, str]:
    """By metric, what stands under its name: the judge's controls in short."""
    found: dict[str, list[str]] = {}
    for use in comparison.judges:
        known = use.calibration
        pictures = known.rates.get("pictures") if known else None
        yes = known.rates.get("yes_share") if known else None
        short = ", ".join(
            part
            for part in (
                f"yes {100 * yes.value:.0f} %" if yes else "",
                f"tells clips apart {100 * pictures.value:.0f} %" if pictures else "",
                "passed" if use.reason is None else "no verdict",
            )
            if part
        )
        for name in use.metrics:
            found.setdefault(name, []).append(short)
    return {
        name: f"judge: {shorts[0] if len(set(shorts)) == 1 else '; '.join(shorts)}"
        for name, shorts in found.items()
    }


def columns(comparison: Comparison) -> list[tuple[str, str, Calibration]]:
    """The runs and judges that have calibrations, once each."""
    found: dict[tuple[str, str], Calibration] = {}
    for use in comparison.judges:
        if use.calibration is not None:
            found[use.run, use.judge] = use.calibration
    return [(run, judge, known) for (run, judge), known in found.items()]


def rows(comparison: Comparison) -> list[Row]:
    """A line per control, a cell per run and judge."""
    uses = columns(comparison)
    made = []
    for control, said in SAID.items():
        if any(control in known.rates for _, _, known in uses):
            cells = [
                (
                    percentage(known.rates[control]) if control in known.rates else "–",
                    control not in known.fails,
                )
                for _, _, known in uses
            ]
            made.append(Row(said, _meant(control), cells))
    return made


@dataclass(frozen=True)
class Kinds:
    """A metric by its sub-scores: a line per part, a cell per run."""

    metric: str
    lines: list[tuple[str, list[str]]]


def kinds(comparison: Comparison) -> list[Kinds]:
    """Every metric that has sub-scores."""
    found: Mapping[tuple[str, str, str], PartMean] = {(p.metric, p.part, p.run): p for p in comparison.parts}
    names = dict.fromkeys(p.metric for p in comparison.parts)
    made = []
    for name in names:
        parts = dict.fromkeys(p.part for p in comparison.parts if p.metric == name)
        lines = [
            (part, [_cell(found.get((name, part, label))) for label in comparison.labels]) for part in parts
        ]
        made.append(Kinds(name, lines))
    return made


def _cell(one: PartMean | None) -> str:
    return "–" if one is None else f"{number(one.mean, 3)} ({one.n_prompts})"


def controls_said(known: Calibration) -> str:
    """All rates of a calibration in one line."""
    return "Controls: " + ", ".join(f"{SAID[c]} {percentage(r)}" for c, r in known.rates.items()) + "."
