"""A comparison in sentences: which run is best, what each is good at, and what to know before believing
it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evals.compare.results import Comparison, Distribution, Overall, Pair, Standing, Verdict
from evals.errors import Reason
from evals.records import ASPECTS, Aspect
from evals.report.numbers import interval, number

MIRRORED: dict[Overall, Overall] = {
    "better": "worse",
    "worse": "better",
    "ahead": "behind",
    "behind": "ahead",
}
SHOWN: dict[Verdict, str] = {"trade-off": "trade-off", "not scored": "not scored"}


def answer(comparison: Comparison) -> str:
    """Which run is best, in one sentence; nothing for a single run."""
    labels = comparison.labels
    if len(labels) < 2:
        return ""
    if comparison.baseline is not None:
        return _against_baseline(comparison)
    compared = [pair for pair in comparison.pairs if pair.verdict not in ("not comparable", "not scored")]
    if comparison.pairs and not compared:
        why = dict.fromkeys(f"{p.a} is not comparable with {p.b}: {p.message}" for p in comparison.pairs)
        return f"{'; '.join(why)}."
    if _all_identical(comparison):
        return "The runs have identical scores."
    better = {a: [b for b in labels if b != a and overall(comparison, a, b) == "better"] for a in labels}
    beaten = {b for found in better.values() for b in found}
    best = [a for a in labels if len(better[a]) == len(labels) - 1]
    if best:
        others = "the other" if len(labels) == 2 else "all others"
        return f"{best[0]} is better than {others}."
    leaders = [a for a in labels if better[a] and a not in beaten]
    if leaders:
        said = "; ".join(f"{a} is better than {_listed(better[a])}" for a in leaders)
        return f"{said}. None is better than all."
    found = {one.overall for one in comparison.standings}
    if found == {"equivalent"}:
        return f"{_listed(labels)} are equivalent in every aspect, within the margin."
    if found <= {"no difference shown", "equivalent"}:
        return f"No difference shown between {_listed(labels)}."
    if len(labels) == 2:
        one = comparison.standings[0]
        return f"Neither is better overall: {_standing(one.a, one.b, comparison)}."
    return "None is better overall: each wins some aspects and loses others, or too little is known."


def best_by_aspect(comparison: Comparison) -> str:
    """For three models or more: who is the best at what; nothing where nobody is shown to be."""
    labels = comparison.labels
    if len(labels) < 3 or comparison.baseline is not None:
        return ""
    aspects = dict.fromkeys(x.aspect for one in comparison.standings for x in one.aspects)
    parts = []
    for aspect in sorted(aspects, key=ASPECTS.index):
        best = [a for a in labels if is_among_the_best(comparison, a, aspect)]
        if best:
            parts.append(f"{aspect}: {_listed(best)}")
    return f"Not beaten by any, and better than some – {'; '.join(parts)}." if parts else ""


def is_among_the_best(comparison: Comparison, label: str, aspect: Aspect) -> bool:
    """Whether a model wins an aspect against some other and loses it to none."""
    others = [b for b in comparison.labels if b != label]
    wins = any(aspect in aspects_of(comparison, label, b, "wins") for b in others)
    return wins and not any(aspect in aspects_of(comparison, label, b, "loses") for b in others)


def _against_baseline(comparison: Comparison) -> str:
    parts = [f"{one.a}: {_word(one, comparison)}" for one in comparison.standings]
    return f"Against {comparison.baseline}: {'; '.join(parts)}."


def _word(one: Standing, comparison: Comparison) -> str:
    """The overall word with the aspects that it comes from."""
    wins, loses = (_listed(aspects_of(comparison, one.a, one.b, how)) for how in ("wins", "loses"))
    said: dict[Overall, str] = {
        "better": f"better ({wins})",
        "worse": f"worse ({loses})",
        "ahead": f"ahead on {wins}",
        "behind": f"behind on {loses}",
        "mixed": f"better {wins}, worse {loses}",
    }
    return said.get(one.overall, one.overall)


def _standing(a: str, b: str, comparison: Comparison) -> str:
    wins, loses = aspects_of(comparison, a, b, "wins"), aspects_of(comparison, a, b, "loses")
    parts = [f"wins {_listed(wins)}"] if wins else []
    parts += [f"loses {_listed(loses)}"] if loses else []
    return f"{a} {' and '.join(parts)} against {b}"


def _all_identical(comparison: Comparison) -> bool:
    pairs = [pair for pair in comparison.pairs if pair.difference is not None]
    return bool(pairs) and all(pair.difference == 0 and pair.p is None for pair in pairs)


def overall(comparison: Comparison, a: str, b: str) -> Overall | None:
    """a against b over all aspects; None where they were not compared."""
    for one in comparison.standings:
        if (one.a, one.b) == (a, b):
            return one.overall
        if (one.a, one.b) == (b, a):
            return MIRRORED.get(one.overall, one.overall)
    return None


def aspects_of(comparison: Comparison, a: str, b: str, outcome: str) -> list[Aspect]:
    """The aspects that a wins or loses against b."""
    for one in comparison.standings:
        if (one.a, one.b) == (a, b):
            return one.those("wins" if outcome == "wins" else "loses")
        if (one.a, one.b) == (b, a):
            return one.those("loses" if outcome == "wins" else "wins")
    return []


def verdict_of(pair: Pair, of: str) -> Verdict | None:
    """The verdict of one side of a pair against the other."""
    if pair.a == of or pair.verdict not in ("better", "worse"):
        return pair.verdict
    return "worse" if pair.verdict == "better" else "better"


def sentences(comparison: Comparison) -> list[str]:
    """One sentence for every run: what it is best and worst at, and against whom."""
    if len(comparison.labels) < 2:
        return []
    return [f"{label}: {_of_run(comparison, label)}." for label in comparison.labels]


def _of_run(comparison: Comparison, label: str) -> str:
    others = [b for b in comparison.labels if b != label and overall(comparison, label, b) is not None]
    if label == comparison.baseline:
        return "the baseline"
    parts = _standouts(comparison, label, others)
    parts += _trade_offs(comparison, label)
    summary = next(run for run in comparison.runs if run.run == label)
    if lost := summary.samples_planned - summary.samples_ok:
        parts.append(f"{lost} of {summary.samples_planned} samples have no video")
    if not parts and others and all(overall(comparison, label, b) == "equivalent" for b in others):
        return f"equivalent to {_listed(others)} in every aspect, within the margin"
    return "; ".join(parts) or "no aspect in which a difference is shown"


def _standouts(comparison: Comparison, label: str, others: Sequence[str]) -> list[str]:
    aspects = list(dict.fromkeys(x.aspect for one in comparison.standings for x in one.aspects))
    best, worst, rest = [], [], []
    for aspect in aspects:
        beats = [b for b in others if aspect in aspects_of(comparison, label, b, "wins")]
        loses = [b for b in others if aspect in aspects_of(comparison, label, b, "loses")]
        if len(others) > 1 and len(beats) == len(others):
            best.append(aspect)
        elif len(others) > 1 and len(loses) == len(others):
            worst.append(aspect)
        elif beats or loses:
            said = [f"better {aspect} than {_listed(beats)}"] if beats else []
            said += [f"worse {'' if beats else aspect + ' '}than {_listed(loses)}"] if loses else []
            rest.append(", ".join(said))
    parts = [f"best {_listed(best)}"] if best else []
    return parts + ([f"worst {_listed(worst)}"] if worst else []) + rest


def _trade_offs(comparison: Comparison, label: str) -> list[str]:
    """Gains that came with a loss of motion or sharpness."""
    lost: dict[str, list[str]] = {}
    for pair in comparison.pairs:
        if pair.verdict != "trade-off" or label not in (pair.a, pair.b):
            continue
        higher = comparison.metrics[pair.metric].direction == "higher"
        winner = pair.a if ((pair.difference or 0) > 0) == higher else pair.b
        if winner == label:
            what = "motion" if pair.reason == Reason.LESS_MOTION else "sharpness"
            other = pair.b if winner == pair.a else pair.a
            lost.setdefault(other, []).append(what)
    by_loss: dict[str, list[str]] = {}
    for other, whats in lost.items():
        by_loss.setdefault(" and ".join(sorted(set(whats))), []).append(other)
    return [
        f"steadier than {_listed(others)}, with less {what}, which counts as no win"
        for what, others in by_loss.items()
    ]


def distances(comparison: Comparison) -> list[str]:
    """Which runs are apart from the reference, a sentence per distribution metric that has a test."""
    groups: dict[tuple[str, str], list[Distribution]] = {}
    for one in comparison.distributions:
        if one.value is not None and one.p_equal is not None:
            groups.setdefault((one.metric, one.reference), []).append(one)
    found = []
    for (metric, reference), group in groups.items():
        ordered = sorted(group, key=lambda one: one.value or 0.0)
        parts = [f"{d.run} {number(d.value, 2)} {interval(d.ci_low, d.ci_high, 2)}".rstrip() for d in ordered]
        apart = [d.run for d in ordered if d.p_equal is not None and d.p_equal <= 0.05]
        end = f"{_listed(apart)} {'differs' if len(apart) == 1 else 'differ'} from it (permutation test)"
        if len(apart) == len(group) > 1:
            end = "all differ from it (permutation test)"
        if not apart:
            end = "none is shown to differ from it" if len(group) > 1 else "it is not shown to differ"
        found.append(f"{metric}, distance to {reference}: {'; '.join(parts)}; {end}.")
    return found


def _listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = list(names) or [""]
    return f"{', '.join(most)} and {last}" if most else last
