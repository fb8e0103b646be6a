"""Do the same prompts and seeds still give the same videos? Clips beyond a calibrated threshold count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.stats

from evals.compare.rules import MIN_COVERAGE
from evals.gate.deciding import LEVEL
from evals.gate.records import Calibration, FidelityRow, Separation, Verdict
from evals.pairing import PairScore, PairScores
from evals.records import MetricInfo
from evals.runs.current import SampleId
from evals.runs.keys import metric_digest


def allowed(separation: Separation, prompts: int, metrics: int, level: float = LEVEL) -> int:
    """How many of so many prompts may be beyond the threshold: no more than the share of repeats explains
    that were, or are expected to be; at a level that is shared by all metrics."""
    share = min(1.0, separation.false_alarms.value + separation.expected)
    if not share:
        return 0
    return int(scipy.stats.binom.ppf(1 - level / max(1, metrics), prompts, share))


def check_fidelity(
    scores: PairScores,
    wanted: Sequence[SampleId],
    infos: Mapping[str, MetricInfo],
    calibration: Calibration | None,
    level: float = LEVEL,
) -> tuple[list[FidelityRow], Verdict | None]:
    """A row for every fidelity metric, and the verdict; None where nothing decides: there is no calibration,
    or no metric tells repeats from bad videos here. `wanted` are the samples that the baseline has a video
    of."""
    usable = {one.metric: one for one in calibration.usable} if calibration else {}
    rows = [_row(name, infos[name], scores, wanted, usable, level) for name in infos]
    decided = [row.outcome for row in rows if row.outcome != "shown only"]
    if not decided:
        return rows, None
    if "drifted" in decided:
        return rows, "regression"
    return rows, "inconclusive" if "inconclusive" in decided else "pass"


def _row(
    name: str, info: MetricInfo, scores: PairScores, wanted: Sequence[SampleId],
    usable: Mapping[str, Separation], level: float,
) -> FidelityRow:  # fmt: skip
    mine = {at: scores[at][name] for at in wanted if at in scores and name in scores[at]}
    values = [one.value for one in mine.values() if one.value is not None]
    worst = (min if info.direction == "higher" else max)(values, default=None)
    row = FidelityRow(
        metric=name, outcome="shown only", median=float(np.median(values)) if values else None, worst=worst,
        n_pairs=len(values), identical=sum(one.identical for one in mine.values()),
        n_prompts=len({at[0] for at in mine}),
    )  # fmt: skip
    separation = usable.get(name)
    if separation is None or separation.threshold is None:
        return row
    if metric_digest(separation.info) != metric_digest(info):
        message = "was calibrated with another version, other weights or another normalization"
        return row.model_copy(update={"outcome": "inconclusive", "message": message})
    broken = [at for at, one in mine.items() if is_beyond(one, separation)]
    most = allowed(separation, row.n_prompts, len(usable), level)
    beyond = len({at[0] for at in broken})
    reasons = sorted({mine[at].message for at in broken if mine[at].message})
    row = row.model_copy(update={
        "threshold": separation.threshold, "beyond": beyond, "allowed": most,
        "message": f"such as: {reasons[0]}" if reasons else "",
    })  # fmt: skip
    if beyond > most:
        return row.model_copy(update={"outcome": "drifted"})
    skipped = sum(one.status == "skipped" for one in mine.values())
    if not wanted or len(mine) - skipped < MIN_COVERAGE * len(wanted):
        message = f"only {len(mine) - skipped} of {len(wanted)} videos have one to stand beside"
        return row.model_copy(update={"outcome": "inconclusive", "message": message})
    return row.model_copy(update={"outcome": "same"})


def is_beyond(score: PairScore, separation: Separation) -> bool:
    """Whether a clip has drifted. A pair that cannot be compared, as with another size, has."""
    if score.status == "skipped" or separation.threshold is None:
        return False
    if score.value is None:
        return True
    if separation.info.direction == "higher":
        return score.value < separation.threshold
    return score.value > separation.threshold
