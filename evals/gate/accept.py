"""`gate accept`: an intended change becomes the new baseline, and its reason stays in the history."""

from __future__ import annotations

import numpy as np

from evals.compare.aligned import align
from evals.compare.costs import with_rates
from evals.compare.rules import MIN_COVERAGE
from evals.compare.run_scores import RunScores
from evals.errors import UsageError
from evals.gate import baseline as files
from evals.gate.records import Baseline, Shift, differing
from evals.runs.provenance import now

LONGEST = 2000  # characters of a reason


def made_samples(run: RunScores) -> set[tuple[str, int]]:
    """The prompts and seeds that have a video."""
    rows = run.samples[run.samples["status"] == "ok"]
    return set(zip(rows["prompt_id"], rows["seed"], strict=True))


def accept(
    baseline: Baseline, candidate: RunScores, because: str, platform: dict[str, str] | None = None
) -> Baseline:
    """A baseline of the candidate, with the old one's name, primary metrics, margins and calibration, and one
    accepted change more. Margins stay the numbers they were: they say what matters to users, and that
    has not changed.

    Raises `UsageError` without a reason, or for a candidate that shares no metric with the baseline."""
    because = " ".join(because.split())
    if not because or len(because) > LONGEST:
        raise UsageError(f"--because: say why the change is meant, in 1 to {LONGEST} characters")
    base, other = with_rates(files.as_scores(baseline)), with_rates(candidate)
    mine, theirs = made_samples(other), made_samples(base)
    if len(mine & theirs) < MIN_COVERAGE * len(theirs) or not mine:
        raise UsageError(
            f"{candidate.label}: has videos of {len(mine & theirs)} of the baseline's {len(theirs)} samples;"
            " a new baseline needs them all: generate and score the same prompts and seeds"
        )
    shared = [name for name in baseline.primary if name in base.grid.columns and name in other.grid.columns]
    names = [name for name in shared if base.digests[name] == other.digests[name]]
    lacking = [name for name in baseline.primary if name not in other.metrics]
    if lacking:
        raise UsageError(
            f"{candidate.label}: was not scored with {', '.join(lacking)}, which decide; score it first"
        )
    differences = align(other, base, names).differences()
    means = {
        name: float(np.nanmean(column))
        for name, column in zip(names, differences.T, strict=True)
        if not np.isnan(column).all()
    }
    shift = Shift(when=now(), because=because, run=candidate.label, differences=means)
    made = files.of_run(candidate, baseline.name, baseline.primary, baseline.margins, baseline.tier, platform)
    # Another platform's repeats were measured against the old clips.
    kept = tuple(one for one in baseline.calibrations if not differing(one.platform, made.platform))
    return made.model_copy(update={"calibrations": kept, "shifts": (*baseline.shifts, shift)})
