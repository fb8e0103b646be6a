"""From paths to what a gate works on: baselines made or read, candidates scored, fidelity metrics ready."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evals.compare.run_scores import RunScores, load_runs
from evals.decoding.resources import Progress, Resources
from evals.errors import UsageError, WeightsError
from evals.executors import Source
from evals.gate import baseline as files
from evals.gate import margins as rules
from evals.gate.check import too_small
from evals.gate.noise import Noise, noise_of
from evals.gate.records import Baseline
from evals.pairing import sources_of
from evals.records import Normalization
from evals.runs.current import SampleId
from evals.runs.folder import RunFolder
from evals.scoring import Metrics, prepare, score_run

FIDELITY = ("fidelity_psnr", "fidelity_ssim", "fidelity_mae")
WITH_WEIGHTS = ("fidelity_lpips[lpips-alex]",)
"""Measured beside the others where their weights are there."""


@dataclass(frozen=True)
class Opened:
    """A baseline with its file, None where it was made of a run just now, its clips, and what to say of
    it."""

    baseline: Baseline
    place: Path | None
    clips: Mapping[SampleId, Source]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """How a baseline is made of a run: its `tier`, its `margins` (`0.5sd` for all, `METRIC=VALUE` for one),
    the metrics that decide, and what is known of the platform."""

    tier: str | None = None
    margins: Sequence[str] = ()
    primary: Sequence[str] | None = None
    platform: Mapping[str, str] = field(default_factory=dict)


def make(run: RunScores, name: str, choice: Choice) -> tuple[Baseline, list[str]]:
    """A baseline of a run, and remarks on margins that its design can hardly show.

    Raises `UsageError` for a margin or tier that is too small for the design, with what it would take."""
    given = dict(text.split("=", 1) for text in choice.margins if "=" in text)
    general = [text for text in choice.margins if "=" not in text]
    deciding = files.deciding(run.metrics, choice.primary, given)
    made = files.of_run(run, name, list(deciding), {}, "", choice.platform)
    silent = [n for n, i in deciding.items() if i.kind == "video" and files.by_prompt(made, n).empty]
    deciding = {n: info for n, info in deciding.items() if n not in silent}
    if all(name in files.RATES for name in deciding):
        raise UsageError(
            f"{name}: no metric of quality decides: the run has no scores on a primary metric; score it with"
            " a suite, or name metrics with --primary"
        )
    made = made.model_copy(update={"primary": tuple(deciding)})
    prompts, seeds = files.design(made)
    fraction, tier = _fraction(choice.tier, general, prompts, seeds)
    spreads = files.spreads(made, deciding)
    margins = rules.frozen(deciding, spreads, fraction, given)
    made = made.model_copy(update={"margins": margins, "tier": tier})
    noise = noise_of(made, None, seeds)
    refuse(made, noise, prompts, list(given))
    remarks = (
        [f"{', '.join(silent)}: no video of the run has a score, so they don't decide"] if silent else []
    )
    return made, remarks + _hardly(made, noise, prompts)


def _fraction(tier: str | None, general: Sequence[str], prompts: int, seeds: int) -> tuple[float, str]:
    """The margin in standard deviations between prompts, and the tier's name. Raises `UsageError`."""
    design = f"{prompts} prompts × {seeds} seed{'s' if seeds != 1 else ''}"
    least = rules.smallest_usual(prompts, max(1, seeds))
    if general and tier:
        raise UsageError("--tier and --margin FRACTION exclude each other; a tier has its own")
    if general:
        value, in_sd = rules.parsed(general[-1], f"--margin {general[-1]}")
        if not in_sd:
            raise UsageError(f"--margin {general[-1]}: for all metrics, write standard deviations: 0.5sd")
        if value < least * 0.995:
            raise UsageError(
                f"--margin {general[-1]}: is too small for {design}: there an unchanged model passes four"
                f" times in five with {_up(least)}sd; {value:g}sd takes about"
                f" {_prompts_for(value, seeds)} prompts"
            )
        return value, ""
    found = tier or rules.tier_of(prompts, seeds)
    if not found:
        names = ", ".join(f"{name}: {n} × {s} at {f}sd" for name, (n, s, f) in rules.TIERS.items())
        raise UsageError(
            f"{design} reaches no tier ({names}); make more, or say how much worse matters:"
            f" --margin {_up(least)}sd is the smallest that an unchanged model passes four times in five"
        )
    if found not in rules.TIERS:
        raise UsageError(f"--tier {found}: no such tier (known: {', '.join(rules.TIERS)})")
    n, s, value = rules.TIERS[found]
    if prompts < n or seeds < s:
        raise UsageError(f"--tier {found}: needs {n} prompts × {s} seeds; the run has {design}")
    return value, found


