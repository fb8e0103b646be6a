"""From estimates to verdicts: one family of primary metrics at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from evals.compare.flips import holm, holm_levels
from evals.compare.pairs import Estimate, detail
from evals.compare.results import Pair
from evals.compare.rules import ALPHA, MIN_COVERAGE
from evals.errors import Reason
from evals.records import MetricInfo, Reward

ROUNDING = 1e-12
REVEALED: dict[Reward, tuple[Reason, str]] = {
    "stillness": (Reason.LESS_MOTION, "{} is steadier, with less motion"),
    "blur": (Reason.LESS_SHARPNESS, "{} is steadier, with less sharpness"),
}


def decide(family: Sequence[Estimate]) -> list[Pair]:
    """The pairs with their verdicts, in order. Primary metrics in which something varies are the family that
    is corrected together (Holm); diagnostics keep their 95 % interval and have no verdict."""
    tested = [i for i, e in enumerate(family) if e.info.role == "primary" and e.test is not None]
    plain = [e.test.p for e in (family[i] for i in tested) if e.test is not None]
    levels = holm_levels(plain, ALPHA)
    adjusted = {kind: holm([max(p, extra) for p, extra in zip(plain, extras, strict=True)])
                for kind, extras in {
                    "plain": [0.0] * len(plain),
                    "accidental": [family[i].accidental for i in tested],
                    "whatever": [family[i].whatever for i in tested],
                }.items()}  # fmt: skip
    decided: dict[int, Pair] = {}
    for k, i in enumerate(tested):
        one = family[i]
        assert one.test is not None
        interval = one.test.interval(levels[k])
        changes = {
            "p_holm": adjusted["plain"][k], "smallest_p_holm": min(1.0, len(tested) * one.test.smallest),
            "joint_level": levels[k], "joint_low": interval[0] if interval else None,
            "joint_high": interval[1] if interval else None, "family": len(tested),
            "within_margin": _within_margin(one), **detail(one, levels[k]),
        }  # fmt: skip
        one = replace(one, pair=one.pair.model_copy(update=changes))
        decided[i] = _verdict(one, adjusted["accidental"][k], adjusted["whatever"][k])
    found = [decided.get(i) or _untested(one) for i, one in enumerate(family)]
    return _without_trade_offs(found, family)


def _untested(one: Estimate) -> Pair:
    """A pair without a test, and a diagnostic, which has no verdict."""
    if one.pair.verdict is not None or one.pair.difference is None:
        return one.pair
    if one.test is None:
        message = "every pair of scores is equal, so there is nothing to test"
        changes = {"verdict": "identical", "reason": Reason.NOTHING_VARIES, "message": message}
        return one.pair.model_copy(update=changes)
    return one.pair.model_copy(update={"within_margin": _within_margin(one), **detail(one, 1 - ALPHA)})


def _within_margin(one: Estimate) -> bool:
    return one.test is not None and bool(one.pair.margin) and one.test.within(one.pair.margin or 0.0) <= ALPHA


def _verdict(one: Estimate, accidental: float, whatever: float) -> Pair:
    pair = one.pair
    assert pair.p_holm is not None and pair.difference is not None and pair.smallest_p_holm is not None
    covered = pair.coverage is None or pair.coverage >= MIN_COVERAGE
    better = (pair.difference > 0) == (one.info.direction == "higher")
    winner = pair.a if better else pair.b
    changes: dict[str, object] = {"verdict": "inconclusive"}
    if pair.p_holm <= ALPHA + ROUNDING:
        lost = f"{pair.lost_a} scores of {pair.a} and {pair.lost_b} of {pair.b} are missing"
        if accidental > ALPHA + ROUNDING:
            message = f"{winner} is better only if failures are accidental: {lost}"
            changes |= {"reason": Reason.MISSING_MAY_MATTER, "message": message}
        elif not covered and whatever > ALPHA + ROUNDING:
            message = f"only {pair.coverage:.0%} of the samples have a score on both sides: {lost}"
            changes |= {"reason": Reason.LOW_COVERAGE, "message": message}
        else:
            changes = {"verdict": "better" if better else "worse"}
    elif not covered:
        message = f"only {pair.coverage:.0%} of the samples have a score on both sides"
        changes |= {"reason": Reason.LOW_COVERAGE, "message": message}
    elif pair.within_margin:
        changes = {"verdict": "equivalent"}
    elif pair.smallest_p_holm > ALPHA + ROUNDING:
        message = f"too few prompts: the adjusted p cannot go below {pair.smallest_p_holm:.2g}"
        changes |= {"reason": Reason.TOO_FEW_PROMPTS, "message": message}
    else:
        changes |= {"reason": Reason.UNDECIDED, "message": _undecided(pair)}
    return pair.model_copy(update=changes)


def _undecided(pair: Pair) -> str:
    """What this design would have found, and what finding the margin takes."""
    found = f"these prompts would show {pair.detectable:.2g} or more" if pair.detectable else ""
    if not pair.more_prompts or not pair.margin:
        return found
    return f"{found}; to show the margin, {pair.margin:.2g}, takes {pair.more_prompts} more prompts"


def favoured(pair: Pair, info: MetricInfo) -> str:
    """The side that a difference speaks for."""
    return pair.a if ((pair.difference or 0.0) > 0) == (info.direction == "higher") else pair.b


def losses(pairs: Sequence[Pair], infos: Sequence[MetricInfo]) -> dict[tuple[str, str, Reward], set[str]]:
    """Who lost motion or sharpness, by pair of runs and by what that loss rewards elsewhere: where a metric
    that reveals it shows a loss beyond the margin, and no other one that does points the other way."""
    seen: dict[tuple[str, str, Reward], list[tuple[str, bool]]] = defaultdict(list)
    for pair, info in zip(pairs, infos, strict=True):
        if info.direction == "none" or pair.p is None:
            continue
        loser = pair.b if favoured(pair, info) == pair.a else pair.a
        shown = pair.p <= ALPHA + ROUNDING and not pair.within_margin
        for reward in info.reveals:
            seen[pair.a, pair.b, reward].append((loser, shown))
    found: dict[tuple[str, str, Reward], set[str]] = defaultdict(set)
    for key, votes in seen.items():
        sides = {loser for loser, _ in votes}
        if len(sides) == 1 and any(shown for _, shown in votes):
            found[key] = sides
    return found


def _without_trade_offs(pairs: Sequence[Pair], family: Sequence[Estimate]) -> list[Pair]:
    """A gain that stillness or blur gives, with a loss of motion or sharpness, is no gain."""
    losers = losses(pairs, [one.info for one in family])
    found = []
    for pair, one in zip(pairs, family, strict=True):
        if pair.verdict in ("better", "worse"):
            winner = pair.a if pair.verdict == "better" else pair.b
            for reward in one.info.rewarded_by:
                if reward in REVEALED and winner in losers[pair.a, pair.b, reward]:
                    reason, words = REVEALED[reward]
                    changes = {"verdict": "trade-off", "reason": reason, "message": words.format(winner)}
                    pair = pair.model_copy(update=changes)
                    break
        found.append(pair)
    return found
