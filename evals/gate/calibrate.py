"""Thresholds from two measured populations: repeats of one unchanged model, and known-bad videos.

A metric is used where it tells repeats from bad videos with at most 5 % of the prompts wrong on either side.
Its threshold lies half way between the worst repeat and the mildest bad video of the kinds that it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from evals.compare.aligned import differently_worded
from evals.compare.run_scores import RunScores
from evals.decoding.resources import Progress, Resources
from evals.errors import Reason, UsageError
from evals.executors import Source
from evals.gate import variants
from evals.gate.bistable import bistability
from evals.gate.noise import repeats_of
from evals.gate.platform import platform_of
from evals.gate.records import Calibration, Detection, Rate, Separation, differing
from evals.metrics.fidelity import PairMetric
from evals.pairing import PairScore, PairScores, score_pairs, sources_of
from evals.records import MetricInfo, Normalization
from evals.runs.current import SampleId
from evals.runs.folder import RunFolder
from evals.runs.provenance import now
from evals.scoring import Metrics

MOST_WRONG = 0.05
LENGTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

NO_PAIR = (Reason.OTHER_SIZE, Reason.OTHER_LENGTH, Reason.OTHER_RATE)

Array = NDArray[np.float64]


@dataclass
class Population:
    """Values of a metric by prompt, oriented so that higher is better; −∞ for a pair that cannot be compared,
    as with another size. `curves` hold every frame's, where there are any."""

    values: dict[str, list[float]] = field(default_factory=dict)
    curves: dict[str, list[Array]] = field(default_factory=dict)

    def add(self, at: SampleId, score: PairScore, sign: float) -> None:
        if score.status == "skipped" or (score.value is None and score.reason not in NO_PAIR):
            return  # a file that cannot be read says nothing of the model
        value = -np.inf if score.value is None else sign * score.value
        self.values.setdefault(at[0], []).append(float(value))
        self.curves.setdefault(at[0], []).append(score.curve)

    @property
    def all(self) -> Array:
        return np.array([value for values in self.values.values() for value in values])

    @property
    def worst(self) -> Array:
        """The worst value of each prompt."""
        return np.array([min(values) for values in self.values.values()])

    @property
    def best(self) -> Array:
        """The best value of each prompt: the one that is hardest to find."""
        return np.array([max(values) for values in self.values.values()])

    def first(self, frames: int, metric: PairMetric, sign: float) -> Population:
        """The same on the first frames only."""
        found = Population()
        for prompt, curves in self.curves.items():
            for value, curve in zip(self.values[prompt], curves, strict=True):
                cut = value if not len(curve) else sign * metric.pool(curve[:frames])
                found.values.setdefault(prompt, []).append(cut)
        return found


def rate(count: int, n: int) -> Rate:
    """A share with its exact 95 % interval."""
    low = float(scipy.stats.beta.ppf(0.025, count, n - count + 1)) if count else 0.0
    high = float(scipy.stats.beta.ppf(0.975, count + 1, n - count)) if count < n else 1.0
    return Rate(count=count, n=n, low=low, high=high)


def threshold_of(repeats: Population, bad: Population) -> tuple[float, bool]:
    """Where the two part best, and whether at most 5 % of the prompts are wrong on either side: half way
    between the values that leave so few wrong."""
    worst, best = np.sort(repeats.worst), np.sort(bad.best)
    if not len(worst) or not len(best):
        return np.nan, False
    low = worst[int(MOST_WRONG * len(worst))]
    high = best[len(best) - 1 - int(MOST_WRONG * len(best))]
    if low > high:
        # Where nothing is on the wrong side, half way between the outermost values.
        low, high = (worst[0], best[-1]) if worst[0] > best[-1] else (low, high)
        return float(low - min(abs(low), 1.0) if np.isneginf(high) else (low + high) / 2), True
    return np.nan, False