def _up(value: float) -> str:
    """A number rounded up to two digits."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / step - 1e-9) * step:.3g}"


def _prompts_for(fraction: float, seeds: int) -> int:
    """How many prompts a margin takes, usually."""
    low, high = 2, 1_000_000
    while low < high:
        middle = (low + high) // 2
        if rules.smallest_usual(middle, max(1, seeds)) <= fraction:
            high = middle
        else:
            low = middle + 1
    return low


def refuse(baseline: Baseline, noise: Noise, prompts: int, given: Sequence[str]) -> None:
    """Raises `UsageError` for a margin that was given for a metric and that the design cannot show."""
    for name, margin, least in too_small(baseline, noise, prompts):
        if name in given:
            needed = math.ceil(prompts * (least / margin) ** 2)
            raise UsageError(
                f"--margin {name}={margin:g}: is too small for {prompts} prompts: there an unchanged model"
                f" passes four times in five with {_up(least)}; {margin:g} takes about {needed} prompts, or"
                " more seeds"
            )


def _hardly(baseline: Baseline, noise: Noise, prompts: int) -> list[str]:
    found = too_small(baseline, noise, prompts)
    if not found:
        return []
    named = ", ".join(f"{name} ({margin:.3g}, needs {least:.3g})" for name, margin, least in found)
    return [
        f"where noise differs from run to run, these margins are often left inconclusive: {named}; repeats of"
        " one seed usually differ less (gate calibrate), else give larger ones with --margin METRIC=VALUE"
    ]


def open_baseline(path: Path, choice: Choice | None = None, allow_outside: bool = False) -> Opened:
    """A baseline file, or a run folder that one is made of. Raises `EvalsError`."""
    if (path / "run.json").is_file():
        run = load_runs([path], None, allow_outside)[0]
        made, remarks = make(run, run.label, choice or Choice())
        return Opened(made, None, sources_of(RunFolder(path, allow_outside)), tuple(remarks))
    if choice is not None and (choice.tier or choice.margins or choice.primary):
        raise UsageError(f"{path}: a baseline file has its margins; they are chosen by `gate baseline`")
    found = files.read(path)
    return Opened(found, path, files.clips_of(found, path))


def scored_candidate(
    path: Path,
    baseline: Baseline,
    weights: Mapping[str, Path] | None = None,
    resources: Resources | None = None,
    progress: Progress | None = None,
    allow_outside: bool = False,
) -> RunScores:
    """A candidate's scores; what it lacks of the baseline's metrics is scored first. Raises `EvalsError`."""
    run = RunFolder(path, allow_outside)
    had = run.info.metrics.get(baseline.normalization, {})
    wanted = [name for name, info in baseline.metrics.items() if info.kind in ("video", "distribution")]
    lacking = [name for name in wanted if name not in had]
    normalization = Normalization.parse(baseline.normalization)
    if lacking:
        score_run(run, prepare(wanted, weights), normalization, resources, progress=progress)
    return load_runs([path], normalization, allow_outside)[0]


def fidelity_metrics(
    baseline: Baseline, asked: Sequence[str] | None = None, weights: Mapping[str, Path] | None = None
) -> Metrics:
    """The fidelity metrics to measure: the ones `asked` for, else those that the baseline is calibrated for,
    else all whose weights are there. Raises `EvalsError`."""
    if baseline.calibrations:  # what decides is measured in any case
        calibrated = [s.metric for c in baseline.calibrations for s in c.separations]
        asked = list(dict.fromkeys([*(asked or ()), *calibrated]))
    if asked is not None:
        return prepare(list(asked), weights)
    try:
        return prepare([*FIDELITY, *WITH_WEIGHTS], weights)
    except WeightsError:
        return prepare(FIDELITY, weights)
