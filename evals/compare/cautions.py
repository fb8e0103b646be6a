"""What a reader must know of the runs before believing a difference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from evals.compare import statistics
from evals.compare.aligned import differently_worded
from evals.compare.results import Caution, ComparisonWarning
from evals.compare.run_scores import RunScores
from evals.errors import BECAUSE_OF_THE_PROMPT, Reason
from evals.records import Normalization

MOST_BITS = 2.0
"""How many times the bits per pixel of one run another may have."""
SHAPES = {"size": "short_side", "fps": "fps", "frames": "seconds"}
"""What videos can differ in, and the part of a normalization that settles it."""


def unsuited(runs: Sequence[RunScores]) -> list[str]:
    """Metrics that suit none of the videos: every score is skipped, because of the domain or the prompt."""
    found: dict[str, bool] = {}
    excused = {*BECAUSE_OF_THE_PROMPT, Reason.OUT_OF_DOMAIN, Reason.DOES_NOT_APPLY}
    for run in runs:
        for name, scores in run.by_metric.items():
            recorded = scores[scores["recorded"]]
            suits = ~((recorded["status"] == "skipped") & recorded["reason"].isin(excused))
            found[name] = found.get(name, True) and not recorded.empty and not suits.any()
    return [name for name, nothing in found.items() if nothing]


def without(run: RunScores, metrics: Sequence[str]) -> RunScores:
    """A run without some of its metrics."""
    if not metrics:
        return run
    kept = {name: info for name, info in run.metrics.items() if name not in metrics}
    return replace(run, metrics=kept, scores=run.scores[~run.scores["metric"].isin(metrics)])


def cautions(runs: Sequence[RunScores]) -> Iterator[ComparisonWarning]:
    """All warnings about the runs themselves."""
    yield from _unfinished(runs)
    yield from _shapes(runs)
    yield from _bitrates(runs)
    yield from missing_videos(runs)
    yield from _missing_scores(runs)
    yield from _skipped(runs)
    yield from _out_of_domain(runs)
    yield from _enlarged(runs)
    few = [r.label for r in runs if r.samples["prompt_id"].nunique() < statistics.MIN_PROMPTS]
    if few and len(runs) > 1:
        message = f"fewer than {statistics.MIN_PROMPTS} prompts ({', '.join(few)}): means have no interval"
        yield ComparisonWarning(code=Caution.FEW_PROMPTS, message=message)
    if worded := differently_worded(runs):
        message = (
            f"{len(worded)} prompts have other words in some runs and pair with nothing there, such as"
            f" {', '.join(worded[:5])}"
        )
        yield ComparisonWarning(code=Caution.OTHER_WORDS, message=message)


def _unfinished(runs: Sequence[RunScores]) -> Iterator[ComparisonWarning]:
    """Runs that some shards have not finished: what they lack counts as missing."""
    for run in runs:
        if run.folder is not None and (shards := run.folder.unfinished):
            message = (
                f"{run.label}: not finished: shard {', '.join(shards)}; what they lack counts as missing"
            )
            yield ComparisonWarning(code=Caution.UNFINISHED_SHARDS, message=message, run=run.label)


def _shared(runs: Sequence[RunScores]) -> Normalization:
    """The normalization of all runs; `native` where they have several."""
    names = {r.normalization for r in runs}
    return Normalization.parse(names.pop()) if len(names) == 1 else Normalization()


def _videos(runs: Sequence[RunScores]) -> pd.DataFrame:
    """Facts of all videos, with their run."""
    return pd.concat(
        [r.samples[(r.samples["status"] == "ok") & r.samples["width"].notna()].assign(run=r.label)
         for r in runs]
    )  # fmt: skip


def _shapes(runs: Sequence[RunScores]) -> Iterator[ComparisonWarning]:
    """Runs whose videos differ in size, rate or length."""
    videos = _videos(runs)
    if len(runs) < 2 or videos.empty:
        return
    videos["size"] = videos["width"].astype(int).astype(str) + "×" + videos["height"].astype(int).astype(str)
    kinds = ["size", "fps", "frames"]
    if not any(info.temporal for r in runs for info in r.metrics.values()):
        kinds = ["size"]  # no metric here depends on time
    shared = _shared(runs)
    differ = [
        kind
        for kind in kinds
        if getattr(shared, SHAPES[kind]) is None
        and (videos.groupby(["prompt_id", "seed"], sort=False)[kind].nunique() > 1).any()
    ]
    differ += [k for k in kinds if k not in differ and _as_a_whole(videos, k, shared)]
    if differ:
        sides = videos[["width", "height"]].min(axis=1)
        hint = (
            f"fps={_floor(videos['fps'].min())},seconds={_floor(videos['duration'].min())},"
            f"short_side={max(16, int(sides.min()))}"
        )
        message = (
            f"the runs differ in {', '.join(differ)}, which by itself moves temporal and sharpness metrics;"
            f" to score them alike: t2v-evals score RUN … --normalize {hint}"
        )
        yield ComparisonWarning(code=Caution.RUNS_DIFFER, message=message)


def _bitrates(runs: Sequence[RunScores]) -> Iterator[ComparisonWarning]:
    """Runs whose files hold far more bits for a pixel than others': compression moves sharpness and
    steadiness."""
    videos = _videos(runs)
    if len(runs) < 2 or videos.empty or videos["bytes"].isna().all():
        return
    pixels = videos["width"] * videos["height"] * videos["frames"]
    bits = (
        (8 * videos["bytes"].astype(float) / pixels.astype(float)).groupby(videos["run"], sort=False).median()
    )
    least, most = str(bits.idxmin()), str(bits.idxmax())
    if bits[most] > MOST_BITS * bits[least]:
        message = (
            f"{most} has {bits[most]:.2g} bits a pixel and {least} {bits[least]:.2g}: compression by itself"
            " moves sharpness, blur and temporal metrics; write all videos at the same quality"
        )
        yield ComparisonWarning(code=Caution.BITRATES_DIFFER, message=message)


def _as_a_whole(videos: pd.DataFrame, kind: str, shared: Normalization) -> bool:
    """Whether runs that share no prompt differ in a kind of shape."""
    if getattr(shared, SHAPES[kind]) is not None:
        return False
    return len({tuple(sorted(set(part[kind]))) for _, part in videos.groupby("run", sort=False)}) > 1


def _floor(value: float) -> str:
    """A number rounded down to three digits, for a limit that must not be exceeded."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.floor(value / step + 1e-9) * step:.6g}"


