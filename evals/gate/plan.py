"""`gate plan`: how small a gate may be, and what it would find, from a baseline and its calibration."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import scipy.stats

from evals.gate import baseline as files
from evals.gate.deciding import LEVEL, SHARE_OF_TAIL
from evals.gate.margins import POWER, smallest_for
from evals.gate.noise import noise_of
from evals.gate.records import Baseline, Calibration, Separation
from evals.records import Record

DESIGNS = (12, 25, 50, 100, 200)
SEEDS = (1, 2, 4)
SURELY = 0.95
"""How surely each kind of bad video is to be found."""


class Power(Record):
    """What a design of n prompts finds on a metric: `smallest` is the true drop that is called a regression
    four times in five, in the metric's unit and in standard deviations between prompts; None where that many
    prompts can never call one. `margin` is the baseline's, `workable` the smallest with which an unchanged
    model still passes four times in five."""

    metric: str
    prompts: int
    seeds: int
    smallest: float | None
    smallest_in_sd: float | None
    margin: float | None
    workable: float | None


class FidelityPlan(Record):
    """The shortest clips and the fewest prompts with which a fidelity metric still tells repeats from bad
    videos; `finds` are the kinds of them that it finds."""

    metric: str
    frames: int | None
    longest: int | None
    prompts: int | None
    finds: tuple[str, ...]
    message: str = ""


class Plan(Record):
    """What `gate plan` found. `seconds` are those of generating a video, `hours` those of each design, by
    prompts and seeds; None where nobody recorded them."""

    baseline: str
    prompts: int
    seeds: int
    fidelity: tuple[FidelityPlan, ...]
    powers: tuple[Power, ...]
    seconds: float | None
    hours: dict[str, float]
    tail_repeats: int
    noise_from: str

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


def chance_of_regression(
    drop: float, noise: float, margin: float | None, prompts: int, metrics: int, level: float = LEVEL
) -> float:
    """The chance that one metric with a true mean drop is called a regression, where differences between
    repeats have the standard deviation `noise` between prompts, by Student's t: it must be shown worse at the
    first step of Holm's procedure, and not be shown to lie within its margin."""
    if not noise > 0:
        return float(drop > (margin or 0.0))
    error, freedom = noise / math.sqrt(prompts), prompts - 1
    if freedom < 1:
        return 0.0
    worse = scipy.stats.t.isf(level * (1 - SHARE_OF_TAIL) / metrics, freedom) * error
    not_within = (margin - scipy.stats.t.isf(level, freedom) * error) if margin is not None else -math.inf
    return float(NormalDist().cdf((drop - max(worse, not_within)) / error))


def smallest_found(
    noise: float, margin: float | None, prompts: int, metrics: int, power: float = POWER
) -> float | None:
    """The smallest true drop that is called a regression with that power; None where the smallest p that so
    many prompts can give is not small enough."""
    if prompts < 2 or 2.0**-prompts > LEVEL * (1 - SHARE_OF_TAIL) / metrics:
        return None
    if not noise > 0:
        return margin
    error = noise / math.sqrt(prompts)
    low, high = 0.0, (margin or 0.0) + 1000 * error
    for _ in range(100):
        middle = (low + high) / 2
        if chance_of_regression(middle, noise, margin, prompts, metrics) < power:
            low = middle
        else:
            high = middle
    return high


def plan(baseline: Baseline, calibration: Calibration | None = None) -> Plan:
    """Designs for this baseline, by the calibration of its own platform unless another one is given."""
    calibration = calibration or baseline.calibration(baseline.platform)
    infos = files.infos(baseline)
    spreads = files.spreads(baseline, infos)
    powers = []
    for seeds in SEEDS:
        noise = noise_of(baseline, calibration, seeds)
        for name in infos:
            found = noise.spread(name)
            for prompts in DESIGNS if found is not None else ():
                assert found is not None
                margin = baseline.margins.get(name)
                smallest = smallest_found(found, margin, prompts, len(infos))
                spread = spreads.get(name, 0.0)
                powers.append(
                    Power(
                        metric=name, prompts=prompts, seeds=seeds, smallest=smallest, margin=margin,
                        smallest_in_sd=smallest / spread if smallest is not None and spread > 0 else None,
                        workable=smallest_for(found, prompts, len(infos)),
                    )
                )  # fmt: skip
    times = [s.seconds for s in baseline.samples if s.seconds is not None]
    seconds = sum(times) / len(times) if times else None
    prompts, held = files.design(baseline)
    noise = noise_of(baseline, calibration, held)
    return Plan(
        baseline=baseline.name, prompts=prompts, seeds=held, powers=tuple(powers), seconds=seconds,
        fidelity=tuple(_fidelity(one) for one in calibration.separations) if calibration else (),
        hours={f"{n}x{s}": n * s * seconds / 3600 for n in DESIGNS for s in SEEDS} if seconds else {},
        tail_repeats=len(noise.rows),
        noise_from="repeats" if noise.measured else "seeds" if len(noise.rows) else "nothing",
    )  # fmt: skip


def _fidelity(one: Separation) -> FidelityPlan:
    """The shortest prefix that separates, as do all longer ones, and the fewest prompts."""
    longest = max(one.by_length, default=None)
    frames = None
    for length in sorted(one.by_length, reverse=True):
        if not one.by_length[length]:
            break
        frames = length
    kinds = [kind for kind in one.kinds if kind.separated]
    return FidelityPlan(
        metric=one.metric, frames=frames, longest=longest, message=one.message,
        prompts=fewest_prompts(one.false_alarms.value, max(k.missed.value for k in kinds)) if kinds else None,
        finds=tuple(kind.kind for kind in kinds),
    )  # fmt: skip


def fewest_prompts(false_alarms: float, missed: float, level: float = LEVEL) -> int | None:
    """The fewest prompts with which a change that touches every prompt is found surely, at these rates by
    prompt, while repeats alarm at most at the level."""
    for n in range(1, 1001):
        most = scipy.stats.binom.ppf(1 - level, n, false_alarms) if false_alarms else 0
        if scipy.stats.binom.sf(most, n, 1 - missed) >= SURELY:
            return n
    return None