def separate(
    name: str, info: MetricInfo, metric: PairMetric, repeats: Population, bad: Mapping[str, Population]
) -> Separation:
    """One metric on both populations."""
    sign = 1.0 if info.direction == "higher" else -1.0
    limits = {kind: threshold_of(repeats, population) for kind, population in bad.items()}
    found = {kind: limit for kind, (limit, separated) in limits.items() if separated}
    # The strictest of the kinds' thresholds: the mildest kind that it finds sets it.
    threshold = max(found.values()) if found else None

    def beyond(values: Array) -> int:
        return 0 if threshold is None else int((values < threshold).sum())

    kinds = []
    for kind, population in bad.items():
        best = population.best
        finite = best[np.isfinite(best)]
        missed = len(best) - beyond(best)
        kinds.append(
            Detection(
                kind=kind, separated=len(best) > 0 and missed <= MOST_WRONG * len(best),
                missed=rate(missed, len(best)), mildest=sign * float(finite.max()) if len(finite) else None,
            )
        )  # fmt: skip
    values, worst = repeats.all, repeats.worst
    finite = values[np.isfinite(values)]
    usable = threshold is not None
    return Separation(
        metric=name, info=info, usable=usable,
        threshold=None if threshold is None else sign * threshold,
        worst_repeat=sign * float(finite.min()) if len(finite) else 0.0,
        median_repeat=sign * float(np.median(finite)) if len(finite) else 0.0,
        false_alarms=rate(beyond(worst), len(worst)), expected=expected(worst, threshold), kinds=tuple(kinds),
        bistability=bistability(sign * finite), by_length=_by_length(metric, sign, repeats, bad, list(found)),
        message="" if usable else "repeats differ as much as known-bad videos do: not used",
    )  # fmt: skip


def expected(worst: Array, threshold: float | None) -> float:
    """The share of prompts of one more repeat that would be beyond a threshold, of those that none was beyond
    so far: by Student's t with the mean and spread of these prompts' worst values. That no repeat was seen
    beyond it does not mean that none ever is."""
    if threshold is None:
        return 0.0
    worst = worst[np.isfinite(worst) & (worst >= threshold)]
    if len(worst) < 2 or not worst.std() > 0:
        return 0.0
    spread = worst.std(ddof=1) * np.sqrt(1 + 1 / len(worst))
    return float(scipy.stats.t.cdf((threshold - worst.mean()) / spread, len(worst) - 1))


def _by_length(
    metric: PairMetric, sign: float, repeats: Population, bad: Mapping[str, Population], kinds: Sequence[str]
) -> dict[int, bool]:
    """For the first so many frames, whether all kinds that the whole clips show are still told apart."""
    longest = max((len(c) for p in bad.values() for cs in p.curves.values() for c in cs), default=0)
    found = {}
    for frames in (*(n for n in LENGTHS if n < longest), longest):
        if frames and kinds:
            first = repeats.first(frames, metric, sign)
            sides = (bad[kind].first(frames, metric, sign) for kind in kinds)
            found[frames] = all(threshold_of(first, side)[1] for side in sides)
    return found