def missing_videos(runs: Sequence[RunScores]) -> Iterator[ComparisonWarning]:
    """Runs that lack videos."""
    for run in runs:
        planned, lost = len(run.samples), len(run.samples) - run.counted("ok")
        if lost:
            message = (
                f"{run.label}: {lost} of {planned} samples have no video; its means and distances are over"
                " the others, pairs over what both sides have"
            )
            yield ComparisonWarning(code=Caution.MISSING_VIDEOS, message=message, run=run.label)


def _missing_scores(runs: Sequence[RunScores]) -> Iterator[ComparisonWarning]:
    """Runs with videos that have no score because of what they are, or because something failed."""
    for run in runs:
        scores = run.scores[run.scores["recorded"]]
        lost = (scores["status"] == "failed") | (
            (scores["status"] == "skipped") & ~scores["reason"].isin(BECAUSE_OF_THE_PROMPT)
        )
        lost &= scores["reason"] != Reason.OUT_OF_DOMAIN  # which has a warning of its own
        suits = scores.loc[scores["status"] == "ok", "metric"].unique()
        counts = scores[lost & scores["metric"].isin(suits)].groupby("metric", sort=False).size()
        if not counts.empty:
            most, every = int(counts.max()), int((scores["metric"] == counts.idxmax()).sum())
            message = (
                f"{run.label}: {most} of {every} videos have no score on {counts.idxmax()}"
                + (f" (and some on {len(counts) - 1} other metrics)" if len(counts) > 1 else "")
                + ": they failed or cannot be scored; means are over the others, which may be the better ones"
            )
            yield ComparisonWarning(code=Caution.MISSING_SCORES, message=message, run=run.label)


def _skipped(runs: Sequence[RunScores]) -> Iterator[ComparisonWarning]:
    """Runs with videos that no metric applies to, with the commonest sentence."""
    for run in runs:
        scored = run.scores[run.scores["recorded"]].set_index(["prompt_id", "seed"])
        if scored.empty:
            continue
        skipped = (scored["status"] == "skipped").groupby(level=[0, 1], sort=False).all()
        if count := int(skipped.sum()):
            lost = scored.loc[skipped[skipped].index]
            message = (
                f"{run.label}: {count} of {len(skipped)} videos have no score under {run.normalization}: each"
                f" {lost['message'].value_counts(sort=False).idxmax()}"
            )
            yield ComparisonWarning(code=Caution.SKIPPED_VIDEOS, message=message, run=run.label)


def _out_of_domain(runs: Sequence[RunScores]) -> Iterator[ComparisonWarning]:
    """Runs and metrics without a score where videos are out of an encoder's domain."""
    for run in runs:
        for name, scores in run.by_metric.items():
            scored = scores[scores["recorded"]]
            lost = int((scored["reason"] == Reason.OUT_OF_DOMAIN).sum())
            if lost:
                # Others may be skipped for other reasons; only a mean of the rest needs a warning.
                left = int((scored["status"] == "ok").sum())
                rest = f"; the mean is over {left} others, which may be the better ones" if left else ""
                message = f"{run.label}: {name}: {lost} of {len(scored)} videos are out of domain{rest}"
                yield ComparisonWarning(
                    code=Caution.OUT_OF_DOMAIN, message=message, run=run.label, metric=name
                )


def _enlarged(runs: Sequence[RunScores]) -> Iterator[ComparisonWarning]:
    """Videos that are smaller than the normalization asks for."""
    side = _shared(runs).short_side
    if not side:
        return
    sides = _videos(runs)[["width", "height"]].min(axis=1)
    small = int((sides < side).sum())
    if small:
        message = (
            f"{small} of {len(sides)} videos are smaller than short_side={side} and were enlarged, which"
            f" moves sharpness; choose no more than {int(sides.min())}"
        )
        yield ComparisonWarning(code=Caution.ENLARGED, message=message)
