"""`gate check`: a candidate beside a baseline, to one verdict. Whatever could not be checked never passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from evals.compare.distributions import Measuring, Reference
from evals.compare.pairs import Estimate
from evals.compare.rules import Rules
from evals.compare.run_scores import RunScores
from evals.compare.set_pairs import measure_sets
from evals.decoding.resources import Progress, Resources
from evals.errors import EvalsError, UsageError
from evals.executors import Source
from evals.gate import baseline as files
from evals.gate import spending
from evals.gate.cases import cases_of
from evals.gate.deciding import LEVEL, overall
from evals.gate.fidelity import check_fidelity
from evals.gate.margins import smallest_for
from evals.gate.noise import NOTHING, Noise, noise_of
from evals.gate.platform import platform_of
from evals.gate.quality import check_quality, compared
from evals.gate.records import Baseline, Calibration, FidelityRow, GateResult, Verdict, differing
from evals.pairing import PairScores, score_pairs
from evals.records import MetricInfo, Normalization
from evals.runs.current import SampleId
from evals.runs.provenance import now
from evals.scoring import Metrics

Part = Literal["quality", "fidelity"]
Require = Literal["auto", "both", "quality", "fidelity"]


@dataclass(frozen=True)
class Options:
    """How a check is made.

    `require` says which parts decide: `auto` takes fidelity where the baseline can decide it. `under_test`
    names parts of the platform that are meant to differ. `look` is the first, second or third one, at 1, 2
    and 4 seeds; `checkpoint` counts checks against one baseline. `platform` adds to what the candidate's
    provenance says."""

    require: Require = "auto"
    under_test: tuple[str, ...] = ()
    platform: Mapping[str, str] = field(default_factory=dict)
    look: int | None = None
    checkpoint: int | None = None

    def level(self) -> float:
        """The level of this check."""
        level = LEVEL if self.checkpoint is None else spending.of_checkpoint(self.checkpoint)
        return level if self.look is None else spending.of_look(level)


@dataclass(frozen=True)
class Setting:
    """What is known before anything runs: on which platform, with which calibration, over which seeds."""

    calibration: Calibration | None
    differs: dict[str, tuple[str, str]]
    noise: Noise
    seeds: tuple[int, ...]
    narrowed: bool


def setting_of(baseline: Baseline, platform: Mapping[str, str], options: Options) -> Setting:
    """Raises `UsageError` for a look that the baseline has too few seeds for."""
    seeds = sorted({sample.seed for sample in baseline.samples})
    used = seeds if options.look is None else spending.seeds_at(options.look, seeds)
    where = dict(platform)
    differs = differing(baseline.platform, where, options.under_test)
    calibration = baseline.calibration(where, options.under_test)
    return Setting(
        calibration, differs, noise_of(baseline, calibration, len(used)), tuple(used), used != seeds
    )


def too_small(baseline: Baseline, noise: Noise, prompts: int) -> list[tuple[str, float, float]]:
    """Metrics whose margin this design can hardly show, each with its margin and the smallest that it can:
    by how far repeats (or seeds, where there are no repeats) differ."""
    infos = files.infos(baseline)
    found = []
    for name in infos:
        margin, spread = baseline.margins.get(name), noise.spread(name)
        if margin is not None and spread is not None:
            least = smallest_for(spread, prompts, len(infos))
            if margin < least:
                found.append((name, margin, least))
    return found


def check(
    baseline: Baseline,
    place: Path | None,
    candidate: RunScores,
    fidelity: Metrics | None = None,
    options: Options | None = None,
    reference: Reference | None = None,
    resources: Resources | None = None,
    progress: Progress | None = None,
    clips: Mapping[SampleId, Source] | None = None,
) -> GateResult:
    """Check a candidate's scores against a baseline. `place` is the baseline's file, beside which its clips
    lie, unless `clips` are given; `fidelity` holds the pair metrics to measure, and None leaves them out;
    `reference` is what distances are measured to.

    Raises `UsageError` for options that don't fit the baseline."""
    options = options or Options()
    if candidate.folder is None:
        raise UsageError(f"{candidate.label}: a candidate is a run folder")
    platform = platform_of(candidate.folder.info, options.platform)
    setting = setting_of(baseline, platform, options)
    level, blocked, notes = options.level(), list[str](), list[str]()
    seeds = setting.seeds if setting.narrowed else None
    infos = files.infos(baseline)
    if baseline.normalization != candidate.normalization:
        blocked.append(
            f"the baseline was scored under {baseline.normalization}, the candidate under"
            f" {candidate.normalization}"
        )
    base, other = compared(baseline, candidate, seeds)
    sets = _sets(baseline, base, other, infos, reference, blocked, setting.narrowed)
    rows, tail = check_quality(baseline, candidate, infos, setting.noise, level, seeds, sets)
    quality: Verdict = overall([row.outcome for row in rows], tail.outcome)
    if blocked and quality == "pass":
        quality = "inconclusive"
    if clips is None:
        clips = files.clips_of(baseline, place) if place is not None else {}
    scores, pairs, same = _fidelity(
        baseline, candidate, fidelity, setting, options, resources, progress, clips, (blocked, notes)
    )
    required = _required(options.require, same)
    parts: dict[Part, Verdict | None] = {"quality": quality, "fidelity": same}
    verdict = _one([parts[part] for part in required])
    diagnostics = {
        name: info
        for name, info in baseline.metrics.items()
        if info.kind == "video" and name not in infos and name in candidate.metrics
    }
    shown = check_quality(baseline, candidate, diagnostics, NOTHING, level, seeds)[0] if diagnostics else []
    return GateResult(
        verdict=verdict, baseline=baseline.name, candidate=candidate.label, made=now(), required=required,
        quality=quality, fidelity=same, level=level, rows=tuple(rows), diagnostics=tuple(shown), tail=tail,
        pairs=tuple(pairs), platform=setting.differs, blocked=tuple(blocked), notes=tuple(notes),
        cases=tuple(cases_of(baseline, base, other, infos, tail, scores, setting.calibration)),
        shifts=baseline.shifts, samples=len(other.samples), samples_ok=other.counted("ok"),
    )  # fmt: skip


