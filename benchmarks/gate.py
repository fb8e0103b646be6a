"""How often the gate errs: simulated models with ten correlated metrics of mixed kinds. `python -m
benchmarks.gate [REPLICATES]` prints the tables of docs/gate.md and draws its figure.

A baseline and a candidate with noise of their own: every prompt has a difficulty that all metrics share in
part; every sample adds noise. Kinds: gaussian, log-normal, near the top of its range (beta), mostly zeros,
and rates. Verdicts are made by the gate's own functions on many replicates at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from evals.compare.flips import sign_flips
from evals.gate.changes import change_points, noise_of_means
from evals.gate.deciding import LEVEL, judge, overall, tail
from evals.gate.margins import RATE_MARGIN
from evals.gate.plan import chance_of_regression
from evals.gate.quality import tested
from evals.gate.spending import LOOKS, of_checkpoint, of_look

Array = NDArray[np.float64]
KINDS = (
    "gaussian",
    "gaussian",
    "gaussian",
    "log-normal",
    "log-normal",
    "beta",
    "beta",
    "zeros",
    "rate",
    "rate",
)
DESIGNS = ((50, 1), (50, 2), (50, 4), (100, 1), (100, 2), (100, 4), (200, 1), (200, 2), (200, 4))
BETWEEN, WITHIN, SHARED = 0.7, 0.714, 0.5
"""Spread between prompts and within, of latent scores with variance about 1, and the part of both that all
metrics share."""
FLIPS = 1999


@dataclass(frozen=True)
class World:
    """Prompts' latent difficulties (prompts, metrics)."""

    prompts: int
    seeds: int
    difficulty: Array

    @classmethod
    def drawn(cls, prompts: int, seeds: int, rng: np.random.Generator) -> World:
        return cls(prompts, seeds, BETWEEN * _shared(rng, (prompts,)))

    def run(self, rng: np.random.Generator) -> Array:
        """Scores (prompts, seeds, metrics) of a model that makes these videos."""
        noise = WITHIN * _shared(rng, (self.prompts, self.seeds))
        latent = self.difficulty[:, None] + noise
        out = np.empty_like(latent)
        for j, kind in enumerate(KINDS):
            out[..., j] = _as_kind(latent[..., j], kind)
        return out