def calibrate(
    runs: Sequence[RunFolder],
    scored: Sequence[RunScores],
    chosen: Metrics,
    place: Path,
    bad: Mapping[str, RunFolder] | None = None,
    quality: Sequence[str] = (),
    resources: Resources | None = None,
    progress: Progress | None = None,
    platform: Mapping[str, str] | None = None,
    most: int | None = None,
    against: Mapping[SampleId, Source] | None = None,
) -> Calibration:
    """Measure repeats (`runs` of one model, all pairs) and bad videos: made in `place` of the first run's
    clips, and those of the runs in `bad`. `scored` are scores whose differences from the first ones on the
    `quality` metrics are kept. `most` limits the prompts that bad videos are made of. `against` are clips of
    another platform: then each run is a repeat of these.

    Raises `UsageError` for fewer than two runs, of two platforms, or without a shared prompt and seed."""
    if len(runs) < 2:
        raise UsageError("gate calibrate: give two or more runs of one unchanged model")
    places = [platform_of(run.info, platform) for run in runs]
    for run, where in zip(runs[1:], places[1:], strict=True):
        if differs := differing(places[0], where):
            said = ", ".join(f"{key}: {a} and {b}" for key, (a, b) in differs.items())
            raise UsageError(f"{run.path}: is no repeat of {runs[0].path}: another platform ({said})")
    if clash := [name for name in bad or {} if name in variants.KINDS]:
        raise UsageError(f"--bad {clash[0]}: is a kind of known-bad video that is made; use another name")
    if words := differently_worded(scored):
        raise UsageError(f"gate calibrate: the prompt {words[0]} has other words in some of the runs")
    if resources is None:
        with Resources() as own:
            return calibrate(
                runs, scored, chosen, place, bad, quality, own, progress, platform, most, against
            )
    progress = progress or Progress()
    normalization = Normalization.parse(scored[0].normalization)
    clips = [sources_of(run) for run in runs]
    sides = clips if against is None else [*clips, against]
    shared = [at for at in clips[0] if all(at in other for other in sides)]
    if not shared:
        raise UsageError("gate calibrate: the runs share no prompt and seed that all have a video of")
    repeats = [
        score_pairs(run, {at: other[at] for at in shared}, chosen, normalization, resources, progress)
        for run, other in _pairs(runs, clips, against)
    ]
    prompts = list(dict.fromkeys(at[0] for at in shared))[:most]
    used = {at: clips[0][at] for at in shared if at[0] in prompts}
    progress.begin("bad videos", len(used))
    made = variants.write(used, place, progress.advance)
    for kind, other in (bad or {}).items():
        made[kind] = {at: source for at, source in sources_of(other).items() if at in clips[0]}
    of_bad = {
        kind: score_pairs(runs[0], others, chosen, normalization, resources, progress)
        for kind, others in made.items()
        if others
    }
    infos = chosen.infos(normalization)
    separations = []
    for name, metric in chosen.pair.items():
        sign = 1.0 if infos[name].direction == "higher" else -1.0
        same = population(repeats, name, sign)
        others = {kind: population([scores], name, sign) for kind, scores in of_bad.items()}
        separations.append(separate(name, infos[name], metric, same, others))
    seeds = min(sum(at[0] == prompt for at in shared) for prompt in {at[0] for at in shared})
    return Calibration(
        platform=places[0], runs=tuple(run.path.name for run in runs), made=now(),
        identical=all(one.identical for scores in repeats for row in scores.values() for one in row.values()),
        separations=tuple(separations), repeats=repeats_of(scored, quality, seeds),
    )  # fmt: skip


def unlike(runs: Sequence[RunFolder]) -> list[str]:
    """In what the generators or settings of runs differ that count as repeats."""
    first, found = runs[0].info, []
    for run in runs[1:]:
        params = {**first.generator.params, **run.info.generator.params}
        params.pop("path", None)  # of a folder of clips
        changed = [k for k in params if first.generator.params.get(k) != run.info.generator.params.get(k)]
        if run.info.generator.name != first.generator.name:
            changed = ["generator"]
        if run.info.settings != first.settings:
            changed.append("settings")
        if changed:
            found.append(
                f"{run.path}: differs from {runs[0].path} in {', '.join(changed)}; repeats are of one"
                " unchanged model"
            )
    return found


def _pairs(
    runs: Sequence[RunFolder],
    clips: Sequence[Mapping[SampleId, Source]],
    against: Mapping[SampleId, Source] | None,
) -> list[tuple[RunFolder, Mapping[SampleId, Source]]]:
    """Every run with the clips that it repeats."""
    if against is not None:
        return [(run, against) for run in runs]
    return [(runs[j], clips[i]) for i in range(len(runs)) for j in range(i + 1, len(runs))]


def population(scores: Sequence[PairScores], name: str, sign: float) -> Population:
    """A metric's values of several sets of pairs."""
    found = Population()
    for one in scores:
        for at, row in one.items():
            found.add(at, row[name], sign)
    return found