def _required(require: Require, same: Verdict | None) -> tuple[Part, ...]:
    if require == "auto":
        return ("quality", "fidelity") if same is not None else ("quality",)
    return ("quality", "fidelity") if require == "both" else (require,)


def _one(parts: Sequence[Verdict | None]) -> Verdict:
    """One verdict of the parts that decide; a part without one never passes."""
    if "regression" in parts:
        return "regression"
    if "not comparable" in parts:
        return "not comparable"
    return "pass" if parts and all(part == "pass" for part in parts) else "inconclusive"


def _sets(
    baseline: Baseline, base: RunScores, candidate: RunScores, infos: Mapping[str, MetricInfo],
    reference: Reference | None, blocked: list[str], narrowed: bool,
) -> dict[str, Estimate]:  # fmt: skip
    """The distribution metrics that decide, measured to a reference on both sides."""
    wanted = {name: info for name, info in infos.items() if info.kind == "distribution"}
    if not wanted or reference is None:
        return {}
    if narrowed:
        blocked.append("distribution metrics take all seeds of the baseline: leave --look out")
        return {}
    measuring = Measuring(reference)
    base = replace(base, label=f"{base.label} (baseline)")  # the candidate may have the same name
    try:
        measuring.measure([candidate, base], list(wanted))
        rules = Rules(margins=baseline.margins)
        found = {one.info.id: one for one in measure_sets(candidate, base, wanted, measuring, rules)}
    except EvalsError as error:
        blocked.append(f"distribution metrics: {error}")
        return {}
    blocked += [w.message for w in measuring.warnings if w.metric in wanted and w.metric not in found]
    return found


def _fidelity(
    baseline: Baseline, candidate: RunScores, chosen: Metrics | None, setting: Setting, options: Options,
    resources: Resources | None, progress: Progress | None, clips: Mapping[SampleId, Source],
    said: tuple[list[str], list[str]],
) -> tuple[PairScores, list[FidelityRow], Verdict | None]:  # fmt: skip
    """Pair scores, their rows, and the verdict; None where fidelity is not in question. What blocks it and
    what is to be noted is added to what was `said`."""
    blocked, notes = said
    needed = options.require in ("both", "fidelity")
    if options.require == "quality" and not clips:
        return {}, [], None
    if not clips or chosen is None or not chosen.pair:
        if needed or (baseline.clips and not clips):
            why = "no fidelity metric was chosen" if clips else "the baseline's clips are not there"
            blocked.append(f"{why}; make it with --clips: t2v-evals gate baseline RUN --clips --out FILE")
            return {}, [], "inconclusive"
        return {}, [], None
    wanted = [(s.prompt_id, s.seed) for s in baseline.samples if s.sha256 and s.seed in setting.seeds]
    clips = {at: clips[at] for at in wanted if at in clips}
    assert candidate.folder is not None
    normalization = Normalization.parse(baseline.normalization)
    scores = score_pairs(candidate.folder, clips, chosen, normalization, resources, progress)
    rows, same = check_fidelity(
        scores, wanted, chosen.infos(normalization), setting.calibration, options.level()
    )
    if setting.differs and setting.calibration is None:
        changes = ", ".join(f"{key} {a} → {b}" for key, (a, b) in setting.differs.items())
        if baseline.calibrations or needed:
            message = f"another platform than the baseline's ({changes}): videos of the same seed may differ"
            blocked.append(f"{message}; calibrate there, or name what is under test: --under-test")
            return scores, rows, "not comparable"
        notes.append(f"another platform than the baseline's: {changes}")
    if same is None:
        unusable = setting.calibration is not None
        notes.append(
            "fidelity cannot decide here: repeats differ as much as known-bad videos do, so quality decides"
            if unusable
            else "fidelity is shown and does not decide: the baseline is not calibrated (gate calibrate)"
        )
        if needed:
            blocked.append(notes[-1])
            return scores, rows, "inconclusive"
    for one in setting.calibration.separations if setting.calibration else ():
        if one.bistability.bistable:
            low, high = one.bistability.low, one.bistability.high
            notes.append(f"{one.metric}: repeats are bistable, around {low:.4g} and {high:.4g}")
    return scores, rows, same
