"""Runs as a comparison sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evals.errors import UsageError
from evals.metrics import OUTSIDE
from evals.records import MetricInfo, Prompt, Sample, Score, View, digest
from evals.rundir import RunDir, SampleId


@dataclass
class LoadedRun:
    """A run as a comparison sees it. `label` is unique among the runs compared."""

    label: str
    run: RunDir
    view: str
    samples: dict[SampleId, Sample]
    scores: dict[SampleId, dict[str, Score]]
    metrics: dict[str, MetricInfo]
    prompts: dict[str, Prompt] = field(default_factory=dict)

    def status(self, at: SampleId, metric: str) -> tuple[str, float | None]:
        """`ok`, `skipped`, `failed`, `refused` or `missing`, and the value where there is one."""
        sample = self.samples.get(at)
        if sample is None:
            return "missing", None
        if sample.outcome == "refused":
            return "refused", None
        if sample.outcome != "ok":
            return "failed", None
        score = self.scores.get(at, {}).get(metric)
        return ("missing", None) if score is None else (score.status, score.value)


def load(paths: Sequence[Path], view: View | None = None) -> list[LoadedRun]:
    """Read runs under one view: the given one, else `native`, else the only one they share.

    Runs that share no view are read each under its own, and nothing of them is comparable.
    """
    runs = [RunDir(path) for path in paths]
    labels = _labels(runs)
    shared = set.intersection(*(set(r.info.metrics) for r in runs)) if runs else set()
    if view is not None:
        for run in runs:
            if str(view) not in run.info.metrics:
                had = ", ".join(run.info.metrics) or "none"
                raise UsageError(
                    f"{run.path}: has no scores under {view} (it has: {had}); make them with"
                    f" `t2v-evals score {run.path} --normalize {view}`"
                )
        chosen = dict.fromkeys(range(len(runs)), str(view))
    elif "native" in shared or len(shared) == 1:
        chosen = dict.fromkeys(range(len(runs)), "native" if "native" in shared else shared.pop())
    elif len(shared) > 1:
        raise UsageError(
            f"the runs share several views; choose one: --normalize {' | '.join(sorted(shared))}"
        )
    else:
        chosen = {i: next(iter(r.info.metrics), "native") for i, r in enumerate(runs)}
    loaded = []
    for i, run in enumerate(runs):
        samples = run.samples()
        loaded.append(
            LoadedRun(
                label=labels[i],
                run=run,
                view=chosen[i],
                samples=samples,
                scores=run.scores(chosen[i], samples),
                metrics=dict(run.info.metrics.get(chosen[i], {})),
                prompts={p.id: p for p in run.info.prompts},
            )
        )
    return loaded


def _labels(runs: Sequence[RunDir]) -> list[str]:
    """The shortest ends of the runs' paths that tell them apart."""
    paths = [run.path.resolve() for run in runs]
    for i, path in enumerate(paths):
        if path in paths[:i]:
            raise UsageError(f"{runs[i].path}: is given twice")
    labels = []
    for path in paths:
        depth = 1
        while sum(p.parts[-depth:] == path.parts[-depth:] for p in paths) > 1:
            depth += 1
        labels.append("/".join(path.parts[-depth:]))
    return labels


def missing_videos(runs: Sequence[LoadedRun]) -> list[str]:
    """A sentence for every run that lacks videos."""
    found = []
    for run in runs:
        planned = run.run.info.sample_ids()
        lost = sum(1 for at in planned if at not in run.samples or run.samples[at].outcome != "ok")
        if lost:
            found.append(
                f"{run.label}: {lost} of {len(planned)} samples have no video; its means and distances"
                " are over the others, pairs over what both sides have"
            )
    return found


def skipped_videos(runs: Sequence[LoadedRun]) -> list[str]:
    """A sentence for every run with videos that no metric applies to, with the commonest reason."""
    found = []
    for run in runs:
        video = [n for n, info in run.metrics.items() if info.kind == "video"]
        reasons: Counter[str] = Counter()
        count = 0
        for scores in run.scores.values():
            missing = [s for n, s in scores.items() if n in video]
            if missing and all(s.status == "skipped" for s in missing):
                count += 1
                reasons.update(s.reason for s in missing)
        if count:
            found.append(
                f"{run.label}: {count} of {len(run.scores)} videos have no score under {run.view}: each"
                f" {reasons.most_common(1)[0][0]}"
            )
    return found


def outside_videos(runs: Sequence[LoadedRun]) -> list[str]:
    """A sentence for every run and metric without a score where videos are out of an encoder's domain."""
    found = []
    for run in runs:
        for name in run.metrics:
            scores = [s[name] for s in run.scores.values() if name in s]
            lost = sum(s.status == "skipped" and s.reason == OUTSIDE for s in scores)
            if lost:
                # Others may be skipped for other reasons; only a mean of what is left needs a word.
                left = sum(s.status == "ok" for s in scores)
                rest = f"; the mean is over {left} others, which may be the better" if left else ""
                found.append(f"{run.label}: {name}: {lost} of {len(scores)} videos are out of domain{rest}")
    return found


def why_not_comparable(a: MetricInfo, b: MetricInfo) -> str:
    """In words, why two runs' numbers of one metric don't compare."""
    if a.view != b.view:
        return f"scored under other normalisations: {a.view} and {b.view}"
    if a.spec != b.spec:
        return f"other versions of the metric: {a.spec.version} and {b.spec.version}"
    for need, spec in a.extractors.items():
        other = b.extractors.get(need)
        if other is not None and other != spec:
            changed = [k for k in spec.params if spec.params.get(k) != other.params.get(k)]
            what = f"version {spec.version} and {other.version}" if spec.version != other.version else ""
            return f"{need} differs: {what or ', '.join(changed) or 'other parameters'}"
    return "other extractors"


def by_prompt(values: Mapping[SampleId, float]) -> NDArray[np.float64]:
    """One mean per prompt, in a fixed order."""
    grouped: dict[str, list[float]] = {}
    for (prompt_id, _), value in sorted(values.items()):
        grouped.setdefault(prompt_id, []).append(value)
    return np.array([float(np.mean(v)) for v in grouped.values()], np.float64)


def seed_of(*parts: str) -> int:
    return int(digest(list(parts))[:12], 16)