def _shared(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    common, own = rng.normal(size=(*shape, 1)), rng.normal(size=(*shape, len(KINDS)))
    return np.asarray(np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own, np.float64)


def _as_kind(latent: Array, kind: str) -> Array:
    if kind == "gaussian":
        return latent
    if kind == "log-normal":
        return np.asarray(np.exp(0.8 * latent), np.float64)
    share = scipy.stats.norm.cdf(latent)
    if kind == "beta":
        return np.asarray(scipy.stats.beta.ppf(share, 18, 1.2), np.float64)
    if kind == "zeros":
        return np.asarray(np.maximum(0.0, latent - 0.84), np.float64)
    return np.asarray((share > 0.2), np.float64)


def margins_of(base: Array, fraction: float) -> tuple[list[float | None], Array]:
    """The margins that a baseline freezes, and its spreads between prompts."""
    spreads = base.mean(1).std(axis=0, ddof=1)
    found: list[float | None] = [
        max(RATE_MARGIN, fraction * s) if kind == "rate" else fraction * s if s > 0 else None
        for kind, s in zip(KINDS, spreads, strict=True)
    ]
    return found, np.asarray(spreads, np.float64)


@dataclass
class Outcome:
    """Verdicts of replicates: of the whole gate, and of the metric that was changed."""

    verdicts: list[str]
    changed: list[str]
    predicted: list[float]

    def share(self, verdict: str) -> float:
        return float(np.mean([v == verdict for v in self.verdicts]))


def simulate(
    prompts: int, seeds: int, fraction: float, replicates: int, drop: float = 0.0, rare: bool = False,
    level: float = LEVEL, repeats: int = 2, seed: int = 0,
) -> Outcome:  # fmt: skip
    """`drop` times its margin is taken off one metric, a different one in every replicate; with `rare` 5 % of
    the prompts carry all of it. `repeats` runs beside the baseline tell how far repeats differ."""
    rng = np.random.default_rng([seed, prompts, seeds, int(100 * drop), rare])
    found = Outcome([], [], [])
    for start in range(0, replicates, 50):
        batch = [
            _replicate(prompts, seeds, fraction, drop, rare, repeats, start + k, rng)
            for k in range(min(50, replicates - start))
        ]
        columns = np.concatenate([one[0] for one in batch], axis=1)
        varies = np.nansum(np.abs(columns), axis=0) > 0
        tests = sign_flips(np.where(varies, columns, np.nan), FLIPS)
        for k, (differences, noise, margins, spreads, changed) in enumerate(batch):
            mine = tests[k * len(KINDS) : (k + 1) * len(KINDS)]
            outcomes = [one.outcome for one in judge(mine, margins, (), level)]
            used = [j for j, kind in enumerate(KINDS) if kind != "rate"]
            broken = tail(differences[:, used], noise[:, used], spreads[used], level)
            found.verdicts.append(overall(outcomes, broken.outcome))
            found.changed.append(outcomes[changed])
            spread = float(np.sqrt(np.mean(noise[:, changed] ** 2)))
            margin = margins[changed] or 0.0
            found.predicted.append(
                chance_of_regression(drop * margin, spread, margin, prompts, len(KINDS), level)
            )
    return found


def _replicate(
    prompts: int, seeds: int, fraction: float, drop: float, rare: bool, repeats: int, number: int,
    rng: np.random.Generator,
) -> tuple[Array, Array, list[float | None], Array, int]:  # fmt: skip
    """Differences (prompts, metrics), repeats' differences, margins, spreads, and the changed metric."""
    world = World.drawn(prompts, seeds, rng)
    base, candidate = world.run(rng), world.run(rng)
    margins, spreads = margins_of(base, fraction)
    noise = np.concatenate([(world.run(rng) - base).mean(1) for _ in range(repeats)])
    changed = number % len(KINDS)
    means = candidate.mean(1)
    lost = drop * (margins[changed] or 0.0)
    if lost and rare:
        hit = rng.permutation(prompts)[: max(1, round(0.05 * prompts))]
        means[hit, changed] -= lost * prompts / len(hit)
    else:
        means[:, changed] -= lost
    return means - base.mean(1), noise, margins, spreads, changed


def looks(checkpoints: int, replicates: int, spent: bool, seed: int = 1) -> float:
    """The share of histories of an unchanged model, checked so many times against one baseline (100 × 2, at
    0.35 sd), in which any check alarms."""
    rng = np.random.default_rng([seed, checkpoints])
    alarms = 0
    for _ in range(replicates):
        world = World.drawn(100, 2, rng)
        base = world.run(rng)
        margins, spreads = margins_of(base, 0.35)
        noise = np.concatenate([(world.run(rng) - base).mean(1) for _ in range(2)])
        columns = np.concatenate([(world.run(rng) - base).mean(1) for _ in range(checkpoints)], axis=1)
        # Levels of late looks are far below the smallest p of a few flips: Student's t stands in for them.
        n, m = 100, len(KINDS)
        means, errors = columns.mean(0), columns.std(axis=0, ddof=1) / np.sqrt(n)
        p_worse = scipy.stats.t.cdf(means / errors, n - 1).reshape(checkpoints, m)
        bounds = np.array([x or 0.0 for x in margins])
        p_no_worse = scipy.stats.t.sf(
            (means.reshape(checkpoints, m) + bounds) / errors.reshape(checkpoints, m), n - 1
        )
        used = [j for j, kind in enumerate(KINDS) if kind != "rate"]
        for t in range(1, checkpoints + 1):
            level = of_checkpoint(t) if spent else LEVEL
            order = np.sort(p_worse[t - 1])
            least = np.argsort(p_worse[t - 1])
            rejected = 0
            while rejected < m and order[rejected] <= 0.8 * level / (m - rejected):
                rejected += 1
            worse = any(p_no_worse[t - 1, j] > level for j in least[:rejected])
            mine = columns[:, (t - 1) * m : t * m][:, used]
            if worse or tail(mine, noise[:, used], spreads[used], level).outcome == "many":
                alarms += 1
                break
    return alarms / replicates


def in_looks(prompts: int, replicates: int, drop: float = 0.0, seed: int = 4) -> tuple[float, float]:
    """The shares of regressions and passes where a candidate is looked at with 1, 2 and 4 seeds, each at a
    third of the level, as long as it is inconclusive; `drop` times its margin is taken off one metric."""
    rng = np.random.default_rng([seed, prompts, int(100 * drop)])
    ends = []
    for number in range(replicates):
        world = World.drawn(prompts, 4, rng)
        base, candidate = world.run(rng), world.run(rng)
        margins, spreads = margins_of(base, fraction_for(prompts, 4))
        changed = number % len(KINDS)
        repeats = [world.run(rng) - base for _ in range(2)]
        verdict = "inconclusive"
        for seeds in LOOKS:
            differences = (candidate - base)[:, :seeds].mean(1)
            differences[:, changed] -= drop * (margins[changed] or 0.0)
            noise = np.concatenate([one[:, :seeds].mean(1) for one in repeats])
            used = [j for j, kind in enumerate(KINDS) if kind != "rate"]
            level = of_look()
            varies = np.nansum(np.abs(differences), axis=0) > 0
            tests = tested(np.where(varies, differences, np.nan), level)
            outcomes = [one.outcome for one in judge(tests, margins, (), level)]
            broken = tail(differences[:, used], noise[:, used], spreads[used], level)
            verdict = overall(outcomes, broken.outcome)
            if verdict != "inconclusive":
                break
        ends.append(verdict)
    return ends.count("regression") / replicates, ends.count("pass") / replicates


def false_changes(runs: int, replicates: int, metrics: int = 10, seed: int = 2) -> float:
    """The share of histories of an unchanged model with any change of level on any of ten metrics."""
    rng = np.random.default_rng([seed, runs])
    found = 0
    for _ in range(replicates):
        world = World.drawn(50, 2, rng)
        table = np.stack([world.run(rng).mean(1) for _ in range(runs)], axis=-1)  # (prompts, metrics, runs)
        found += any(
            change_points(table[:, j].mean(0), noise_of_means(table[:, j]), metrics) for j in range(metrics)
        )
    return found / replicates


def smallest_margin(prompts: int, seeds: int, replicates: int) -> float:
    """The smallest margin in standard deviations with which an unchanged model passes four times in five; the
    rates' margins are made as large, in their standard deviations."""
    rng = np.random.default_rng([3, prompts, seeds])
    needed = []
    for _ in range(replicates):
        world = World.drawn(prompts, seeds, rng)
        base = world.run(rng)
        spreads = base.mean(1).std(axis=0, ddof=1)
        d = (world.run(rng) - base).mean(1)
        low = d.mean(0) - scipy.stats.t.ppf(0.95, prompts - 1) * d.std(axis=0, ddof=1) / np.sqrt(prompts)
        needed.append(float(np.max(np.where(spreads > 0, -low / np.where(spreads > 0, spreads, 1), 0))))
    return float(np.quantile(needed, 0.8))


def fraction_for(prompts: int, seeds: int) -> float:
    """The margin used in the simulation: the tiers', else the smallest usual one."""
    from evals.gate.margins import TIERS, smallest_usual, tier_of

    tier = tier_of(prompts, seeds)
    return max(TIERS[tier][2] if tier else 0.0, smallest_usual(prompts, seeds))


def table(replicates: int, designs: Sequence[tuple[int, int]] = DESIGNS) -> list[dict[str, float]]:
    """A row a design."""
    rows = []
    for n, s in designs:
        f = fraction_for(n, s)
        same = simulate(n, s, f, replicates)
        once, twice = simulate(n, s, f, replicates, drop=1.0), simulate(n, s, f, replicates, drop=2.0)
        rare = simulate(n, s, f, replicates, drop=1.0, rare=True)
        passed = [v == "pass" for v in once.verdicts]
        rows.append({
            "prompts": n, "seeds": s, "margin": f, "unchanged: pass": same.share("pass"),
            "unchanged: regression": same.share("regression"), "down by margin: pass": float(np.mean(passed)),
            "rare: pass": rare.share("pass"), "twice: regression": twice.share("regression"),
            "twice: predicted": float(np.mean(twice.predicted)), "twice: pass": twice.share("pass"),
        })  # fmt: skip
        print("  ".join(f"{k} {v:.3g}" for k, v in rows[-1].items()), flush=True)
    return rows


def draw(rows: Sequence[dict[str, float]], path: Path) -> None:
    """The rates of every design, as a figure."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({"svg.hashsalt": "t2v-evals", "font.size": 9})
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    axes = figure.subplots()
    names = [f"{int(r['prompts'])} × {int(r['seeds'])}" for r in rows]
    shown = (
        ("unchanged: regression", "o", "#0072b2"), ("down by margin: pass", "s", "#d55e00"),
        ("rare: pass", "^", "#cc79a7"), ("unchanged: pass", "D", "#009e73"),
        ("twice: regression", "v", "#000000"),
    )  # fmt: skip
    for key, marker, colour in shown:
        axes.plot(names, [100 * r[key] for r in rows], marker, color=colour, label=key)
    axes.axhline(5, color="#808080", linestyle=":")
    axes.set_ylabel("% of comparisons")
    axes.set_xlabel("prompts × seeds")
    axes.legend(loc="center right", fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print("smallest margins:")
    for n, s in DESIGNS:
        print(f"  {n} x {s}: {smallest_margin(n, s, replicates):.2f}", flush=True)
    rows = table(replicates)
    few = max(200, replicates // 4)
    print(f"100 looks, any alarm: {looks(100, few, True):.3f}; 20 looks unspent: {looks(20, few, False):.3f}")
    for drop in (0.0, 1.0):
        worse, passed = in_looks(100, few, drop)
        print(f"looks at 1, 2, 4 seeds, down by {drop:g} margins: regression {worse:.3f}, pass {passed:.3f}")
    for runs in (10, 20, 50, 100):
        print(f"{runs} unchanged runs, any change of level: {false_changes(runs, few):.3f}", flush=True)
    draw(rows, Path("docs/images/gate.svg"))


if __name__ == "__main__":
    main()
