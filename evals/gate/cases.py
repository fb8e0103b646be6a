"""The samples that a reader should look at: the worst against the baseline."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evals.compare.aligned import align
from evals.compare.run_scores import RunScores
from evals.gate import baseline as files
from evals.gate.deciding import FLOOR
from evals.gate.fidelity import is_beyond
from evals.gate.records import Baseline, Calibration, Case, Tail
from evals.pairing import PairScores
from evals.records import MetricInfo

MOST = 3


def cases_of(
    baseline: Baseline, base: RunScores, other: RunScores, infos: Mapping[str, MetricInfo], tail: Tail,
    pairs: PairScores, calibration: Calibration | None, most: int = MOST,
) -> list[Case]:  # fmt: skip
    """Up to three samples: those whose video drifted furthest, then those whose scores dropped furthest in
    spreads between prompts, each prompt once."""
    found: dict[str, Case] = {}
    for case in [*_drifted(baseline, pairs, calibration), *_dropped(baseline, base, other, infos)]:
        if len(found) < most:
            found.setdefault(case.prompt_id, case)
    return list(found.values())


def _drifted(baseline: Baseline, pairs: PairScores, calibration: Calibration | None) -> list[Case]:
    """Clips beyond a threshold, the worst first, by the first usable metric."""
    texts = {prompt.id: prompt.text for prompt in baseline.prompts}
    ranked = []
    for separation in calibration.usable[:1] if calibration else ():
        sign = 1.0 if separation.info.direction == "higher" else -1.0
        for (prompt, seed), row in pairs.items():
            score = row.get(separation.metric)
            if score is None or not is_beyond(score, separation):
                continue
            assert separation.threshold is not None
            direction = separation.info.direction
            case = Case(
                prompt_id=prompt, seed=seed, text=texts.get(prompt, ""), metric=separation.metric,
                candidate=score.value, frame=score.worst_frame(direction), message=score.message,
                drifts_from=score.first_beyond(separation.threshold, direction),
            )  # fmt: skip
            ranked.append((-np.inf if score.value is None else sign * score.value, case))
    return [case for _, case in sorted(ranked, key=lambda one: one[0])]


def _dropped(
    baseline: Baseline, base: RunScores, other: RunScores, infos: Mapping[str, MetricInfo]
) -> list[Case]:
    """Samples by their largest drop."""
    names = [
        name
        for name, info in infos.items()
        if info.kind == "video" and name in base.metrics and name in other.metrics
        and base.digests[name] == other.digests[name]
    ]  # fmt: skip
    if not names:
        return []
    aligned = align(other, base, names)
    signs = np.array([1.0 if infos[n].direction == "higher" else -1.0 for n in names])
    spreads = files.spreads(baseline, {n: infos[n] for n in names})
    by = np.array([spreads[n] or np.nan for n in names]) * FLOOR
    drops = np.where(aligned.scored, -(aligned.a - aligned.b) * signs / by, -np.inf)
    drops = np.where(np.isnan(drops), -np.inf, drops)
    index = base.grid.index.union(other.grid.index, sort=True)
    texts = {prompt.id: prompt.text for prompt in baseline.prompts}
    found = []
    for i in np.argsort(-drops.max(axis=1), kind="stable"):
        j = int(drops[i].argmax())
        if not drops[i, j] > 0:
            break
        prompt, seed = index[i]
        found.append(
            Case(
                prompt_id=str(prompt), seed=int(seed), text=texts.get(prompt, ""), metric=names[j],
                baseline=float(aligned.b[i, j]), candidate=float(aligned.a[i, j]),
            )
        )  # fmt: skip
    return found
