"""The state of a run: samples by status, scores by metric, and why things are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from evals.runs.folder import RunFolder
from evals.runs.segments import Shard


def describe(path: Path, normalization: str | None = None, shard: Shard | None = None) -> dict[str, Any]:
    """A run's state. `normalization` picks one (default: all that were scored); failures are counted in the
    `shard`."""
    run = RunFolder(path, shard=shard)
    mine = run.mine(list(run.prompts))
    samples, planned = run.samples(), run.sample_ids()
    statuses = Counter(samples.status(at) or "missing" for at in planned)
    problems: Counter[tuple[str, str, str]] = Counter()  # what, its status, the sentence
    for at in planned:
        if samples.status(at) not in ("ok", None):
            problems["sample", samples[at].status, samples[at].message] += 1
    ok = [at for at in planned if samples.status(at) == "ok"]
    scored: dict[str, dict[str, dict[str, int]]] = {}
    failed_scores = 0
    for name in [normalization] if normalization else list(run.info.metrics):
        scores = run.values(name, samples)
        for metric, info in run.info.metrics.get(name, {}).items():
            if info.kind != "video":
                continue
            numbers, records = scores.column(metric, ok)
            counts = Counter(score.status for score in records.values())
            plain = int(np.isfinite(numbers).sum())
            counts.update(ok=plain, missing=len(ok) - plain - len(records))
            scored.setdefault(name, {})[metric] = {status: n for status, n in counts.items() if n}
            for place, score in records.items():
                if score.status != "ok":
                    problems[metric, score.status, score.message] += 1
                    failed_scores += score.status == "failed" and ok[place][0] in mine
    every = {name: info for metrics in run.info.metrics.values() for name, info in metrics.items()}
    return {
        "run": str(path),
        "generator": run.info.label,
        "status": run.info.status,
        "prompts": len(run.prompts),
        "samples": {"planned": len(planned), **statuses},
        "scores": scored,
        "distribution_metrics": sorted(n for n, info in every.items() if info.kind == "distribution"),
        "problems": [
            {"what": what, "status": status, "message": message, "count": count}
            for (what, status, message), count in problems.most_common()
        ],
        "failed": failed_scores + sum(samples.status(at) == "failed" and at[0] in mine for at in planned),
        **({"unfinished_shards": run.unfinished} if run.unfinished else {}),
    }


def additions(run: RunFolder, prompt_ids: Iterable[str]) -> str:
    """What is added to a run that holds prompts already; empty where nothing is."""
    known = set(run.prompts)
    new = list(dict.fromkeys(one for one in prompt_ids if one not in known))
    if not known or not new:
        return ""
    return f"{run.path}: adds {len(new)} prompts (such as {new[0]}) to the {len(known)} that it holds"
